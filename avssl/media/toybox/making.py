"""Making a toybox: in parallel, with progress, complete or not at all."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import avssl
from avssl.core import MediaError
from avssl.media.toybox.choice import Toybox
from avssl.media.toybox.drawing import Role, cast, draw_scene
from avssl.media.toybox.facts import poses_path, scene_truth, write_poses, write_truth
from avssl.media.toybox.hearing import sound
from avssl.media.toybox.picture import frames
from avssl.media.toybox.writer import write_clip

__all__ = ["cache_root", "choices_text", "make_toybox", "render_part", "toybox_of"]

ALONE = 24  # so few clips are rendered sooner than other processes start
STALE = 6 * 3600.0  # seconds after which the leavings of a killed run are swept away


def cache_root() -> Path:
    """The folder in which toyboxes are kept: $AVSSL_CACHE or ~/.cache/avssl."""
    chosen = os.environ.get("AVSSL_CACHE")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "avssl"


def make_toybox(toybox: Toybox | None = None, root: Path | None = None) -> Path:
    """Make a toybox, or find the one made before from the same choices.

    Returns:
        The folder `root/toybox-<hash of the choices>` (root: by default `cache_root()`), with `manifest.csv` (path,
        label, split, group, appearance, timbre; of several cameras or moving ones also scene, camera, and poses, a
        table of where the camera is), `clips/` and `truth/`. It is there completely or not at all: made
        elsewhere and renamed at the end. Of several processes that want the same, one makes it and the others wait.

    Raises:
        MediaError: a process that renders failed.
    """
    toybox = toybox or Toybox()
    root = (root or cache_root()).expanduser().resolve()
    folder = root / toybox.name
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with _only_one(root / f".{toybox.name}.lock"):
        if folder.is_dir():
            return folder
        _sweep(root, toybox.name)
        making = Path(tempfile.mkdtemp(prefix=f".{toybox.name}-", dir=root))
        try:
            _fill(making, toybox)
            making.chmod(0o755)  # mkdtemp's own is for one user only
            _place(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return folder


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Wait until no other process of this machine holds the lock; the kernel lets go of it when its holder dies.

    Without such locks (no `fcntl`, or a network folder) two may make the same: the rename keeps them apart.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sweep(root: Path, name: str) -> None:
    """Remove what runs that were killed left behind."""
    for left in root.glob(f".{name}-*"):
        if time.time() - left.stat().st_mtime > STALE:
            shutil.rmtree(left, ignore_errors=True)


def _place(making: Path, folder: Path) -> None:
    """Rename the finished folder; if another process was sooner, its folder is the same and stays."""
    try:
        making.rename(folder)
    except OSError:
        if not (folder / "manifest.csv").is_file():
            raise


def _fill(folder: Path, toybox: Toybox) -> None:
    """Render all clips into an empty folder and write the manifest last."""
    for name in ("clips", "truth"):
        (folder / name).mkdir()
    (folder / "toybox.json").write_text(choices_text(toybox))
    columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("making the toybox", total=toybox.clips)
        if toybox.clips <= ALONE:
            render_part(folder, toybox, done=lambda: progress.advance(task))
        else:
            _render_apart(folder, toybox, done=lambda: progress.advance(task))
    with (folder / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file)
        filmed = ["scene", "camera", "poses"] if toybox.filmed else []
        table.writerow(["path", "label", "split", "group", "appearance", "timbre", *filmed])
        for r in cast(toybox):
            seen = [r.scene, str(r.camera), f"truth/{r.stem}.csv"] if toybox.filmed else []
            table.writerow([f"clips/{r.stem}.mp4", r.motion, r.split, r.group, r.shape, r.timbre, *seen])


def render_part(
    folder: Path, toybox: Toybox, *, part: int = 0, parts: int = 1, done: Callable[[], object] = lambda: None
) -> None:
    """Render each `parts`-th clip from the `part`-th on into the folder; call `done` after each."""
    for role in cast(toybox)[part::parts]:
        _render(folder, toybox, role)
        done()


def _render(folder: Path, toybox: Toybox, role: Role) -> None:
    scene = draw_scene(toybox, role)
    heard = None if toybox.silent else sound(scene, toybox)
    path = folder / "clips" / f"{role.stem}.mp4"
    write_clip(path, frames(scene, toybox), fps=toybox.fps, sound=heard, sample_rate=toybox.sample_rate)
    write_truth(folder / "truth" / f"{role.stem}.json", scene_truth(scene, toybox))
    if toybox.filmed:
        write_poses(poses_path(path), scene, toybox)


def _render_apart(folder: Path, toybox: Toybox, *, done: Callable[[], object]) -> None:
    """Render in one fresh process for each core: no fork of a process with threads, no guard needed in scripts."""
    parts = max(1, min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 32))
    here = str(Path(avssl.__file__).parent.parent)  # the children find the avssl that runs here, however it was found
    path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "avssl.media.toybox", str(folder), "--parts", str(parts), "--part"]
    processes = [
        subprocess.Popen(
            [*command, str(part)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for part in range(parts)
    ]
    complaints = [""] * parts
    threads = [
        threading.Thread(target=_follow, args=(p, done, complaints, k), daemon=True) for k, p in enumerate(processes)
    ]
    try:
        for thread in threads:
            thread.start()
        for process, thread in zip(processes, threads, strict=True):
            thread.join()
            if process.wait() != 0:
                last = complaints[processes.index(process)].strip().splitlines()[-1:]
                what = f"rendering failed with status {process.returncode}: {' '.join(last)}"
                raise MediaError(folder, what, "mend the cause and make the toybox again; nothing was kept")
    finally:
        for process in processes:  # after a failure or Ctrl-C none is to write into a folder that is being removed
            if process.poll() is None:
                process.kill()
        for process in processes:
            process.wait()


def _follow(process: subprocess.Popen[str], done: Callable[[], object], complaints: list[str], place: int) -> None:
    """Count the lines of a process, one for each clip, and keep what it complains of."""
    if process.stdout is not None and process.stderr is not None:
        with process.stdout, process.stderr:
            for _ in process.stdout:
                done()
            complaints[place] = process.stderr.read()


def choices_text(toybox: Toybox) -> str:
    """The choices as JSON."""
    return json.dumps(asdict(toybox), indent=1)


def toybox_of(folder: Path) -> Toybox:
    """The choices from which a folder was made."""
    plain = json.loads((folder / "toybox.json").read_text())
    return Toybox(**{**plain, "motions": tuple(plain["motions"])})
