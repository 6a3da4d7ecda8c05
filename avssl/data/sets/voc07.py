"""VOC 2007 classification (Everingham et al., IJCV 2010): 5,011 + 4,952 pictures with several of 20 classes.

The split "train" is the official trainval, as the linear probes of the literature have it. A class of which a picture
shows only difficult objects is neither there nor absent: it is in the column `difficult` and not to be scored.
"""

from __future__ import annotations

from pathlib import Path

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, entry, lines, official

__all__ = ["read"]

PUT = (
    "unpack VOCtrainval_06-Nov-2007.tar and VOCtest_06-Nov-2007.tar here: VOCdevkit/VOC2007/JPEGImages/<id>.jpg and "
    "VOCdevkit/VOC2007/ImageSets/Main/<class>_trainval.txt, <class>_test.txt, …"
)


def read(folder: Path) -> Listing:
    """The pictures of the class lists of the challenge, with their classes as `labels`.

    Raises:
        MediaError: the lists or all pictures are missing, or a line is not '<id> <-1, 0 or 1>'.
    """
    lists = official(folder, "VOCdevkit/VOC2007/ImageSets/Main", "VOC2007/ImageSets/Main", "ImageSets/Main", put=PUT)
    entries = []
    for split, part in {"train": "trainval", "test": "test"}.items():
        files = sorted(lists.glob(f"*_{part}.txt"))
        if not files:
            raise MediaError(lists, f"it has no list <class>_{part}.txt", PUT)
        shown: dict[str, dict[str, list[str]]] = {}
        for path in files:
            for line in lines(path):
                number, _, flag = line.partition(" ")
                if flag.strip() not in {"-1", "0", "1"}:
                    raise MediaError(path, f"{line!r} is not '<id> <-1, 0 or 1>'", PUT)
                flags = shown.setdefault(number, {"1": [], "0": [], "-1": []})
                flags[flag.strip()].append(path.name.removesuffix(f"_{part}.txt"))
        for number, flags in sorted(shown.items()):
            picture = lists.parent.parent / "JPEGImages" / f"{number}.jpg"
            more = {"difficult": ";".join(flags["0"])}
            entries.append(entry(picture, labels=flags["1"], split=split, more=more))
    known = Official(name="VOC 2007", put=PUT, counts={"train": 5_011, "test": 4_952}, classes=20)
    return known.listing(folder, entries)
