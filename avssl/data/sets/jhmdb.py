"""JHMDB (Jhuang et al., ICCV 2013): 928 clips of HMDB51 in 21 classes with the 15 joints of the actor in every frame.

3 official splits, in lists as those of HMDB51. Columns: `joints`, the file of the joints (see `joints`), and `frames`,
the folder of the frames as pictures, where it is there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, entry, official
from avssl.data.sets.hmdb51 import flagged, source_of

__all__ = ["joints", "read"]

PUT = (
    "put the videos as ReCompress_Videos/<class>/<name>.avi (JHMDB_video.zip), the joints as "
    "joint_positions/<class>/<name>/joint_positions.mat, the lists as splits/<class>_test_split1.txt, … and, if "
    "wanted, the frames as Rename_Images/<class>/<name>/00001.png, …"
)


def read(folder: Path, *, split: int = 1) -> Listing:
    """The clips of one of the three official splits.

    Raises:
        MediaError: the lists or all videos are missing, or a line is not of the official form.
    """
    entries = []
    for label, name, part in flagged(official(folder, "splits", put=PUT), split=split, put=PUT):
        stem, source = Path(name).stem, source_of(name, label)
        beside = {
            "joints": folder / "joint_positions" / label / stem / "joint_positions.mat",
            "frames": folder / "Rename_Images" / label / stem,
        }
        more = {"source": source} | {k: str(p) for k, p in beside.items() if p.exists()}
        path = folder / "ReCompress_Videos" / label / name
        entries.append(entry(path, label=label, split=part, group=f"{label}/{source}", more=more))
    return Official(name=f"JHMDB split {split}", put=PUT, classes=21).listing(folder, entries)


def joints(path: Path) -> np.ndarray:
    """The joints (T, 15, 2) of a `joint_positions.mat`: x and y in pixels, counted from 1, of every frame.

    Raises:
        MediaError: it is no such file.
    """
    from scipy.io import loadmat

    try:
        found: np.ndarray = np.asarray(loadmat(path)["pos_img"], np.float64)
    except (OSError, ValueError, KeyError, NotImplementedError) as e:
        raise MediaError(path, f"not the joints of JHMDB ({e})", PUT) from e
    if found.ndim != 3 or found.shape[:2] != (2, 15):
        raise MediaError(path, f"its pos_img is {found.shape}, not (2, 15, T)", PUT)
    return found.transpose(2, 1, 0)
