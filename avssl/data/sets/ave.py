"""AVE (Tian et al., ECCV 2018): 4,143 videos of 10 s of 28 events that are seen and heard.

An entry is the whole video; the columns `event_start` and `event_end` (s) tell where in it the event is. A group is the
YouTube video.
"""

from __future__ import annotations

from pathlib import Path

from avssl.data.sets.common import Listing, Official, entry, official, rows

__all__ = ["read"]

PUT = (
    "put the videos as AVE/<VideoID>.mp4 and the lists trainSet.txt, valSet.txt and testSet.txt beside that folder "
    "(AVE_Dataset.zip)"
)
COLUMNS = ("Category", "VideoID", "Quality", "StartTime", "EndTime")


def read(folder: Path) -> Listing:
    """The videos of the three official lists, of lines `Category&VideoID&Quality&StartTime&EndTime`.

    Raises:
        MediaError: a list or all videos are missing.
    """
    entries = []
    for split in ("train", "val", "test"):
        path = official(folder, f"{split}Set.txt", put=PUT)
        for row in rows(path, COLUMNS, header=False, delimiter="&"):
            if row["Category"] == "Category":
                continue
            name = row["VideoID"]
            more = {"quality": row["Quality"], "event_start": row["StartTime"], "event_end": row["EndTime"]}
            video = folder / "AVE" / f"{name}.mp4"
            entries.append(entry(video, label=row["Category"], split=split, group=name, more=more))
    known = Official(name="AVE", put=PUT, counts={"train": 3_339, "val": 402, "test": 402}, classes=28)
    return known.listing(folder, entries)
