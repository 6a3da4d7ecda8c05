"""VGGSound (Chen et al., ICASSP 2020): nearly 200,000 stretches of 10 s of YouTube videos, of 309 classes of sound.

Videos vanish from YouTube: what is missing is counted. A group is the YouTube video.
"""

from __future__ import annotations

from pathlib import Path

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, by_stem, entry, official, rows

__all__ = ["read"]

PUT = (
    "put vggsound.csv (<youtube_id>,<start>,<label>,<train or test> a line) here and the cut videos anywhere below, "
    "named <youtube_id>_<start>.mp4 with six digits, such as abc_000030.mp4"
)


def read(folder: Path) -> Listing:
    """The clips of the official list.

    Raises:
        MediaError: the list or all videos are missing, or a start is no number.
    """
    path = official(folder, "vggsound.csv", put=PUT)
    files = by_stem(folder)
    entries = []
    for row in rows(path, ("id", "start", "label", "split"), header=False):
        if not row["start"].isdecimal():
            raise MediaError(path, f"video {row['id']}: the start {row['start']!r} is no number of seconds", PUT)
        stem = f"{row['id']}_{int(row['start']):06}"
        video = files.get(stem, folder / f"{stem}.mp4")
        entries.append(entry(video, label=row["label"], split=row["split"], group=row["id"]))
    return Official(name="VGGSound", put=PUT, classes=309).listing(folder, entries)
