"""Files that are made once of a data set that has none that can be opened: pictures of records, films of frames."""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from avssl.data.items import Entry, entries
from avssl.media import film_of_pictures
from avssl.media.toybox import cache_root

__all__ = ["Picture", "films", "pictures"]

IN_A_FOLDER = 10_000


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W, 3) uint8 and the columns of their manifest."""

    pixels: np.ndarray
    columns: Mapping[str, str]


def pictures(name: str, sources: Sequence[Path], shown: Iterable[Picture]) -> list[Entry]:
    """Write the pictures as PNG files with a manifest into the cache, unless they were made of the same sources before.

    The folder is there completely or not at all: made elsewhere and renamed at the end.

    Raises:
        MediaError: as `shown` does.
    """
    stamps = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in sources if p.exists()]
    folder = cache_root() / "sets" / f"{name}-{hashlib.sha256(repr(stamps).encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            _write(making, name, shown)
            making.chmod(0o755)  # mkdtemp's own is for one user only
            making.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was sooner, and its folder is the same
                raise
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return entries(folder / "manifest.csv")


def _write(folder: Path, name: str, shown: Iterable[Picture]) -> None:
    rows: list[dict[str, str]] = []
    console = Console(stderr=True)
    for n, picture in enumerate(track(shown, f"Writing {name}", console=console, transient=True, total=None)):
        path = folder / f"{n // IN_A_FOLDER:02}" / f"{n:06}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.ascontiguousarray(picture.pixels)).save(path, compress_level=1)
        rows.append({"path": path.relative_to(folder).as_posix(), **picture.columns})
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(
            file, list(dict.fromkeys(k for row in rows for k, v in row.items() if v)), extrasaction="ignore"
        )
        table.writeheader()
        table.writerows(rows)


def films(listed: Sequence[Entry], *, rate: int) -> list[Entry]:
    """The entries, whose paths are folders of JPEG pictures, with films of these pictures (`rate` Hz) in their place.

    A film is made anew when its folder has changed. Folders that are not there or empty stay as they are.

    Raises:
        MediaError: a picture cannot be read.
    """
    console = Console(stderr=True)
    return [
        replace(e, path=path, columns={**e.columns, "path": str(path)})
        for e in track(listed, "Joining frames", console=console, transient=True)
        for path in [_film(e.path, rate)]
    ]


def _film(frames: Path, rate: int) -> Path:
    if not frames.is_dir():
        return frames
    place = hashlib.sha256(os.fsencode(frames.resolve().parent)).hexdigest()[:16]
    film = cache_root() / "sets" / f"films-{place}" / f"{frames.name}.mov"
    changed = frames.stat().st_mtime_ns
    if film.is_file() and film.stat().st_mtime_ns == changed:
        return film
    shown = sorted(p for p in frames.iterdir() if p.suffix.lower() in {".jpg", ".jpeg"})
    if not shown:
        return frames
    film.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=film.parent) as making:
        made = film_of_pictures(shown, Path(making) / film.name, rate=rate)
        os.utime(made, ns=(changed, changed))  # it is as old as its folder: so it is seen when that has changed
        made.replace(film)
    return film
