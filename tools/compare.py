"""Compare finished runs: methods beside protocols, random init, naive features and supervised training.

    python tools/compare.py runs/pace-* runs/vcop-* runs/supervised-*
    python tools/compare.py runs/* --out comparison --alike alike.json

Runs of one recipe and configuration are taken for seeds of one method. The table appears in the terminal; compare.html
and the same as .json, .csv, .md and .tex are written into the folder `out`.
"""

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from avssl.report import compare, read_pairs, write_comparison
from avssl.report.compare_table import pairing
from avssl.report.compare_words import LEGEND, tables


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to compare, and where to write."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, those of tools/supervised.py among them."""
    out: Path = Path("comparison")
    """The folder for the page and the exports; it is made."""
    alike: Path | None = None
    """A file that tools/alike.py made: how alike the features of these runs are."""


def main(c: Choice) -> None:
    try:
        comparison = compare(c.runs)
        pairs = read_pairs(c.alike) if c.alike else []
    except (NotADirectoryError, ValueError) as error:
        sys.exit(str(error))
    console = Console()
    for table in tables(comparison, width=console.width):
        console.print(table)
        console.print()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(f"{LEGEND} {pairing(comparison)}")
    for run, command in comparison.without:
        say(f"No scores   {run}: {command}")
    for note in (*comparison.notes, *comparison.problems):
        say(f"Note        {note}")
    page = write_comparison(comparison, c.out, pairs=pairs, command=shlex.join(["python", *sys.argv]))
    say(f"Page        {page}")


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
