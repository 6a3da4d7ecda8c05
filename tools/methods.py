"""Fill the measured columns of the table of methods from finished runs.

    python tools/methods.py runs/pace-* runs/vcop-* --table recipes/README.md

Runs of one recipe are its seeds. The table names each row by a link to its recipe; what it says of papers is kept by
hand, and so are rows without runs.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from avssl.report import Column, read_compared, with_runs


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which runs, and which table."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders of recipes, some seeds of each."""
    table: Path = Path("recipes/README.md")
    """A file in Markdown that holds the table."""


COLUMNS = (
    Column(heading="motion", label="label", protocol="linear probe"),
    Column(heading="appearance", label="appearance", protocol="linear probe"),
    Column(heading="timbre, by ear", label="timbre", protocol="linear probe on sound"),
)


def main(c: Choice) -> None:
    console = Console()
    text = c.table.read_text(encoding="utf-8")
    try:
        runs = [read_compared(folder) for folder in c.runs]
        for column in COLUMNS:
            text = with_runs(text, column, runs)
    except (NotADirectoryError, ValueError) as error:
        sys.exit(str(error))
    c.table.write_text(text, encoding="utf-8")
    console.print(f"Table       {c.table}, from {len(runs)} runs", markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
