"""UCF101 (Soomro et al., CRCV-TR-12-01, 2012): 13,320 videos of 101 actions in 25 groups a class; 3 official splits.

A group is what was filmed in one go (`g08` of a class); the official splits keep groups together.
"""

from __future__ import annotations

import re
from pathlib import Path

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, entry, lines, official

__all__ = ["read"]

PUT = (
    "put the videos as UCF-101/<class>/v_<class>_g<NN>_c<NN>.avi (UCF101.rar) and the lists as "
    "ucfTrainTestlist/trainlist01.txt, … (UCF101TrainTestSplits-RecognitionTask.zip)"
)
SIZES = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
GROUP = re.compile(r"v_.+_(g\d+)_c\d+$")


def read(folder: Path, *, split: int = 1) -> Listing:
    """The videos of one of the three official splits.

    Raises:
        MediaError: a list or all videos are missing, or a line is not of the official form.
    """
    entries = []
    for part in ("train", "test"):
        path = official(folder, f"ucfTrainTestlist/{part}list{split:02}.txt", put=PUT)
        for line in lines(path):
            name = line.split()[0]
            label = name.partition("/")[0]
            if not (found := GROUP.match(Path(name).stem)):
                raise MediaError(path, f"{line!r} is not <class>/v_<class>_g<NN>_c<NN>.avi", PUT)
            entries.append(entry(folder / "UCF-101" / name, label=label, split=part, group=f"{label}_{found[1]}"))
    train, test = SIZES[split]
    known = Official(name=f"UCF101 split {split}", put=PUT, counts={"train": train, "test": test}, classes=101)
    return known.listing(folder, entries)
