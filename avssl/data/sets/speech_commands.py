"""Speech Commands v0.02 (Warden, arXiv 1804.03209, 2018): 105,829 sounds of 1 s of 35 words by 2,618 speakers.

A group is the speaker, of whom the official lists have each on one side only.
"""

from __future__ import annotations

from pathlib import Path

from avssl.data.sets.common import Listing, Official, entry, lines, official

__all__ = ["read"]

PUT = (
    "unpack speech_commands_v0.02.tar.gz here: <word>/<speaker>_nohash_<n>.wav, validation_list.txt and "
    "testing_list.txt"
)
COUNTS = {"train": 84_843, "val": 9_981, "test": 11_005}


def read(folder: Path) -> Listing:
    """The words: those of the two official lists are "val" and "test", all others "train"; the noises are left out.

    Raises:
        MediaError: a list or all sounds are missing.
    """
    parts = {
        name: split
        for split, part in {"val": "validation", "test": "testing"}.items()
        for name in lines(official(folder, f"{part}_list.txt", put=PUT))
    }
    there = {p.relative_to(folder).as_posix() for p in folder.glob("[!_]*/*.wav")}
    entries = []
    for name in sorted(there | parts.keys()):
        word, _, file = name.partition("/")
        entries.append(
            entry(folder / name, label=word, split=parts.get(name, "train"), group=file.partition("_nohash_")[0])
        )
    return Official(name="Speech Commands v0.02", put=PUT, counts=COUNTS, classes=35).listing(folder, entries)
