"""HMDB51 (Kuehne et al., ICCV 2011): 6,766 clips of 51 actions; 3 official splits of 70 and 30 clips a class.

Within a class, the clips of one source video are all on one side, so a group is `<class>/<source>`. Across classes
they are not: of one film, kicks train and chews test. The column `source` tells the video alone. Clips that a split
leaves unused, as they share their source with others, have the split "unused".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, entry, lines, official

__all__ = ["flagged", "read", "source_of"]

PUT = (
    "put the videos as hmdb51_org/<class>/<name>.avi (unpack the 51 inner RAR files too) and the lists as "
    "testTrainMulti_7030_splits/<class>_test_split1.txt, …"
)
FLAGS = {"0": "unused", "1": "train", "2": "test"}
NAME = re.compile(r"(?P<source>.+)_(f|u|h|l)_(cm|nm)_np\d+_(fr|ba|le|ri)_(goo|bad|med)_\d+$")


def flagged(folder: Path, *, split: int, put: str) -> Iterator[tuple[str, str, str]]:
    """Class, name of the video and split, of lists `<class>_test_split<n>.txt` with lines `<name>.avi <flag>`.

    Raises:
        MediaError: there is no such list, or a flag is none of 0 (unused), 1 (train) and 2 (test).
    """
    end = f"_test_split{split}.txt"
    found = sorted(folder.glob(f"*{end}"))
    if not found:
        raise MediaError(folder, f"it has no list <class>{end}", put)
    for path in found:
        for line in lines(path):
            name, _, flag = line.rpartition(" ")
            if not name or flag not in FLAGS:
                raise MediaError(path, f"{line!r} is not '<name>.avi <0, 1 or 2>'", put)
            yield path.name.removesuffix(end), name.strip(), FLAGS[flag]


def source_of(name: str, label: str) -> str:
    """The source video that a clip was cut from, by its file name; the whole name if that is of another form."""
    found = NAME.match(Path(name).stem)
    return found["source"].removesuffix(f"_{label}") if found else Path(name).stem


def read(folder: Path, *, split: int = 1) -> Listing:
    """The clips of one of the three official splits.

    Raises:
        MediaError: the lists or all videos are missing, or a line is not of the official form.
    """
    entries = []
    for label, name, part in flagged(official(folder, "testTrainMulti_7030_splits", put=PUT), split=split, put=PUT):
        source = source_of(name, label)
        path = folder / "hmdb51_org" / label / name
        entries.append(entry(path, label=label, split=part, group=f"{label}/{source}", more={"source": source}))
    known = Official(name=f"HMDB51 split {split}", put=PUT, counts={"train": 3570, "test": 1530}, classes=51)
    return known.listing(folder, entries)
