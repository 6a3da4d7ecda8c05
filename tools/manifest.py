"""Write the manifest of a public data set, from its official lists and the folder that you have it in.

    python tools/manifest.py ucf101 ~/ucf101 ucf101-2.csv --split 2
    python tools/manifest.py ssv2 /data/ssv2 ssv2.csv

Where something is missing it says what to put where; listed files that are missing are counted and left out.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from avssl.cli import plainly
from avssl.data import write_manifest
from avssl.data.sets import Name, read


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which data set, from where, and where to."""

    name: tyro.conf.Positional[Name]
    """The data set."""
    folder: tyro.conf.Positional[Path]
    """The folder that you have it in."""
    out: tyro.conf.Positional[Path]
    """The CSV file to write."""
    split: int = 1
    """The number of the official split, of UCF101, HMDB51 and JHMDB."""


def main(c: Choice) -> None:
    console = Console(stderr=True)
    with plainly():
        listing = read(c.name, c.folder.expanduser(), split=c.split)
    write_manifest(listing.entries, c.out)
    for note in listing.notes:
        console.print(note, style="bold", markup=False, soft_wrap=True)
    console.print(f"{len(listing.entries)} entries in {c.out}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
