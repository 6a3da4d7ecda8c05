"""AudioSet (Gemmeke et al., ICASSP 2017): stretches of 10 s of YouTube videos with several of 527 classes of sound.

22,160 are the split "train" (balanced), 2,041,789 "unbalanced" and 20,371 "test" (eval). Videos vanish from YouTube:
what is missing is counted. A group is the YouTube video.
"""

from __future__ import annotations

from pathlib import Path

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, by_stem, entry, official, rows

__all__ = ["read"]

PUT = (
    "put balanced_train_segments.csv, eval_segments.csv, class_labels_indices.csv and, if wanted, "
    "unbalanced_train_segments.csv here, and the cut sounds or videos anywhere below, named <id>, Y<id> or "
    "<id>_<start>_<end> in whole s"
)
PARTS = {"train": "balanced_train", "unbalanced": "unbalanced_train", "test": "eval"}
COUNTS = {"train": 22_160, "unbalanced": 2_041_789, "test": 20_371}


def read(folder: Path) -> Listing:
    """The segments of the official lists, with their classes as `labels`.

    Raises:
        MediaError: a list or all files are missing, or a segment has a class that there is not.
    """
    classes = rows(official(folder, "class_labels_indices.csv", put=PUT), ("mid", "display_name"))
    names = {row["mid"]: row["display_name"] for row in classes}
    files = by_stem(folder)
    entries, counts = [], {}
    for split, part in PARTS.items():
        if split == "unbalanced" and not (folder / f"{part}_segments.csv").is_file():
            continue
        counts[split] = COUNTS[split]
        path = official(folder, f"{part}_segments.csv", put=PUT)
        for row in rows(path, ("id", "start", "end", "mids"), header=False, skip="#"):
            video = row["id"]
            try:
                labels = [names[mid] for mid in row["mids"].split(",")]
                times = f"{float(row['start']):.0f}_{float(row['end']):.0f}"
            except (KeyError, ValueError) as e:
                raise MediaError(path, f"segment {video}: {e} is no class or time", PUT) from e
            found = (files[stem] for stem in (video, f"Y{video}", f"{video}_{times}") if stem in files)
            sound = next(found, folder / f"{video}.wav")
            entries.append(entry(sound, labels=labels, split=split, group=video))
    return Official(name="AudioSet", put=PUT, counts=counts, classes=527).listing(folder, entries)
