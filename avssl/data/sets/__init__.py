"""Public data sets by name: what their official lists say about the files in a folder that the user has.

Wherever a source of data is asked for (`--data` of tools/evaluate.py, `--data.root` of a recipe), `NAME:FOLDER` is one,
such as `ucf101:~/ucf101`; `ucf101-split2:~/ucf101` is the second official split of the sets that have three.
`tools/manifest.py` writes the same as a CSV file. Nothing is downloaded: it is told what is missing, and what to put
where.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, cast, get_args

from avssl.core import MediaError
from avssl.data.sets import (
    audioset,
    ave,
    charades,
    cifar,
    davis2017,
    diving48,
    esc50,
    grid,
    hmdb51,
    imagenet,
    jester,
    jhmdb,
    kinetics,
    speech_commands,
    ssv2,
    stl10,
    ucf101,
    vggsound,
    voc07,
)
from avssl.data.sets.common import Listing

__all__ = ["Listing", "Name", "Named", "named", "read"]

ThreeSplits = Literal["ucf101", "hmdb51", "jhmdb"]
OneForm = Literal[
    "ssv2",
    "diving48",
    "jester",
    "audioset",
    "vggsound",
    "ave",
    "grid",
    "speech-commands",
    "imagenet",
    "stl10",
    "voc07",
    "davis2017",
]
Name = Literal[
    ThreeSplits,
    OneForm,
    "kinetics400",
    "kinetics600",
    "kinetics700",
    "charades",
    "charades-actions",
    "esc50",
    "esc10",
    "cifar10",
    "cifar100",
]

Named = tuple[Name, Path, int]
"""The name of a data set, its folder, and the number of its official split."""

SPELLED = re.compile(r"(?P<name>[a-z0-9-]+?)(-split(?P<split>\d+))?:(?P<folder>.+)", re.DOTALL)


def named(source: Path) -> Named | None:
    """What `NAME:FOLDER` or `NAME-split2:FOLDER` means; None if it is anything else, as a path that exists is."""
    found = SPELLED.fullmatch(str(source))
    if found is None or found["name"] not in get_args(Name) or source.exists():
        return None
    return cast(Name, found["name"]), Path(found["folder"]).expanduser(), int(found["split"] or 1)


def read(name: Name, folder: Path, *, split: int = 1) -> Listing:
    """What the official lists of a data set say about the files in a folder; `split` is that of sets that have three.

    Raises:
        MediaError: a list, or all files that the lists name, are missing, with what to put where; a list is damaged; or
            the data set has no such split.
    """
    count = 3 if name in get_args(ThreeSplits) else 1
    if not 1 <= split <= count:
        raise MediaError(
            folder, f"{name} has no split {split}", f"choose of 1 to {count}" if count > 1 else "it has one"
        )
    match name:
        case "ucf101":
            return ucf101.read(folder, split=split)
        case "hmdb51":
            return hmdb51.read(folder, split=split)
        case "jhmdb":
            return jhmdb.read(folder, split=split)
        case "kinetics400":
            return kinetics.read(folder, classes=400)
        case "kinetics600":
            return kinetics.read(folder, classes=600)
        case "kinetics700":
            return kinetics.read(folder, classes=700)
        case "charades" | "charades-actions":
            return charades.read(folder, stretches=name == "charades-actions")
        case "esc50" | "esc10":
            return esc50.read(folder, ten=name == "esc10")
        case "cifar10":
            return cifar.read(folder, classes=10)
        case "cifar100":
            return cifar.read(folder, classes=100)
        case _:
            return _of_one_form(name, folder)


def _of_one_form(name: OneForm, folder: Path) -> Listing:
    match name:
        case "ssv2":
            return ssv2.read(folder)
        case "diving48":
            return diving48.read(folder)
        case "jester":
            return jester.read(folder)
        case "audioset":
            return audioset.read(folder)
        case "vggsound":
            return vggsound.read(folder)
        case "ave":
            return ave.read(folder)
        case "grid":
            return grid.read(folder)
        case "speech-commands":
            return speech_commands.read(folder)
        case "imagenet":
            return imagenet.read(folder)
        case "stl10":
            return stl10.read(folder)
        case "voc07":
            return voc07.read(folder)
        case "davis2017":
            return davis2017.read(folder)
