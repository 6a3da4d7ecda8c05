"""What a run begins with: weights from elsewhere, and the items that it was begun with where it goes on."""

from __future__ import annotations

from pathlib import Path

from avssl.core import MediaError
from avssl.data import Clips, announce
from avssl.encoders import load_weights
from avssl.tasks import Task
from avssl.training.start import Run

__all__ = ["compare_items", "encoder_file", "take_over"]


def encoder_file(encoder: str) -> str:
    """The name of the file of an encoder in a run folder."""
    return "encoder.safetensors" if encoder == "video" else f"{encoder}_encoder.safetensors"


def take_over(task: Task, source: Path) -> None:
    """Fill the encoders of a task with those of another run that are named alike, or with one file of weights.

    Raises:
        MediaError: there is no such file.
        ValueError: the weights are of another network.
    """
    encoders = task.encoders()
    if source.is_dir():
        files = {name: source / encoder_file(name) for name in encoders if (source / encoder_file(name)).is_file()}
    else:
        files = {next(iter(encoders)): source}
    if not files:
        wanted = " or ".join(encoder_file(name) for name in encoders)
        raise MediaError(source, f"there is no {wanted} in it", "give the folder of a finished run to --train.init")
    for name, path in files.items():
        load_weights(encoders[name], path)


def compare_items(run: Run, clips: Clips) -> None:
    """Tell where a run goes on with other items than it began with, since then it is not as if never stopped.

    Raises:
        ValueError: the ranks have different items.
    """
    now = f"{len(clips)} items, {clips.fingerprint}"
    seen = sorted({said for _, said in run.ranks.together([("", now)])})
    if len(seen) > 1:
        raise ValueError(f"the ranks see different data ({'; '.join(seen)}): give all of them the same files")
    noted = run.folder / "items.txt"
    if not run.ranks.first:
        return
    if run.train.resume and noted.is_file() and (before := noted.read_text()) != now:
        announce(f"{run.folder} goes on with other data than it began with: {before} then, {now} now", [])
    noted.write_text(now)
