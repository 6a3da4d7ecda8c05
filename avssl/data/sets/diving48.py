"""Diving48 V2 (Li et al., ECCV 2018; labels of 2020): 15,027 training and 1,970 test clips of 48 dives.

Nothing says that the official split keeps the competitions apart that the clips were cut from, so these are no groups:
the column `source` tells the YouTube video.
"""

from __future__ import annotations

from pathlib import Path

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, entry, official, tree

__all__ = ["read"]

PUT = (
    "put the clips as rgb/<name>.mp4 and the lists as Diving48_V2_train.json, Diving48_V2_test.json and "
    "Diving48_vocab.json, beside it or below annotations/"
)


def read(folder: Path) -> Listing:
    """The clips of the two official lists; a label is a word of the vocabulary, such as 'Back 15som 05Twis FREE'.

    Raises:
        MediaError: a list or all clips are missing, or a list is not of the official form.
    """

    def listed(name: str) -> Path:
        return official(folder, name, f"annotations/{name}", put=PUT)

    names = [" ".join(word) for word in tree(listed("Diving48_vocab.json"))]
    entries = []
    for split in ("train", "test"):
        path = listed(f"Diving48_V2_{split}.json")
        try:
            for row in tree(path):
                name = row["vid_name"]
                more = {"source": name.rpartition("_")[0]}
                entries.append(entry(folder / "rgb" / f"{name}.mp4", label=names[row["label"]], split=split, more=more))
        except (TypeError, KeyError, IndexError, AttributeError) as e:
            raise MediaError(path, "not a list of objects with vid_name and a label of the vocabulary", PUT) from e
    known = Official(name="Diving48 V2", put=PUT, counts={"train": 15_027, "test": 1_970}, classes=48)
    return known.listing(folder, entries)
