"""Write the page of a run and print where it lies.

python tools/report.py runs/pace-20260101-120000
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from avssl.report import write_report


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write report.html, one page that needs nothing else, into a run folder."""

    run: tyro.conf.Positional[Path]
    """The run folder, as a recipe's --train.out named it."""


def main(choice: Report) -> None:
    try:
        print(write_report(choice.run))
    except NotADirectoryError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(tyro.cli(Report))
