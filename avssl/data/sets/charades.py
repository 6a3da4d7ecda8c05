"""Charades (Sigurdsson et al., ECCV 2016): 9,848 videos of 267 people at home; 66,500 stretches of 157 actions.

A group is the person, of whom the official split has each on one side only. The column `actions` keeps the list as it
is: `<class> <start> <end>` in s, parted by ';'.
"""

from __future__ import annotations

from pathlib import Path

from avssl.core import MediaError
from avssl.data.sets.common import Listing, Official, entry, lines, official, rows

__all__ = ["read"]

PUT = (
    "put the videos as Charades_v1_480/<id>.mp4 and Charades_v1_train.csv, Charades_v1_test.csv and "
    "Charades_v1_classes.txt (Charades.zip) beside that folder or below Charades/"
)
COUNTS = {"train": 7_985, "test": 1_863}


def read(folder: Path, *, stretches: bool = False) -> Listing:
    """The videos with all their actions as `labels`; or every stretch of one action, as an entry with one `label`.

    A stretch ends where its video does, also where the list says later.

    Raises:
        MediaError: a list or all videos are missing, or an action is not of the official form.
    """

    def listed(name: str) -> Path:
        return official(folder, name, f"Charades/{name}", put=PUT)

    words = (line.partition(" ") for line in lines(listed("Charades_v1_classes.txt")))
    names = {code: f"{code} {name}" for code, _, name in words}
    entries = []
    for split in ("train", "test"):
        path = listed(f"Charades_v1_{split}.csv")
        for row in rows(path, ("id", "subject", "actions", "length")):
            video = folder / "Charades_v1_480" / f"{row['id']}.mp4"
            try:
                actions = [a.split() for a in row["actions"].split(";") if a.strip()]
                spans = [(names[code], float(start), float(end)) for code, start, end in actions]
                length = float(row["length"])
            except (ValueError, KeyError) as e:
                raise MediaError(path, f"video {row['id']}: {row['actions']!r} are no actions", PUT) from e
            who = row["subject"]
            if stretches:
                cut = [(label, start, min(end, length)) for label, start, end in spans]
                entries += [
                    entry(video, label=label, split=split, group=who, start=start, end=end)
                    for label, start, end in cut
                    if start < end
                ]
            else:
                labels = sorted({label for label, _, _ in spans})
                entries.append(entry(video, labels=labels, split=split, group=who, more={"actions": row["actions"]}))
    known = Official(name="Charades", put=PUT, counts={} if stretches else COUNTS, classes=157)
    return known.listing(folder, entries)
