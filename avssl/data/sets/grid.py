"""GRID (Cooke et al., JASA 120, 2006): 34 people say 1,000 sentences each, such as "bin blue at f two now".

The name of a file tells its six words. There is no official split: "test" are the speakers 1, 2, 20 and 22, as in
LipNet (Assael et al., arXiv 1611.01599, 2016). The label is the command; others are the columns `colour`,
`preposition`, `letter`, `digit` and `adverb`. A group is the speaker. Of speaker 21 there is sound only.
"""

from __future__ import annotations

import re
from pathlib import Path

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, by_stem, entry

__all__ = ["read"]

PUT = "put the videos (or sounds) of each speaker below a folder s1, …, s34, such as s1/bbaf2n.mpg"
WORDS: dict[str, dict[str, str]] = {
    "command": {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    "colour": {"b": "blue", "g": "green", "r": "red", "w": "white"},
    "preposition": {"a": "at", "b": "by", "i": "in", "w": "with"},
    "letter": {c: c for c in "abcdefghijklmnopqrstuvxyz"},
    "digit": {"z": "0", **{d: d for d in "123456789"}},
    "adverb": {"a": "again", "n": "now", "p": "please", "s": "soon"},
}
SPEAKER = re.compile(r"s([1-9]|[12]\d|3[0-4])$")
UNSEEN = {"s1", "s2", "s20", "s22"}


def read(folder: Path) -> Listing:
    """The sentences of all speakers that are there.

    Raises:
        MediaError: there is no folder of a speaker, or no sentence in any.
    """
    speakers = sorted(p for p in folder.glob("s*") if p.is_dir() and SPEAKER.match(p.name))
    if not speakers:
        raise MediaError(folder, "it has no folder of a speaker", PUT)
    entries = []
    for speaker in speakers:
        split = "test" if speaker.name in UNSEEN else "train"
        for stem, path in sorted(by_stem(speaker).items()):
            if len(stem) == 6 and all(c in known for c, known in zip(stem, WORDS.values(), strict=True)):
                said = {name: WORDS[name][c] for name, c in zip(WORDS, stem, strict=True)}
                entries.append(entry(path, label=said.pop("command"), split=split, group=speaker.name, more=said))
    return Official(name="GRID", put=PUT, counts={"test": 4_000}).listing(folder, entries, there=True)
