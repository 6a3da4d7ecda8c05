"""How fast features are extracted beside what the loader delivers alone, and what memory very many of them need.

    python tools/bench_extract.py
    python tools/bench_extract.py --root ~/ucf101 --size 112 --clips 4
    python tools/bench_extract.py --items 100000

The loader alone and extractions into an empty cache run by turns; what counts is the ratio within a round, of wall time
and of the CPU time of all threads, which hardly depends on what else the machine does. With `--items` so many entries
of one tiny picture give features of 512 numbers each, and the memory of this process is told instead.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch
import tyro
from bench_files import make_files
from PIL import Image
from torch import Tensor

from avssl.data import Clips, View, batches, catalogue
from avssl.encoders import tiny_r2plus1d
from avssl.evaluation import FeatureCache, FeatureFunction, extract
from avssl.evaluation.feature_key import identity

STATUS = Path("/proc/self/status")
DIM = 512


@dataclass(frozen=True, kw_only=True)
class BenchExtract:
    """Measure extraction."""

    files: Path = Path.home() / ".cache" / "avssl-bench"
    """Where the files are made, once: H.264, 320 × 240."""
    root: Path | None = None
    """A folder of videos of your own instead."""
    visits: int = 128
    """Items of a run."""
    clips: int = 1
    """Clips of each."""
    frames: int = 16
    size: int = 112
    workers: int = 2
    rounds: int = 7
    """How often each runs."""
    items: int = 0
    """Not 0: so many entries of one tiny picture, and their memory."""


class Thumbnail:
    """Hardly an encoder: a few pixels of a few frames."""

    identity = "thumbnail"

    def __call__(self, x: Tensor) -> Tensor:
        """Clips → (B, D)."""
        return x[:, ::4, :, ::16, ::16].flatten(1).float()


class Timed:
    """A feature function, and the CPU time that its thread spends in it, s."""

    def __init__(self, function: FeatureFunction) -> None:
        self.function, self.identity, self.spent = function, identity(function), 0.0

    def __call__(self, x: Tensor) -> Tensor:
        """Clips → (B, D)."""
        since = time.thread_time()
        try:
            return self.function(x)
        finally:
            self.spent += time.thread_time() - since


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run took, s."""

    wall: float
    cpu: float
    encoder: float = 0.0


def timed(deed: Callable[[], object]) -> Run:
    cpu, wall = time.process_time(), time.perf_counter()
    deed()
    return Run(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)


def repeated(paths: Sequence[Path], count: int, folder: Path) -> Path:
    """A manifest of so many entries of these files."""
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["path"])
        out.writerows([str(paths[n % len(paths)].resolve())] for n in range(count))
    return manifest


def speed(c: BenchExtract, folder: Path) -> None:
    paths = [i.path for i in catalogue(c.root)] if c.root else make_files(c.files, "J1b", 4)
    sampler, transform = View(frames=c.frames, size=c.size).evaluation(c.clips)
    items = catalogue(repeated(paths, c.visits, folder)).items
    clips = Clips.of(items, sampler, transform, workers=c.workers, damaged="skip")

    def alone() -> Run:
        def deed() -> None:
            for _ in batches(clips, batch_size=32):
                pass

        return timed(deed)

    def extraction(function: FeatureFunction) -> Run:
        meter = Timed(function)
        shutil.rmtree(folder / "cache", ignore_errors=True)
        run = timed(lambda: extract(meter, clips, progress=False, cache=FeatureCache(folder=folder / "cache")))
        return replace(run, encoder=meter.spent)

    encoder = tiny_r2plus1d(width=8).eval()
    rows = {"no encoder to speak of": Thumbnail(), "tiny_r2plus1d(width=8)": encoder}
    alone(), extraction(rows["no encoder to speak of"])  # caches are warm
    found: dict[str, list[tuple[Run, Run]]] = {name: [] for name in rows}
    for _ in range(c.rounds):
        for name, function in rows.items():
            found[name].append((alone(), extraction(function)))
    per_round = len(clips) * c.clips
    loader = median(per_round / a.wall for pairs in found.values() for a, _ in pairs)
    what = f"{len(clips)} items × {c.clips} clips of {c.frames} frames at {c.size}²"
    print(f"{what}, {c.workers} workers, {c.rounds} rounds")
    print(f"loader alone: {loader:.1f} clips/s")
    for name, pairs in found.items():
        print(f"extraction, {name}:")
        told(" clips/s over those of the loader", [a.wall / e.wall for a, e in pairs])
        told(" CPU time of the loader over its own", [a.cpu / e.cpu for a, e in pairs])
        told(" the same without the time in the encoder", [a.cpu / (e.cpu - e.encoder) for a, e in pairs])
        told(" share of its CPU time in the encoder", [e.encoder / e.cpu for a, e in pairs])


def told(what: str, values: Sequence[float]) -> None:
    print(f"{what}: {median(values):.3f} [{min(values):.3f}–{max(values):.3f}], n = {len(values)}")


class Wide:
    """Many numbers of each picture; notes the memory of this process that is no file's."""

    identity = "wide"

    def __init__(self) -> None:
        self.used: list[float] = []

    def __call__(self, x: Tensor) -> Tensor:
        """Clips → (B, D)."""
        self.used.append(status("RssAnon"))
        return (x.float().mean(dim=(1, 3, 4)) / 255).repeat(1, DIM)[:, :DIM]


def status(what: str) -> float:
    """Memory of this process, MB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def memory(c: BenchExtract, folder: Path) -> None:
    Image.new("RGB", (16, 16), (40, 80, 120)).save(folder / "one.png")
    items = catalogue(repeated([folder / "one.png"], c.items, folder)).items
    clips = Clips.of(items, *View(frames=1, size=8).evaluation(1), workers=c.workers, damaged="skip")
    wide, cache = Wide(), FeatureCache(folder=folder / "cache")
    before = status("RssAnon")
    first = timed(lambda: extract(wide, clips, progress=False, batch_size=64, cache=cache))
    peak = max([*wide.used, status("RssAnon")])
    size = c.items * DIM * 4 / 2**20
    print(f"{c.items} items, {size:.0f} MB of features, {first.wall:.0f} s")
    print(f"memory: {before:.0f} MB before, {peak:.0f} MB at most: {peak - before:+.0f} MB")
    tenth = max(1, len(wide.used) // 10)
    print("MB every tenth of the way: " + " ".join(f"{u:.0f}" for u in wide.used[::tenth]))
    before, seen = status("RssAnon"), len(wide.used)
    found = None

    def again() -> None:
        nonlocal found
        found = extract(wide, clips, progress=False, cache=cache)

    second = timed(again)
    assert found is not None
    assert len(wide.used) == seen
    since = status("RssAnon")
    half = found.rows(found.index[: c.items // 2].tolist())
    mean = sum(float(half[i : i + 4096].sum(dtype="f8")) for i in range(0, len(half), 4096)) / half.size
    print(f"from the cache: {second.wall:.1f} s, {since - before:+.0f} MB; half of its rows: ", end="")
    print(f"{status('RssAnon') - since:+.0f} MB (mean {mean:.3f})")


def main(c: BenchExtract) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        (memory if c.items else speed)(c, Path(place))


if __name__ == "__main__":
    main(tyro.cli(BenchExtract, description=__doc__))
