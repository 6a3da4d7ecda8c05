"""What the contenders of `bench_media.py` are asked for: jobs, visits of files, clips cut in a visit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SOUND_RATE, SOUND_SECONDS = 16000, 1.0

Cutting = tuple[Tensor | None, Tensor | None]
"""A clip: frames (T, 3, H, W) uint8 and sound (1, N) float32."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """How clips are cut: `frames` every `step` frames, short side scaled to `short`, then a square crop."""

    name: str
    about: str
    frames: int = 16
    step: int = 2
    clips: int = 1
    """Clips of one visit of a file."""
    short: int = 128
    crop: int = 112
    sound: bool = False
    files: int = 4


JOBS = (
    Job(name="J1a", about="Xvid-like AVI 320×240 7 s, 16×2 → 112"),
    Job(name="J1b", about="H.264 320×240 7 s, 16×2 → 112"),
    Job(name="J2", about="H.264 340×256 10 s, 8 clips of 16×2 → 112 a visit", clips=8),
    Job(name="J3", about="H.264 1080p 10 s, 16×4 → 224", step=4, short=256, crop=224, files=1),
    Job(name="J4", about="J1b with AAC, and 1 s of sound at 16 kHz", sound=True),
)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One clip: the numbers of its frames, when they are shown (s), and where the crop lies in the scaled frame."""

    numbers: tuple[int, ...]
    times: tuple[float, ...]
    top: int
    left: int
    sound: float | None = None
    """When its sound begins, s."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """All that is wanted of one file at once."""

    path: str
    fps: float
    height: int
    width: int
    scaled: tuple[int, int]
    """(H, W) of the whole frame after scaling."""
    crop: int
    cuts: tuple[Cut, ...]

    @property
    def numbers(self) -> list[int]:
        """The frames that any clip wants, each once, in order."""
        return sorted({n for c in self.cuts for n in c.numbers})

    @property
    def times(self) -> dict[int, float]:
        """When the wanted frames are shown (s), by number, in order."""
        return dict(sorted((n, t) for c in self.cuts for n, t in zip(c.numbers, c.times, strict=True)))

    def source_box(self, cut: Cut) -> tuple[int, int, int, int]:
        """The crop in whole pixels of the file (top, left, height, width)."""
        down, across = self.height / self.scaled[0], self.width / self.scaled[1]
        high, wide = round(self.crop * down), round(self.crop * across)
        return (
            min(round(cut.top * down), self.height - high),
            min(round(cut.left * across), self.width - wide),
            high,
            wide,
        )

    def shifted(self, frames: int, last: int) -> Visit:
        """The same with frames so much later, and no sound; what would pass the ends stays there."""

        def moved(cut: Cut) -> Cut:
            numbers = tuple(min(max(n + frames, 0), last) for n in cut.numbers)
            times = tuple(t + (m - n) / self.fps for t, m, n in zip(cut.times, numbers, cut.numbers, strict=True))
            return replace(cut, numbers=numbers, times=times, sound=None)

        return replace(self, cuts=tuple(moved(c) for c in self.cuts))


@dataclass(frozen=True, kw_only=True)
class Source:
    """What must be known of a file to cut clips from it; `instants` are those of its frames, s."""

    path: Path
    height: int
    width: int
    fps: float
    instants: np.ndarray
    sound: bool


class Contender(ABC):
    """A way to read clips; made in a process of its own."""

    sound: bool = False
    """Whether it can read sound."""

    def prepare(self, paths: Sequence[str]) -> None:  # noqa: B027
        """What is done once for all epochs."""

    @abstractmethod
    def read(self, visit: Visit) -> list[Cutting]:
        """Cut the clips of a visit."""

    def first(self, visit: Visit) -> list[Cutting]:
        """Cut the clips of a file that has never been visited before."""
        return self.read(visit)


def sources(paths: Sequence[Path]) -> list[Source]:
    """Look into files, and keep those that have moving pictures.

    Raises:
        MediaError: one cannot be read.
    """
    from avssl.media import look

    found = []
    for path in paths:
        table = look(path)
        info, picture = table.info, table.picture
        if picture is None:
            continue
        instants = picture.instants(np.arange(len(picture.ticks)))
        found.append(
            Source(
                path=path,
                height=info.height,
                width=info.width,
                fps=info.fps,
                instants=instants,
                sound=info.has_sound and info.sound_duration > SOUND_SECONDS,
            )
        )
    return found


def draw_visits(job: Job, files: Sequence[Source], count: int, rng: np.random.Generator) -> list[Visit]:
    """Visits of the files in turn, each with clips at random places; files that are too short are passed over."""
    long = [s for s in files if len(s.instants) > (job.frames - 1) * job.step]
    if not long:
        raise ValueError(f"{job.name}: no file has {(job.frames - 1) * job.step + 1} frames; give other files")
    return [_visit(job, long[i % len(long)], rng) for i in range(count)]


def _visit(job: Job, source: Source, rng: np.random.Generator) -> Visit:
    ratio = job.short / min(source.height, source.width)
    scaled = (max(job.short, int(source.height * ratio)), max(job.short, int(source.width * ratio)))
    cuts = []
    for _ in range(job.clips):
        reach = (job.frames - 1) * job.step
        first = int(rng.integers(len(source.instants) - reach))
        numbers = tuple(range(first, first + reach + 1, job.step))
        times = tuple(source.instants[list(numbers)].tolist())
        top, left = (int(rng.integers(n - job.crop + 1)) for n in scaled)
        begin = min(times[0], float(source.instants[-1]) - SOUND_SECONDS)
        cuts.append(Cut(numbers=numbers, times=times, top=top, left=left, sound=begin if job.sound else None))
    return Visit(
        path=str(source.path),
        fps=source.fps,
        height=source.height,
        width=source.width,
        scaled=scaled,
        crop=job.crop,
        cuts=tuple(cuts),
    )


def sliced(video: Tensor, visit: Visit) -> list[Tensor]:
    """The clips out of scaled frames (T, 3, H, W), which are those of `visit.numbers`."""
    place = {n: i for i, n in enumerate(visit.numbers)}
    size = visit.crop
    found = []
    for cut in visit.cuts:
        rows = [place[n] for n in cut.numbers]
        whole = rows == list(range(len(video)))
        clip = video if whole else video[rows]
        found.append(clip[..., cut.top : cut.top + size, cut.left : cut.left + size])
    return found


def channels_first(video: np.ndarray) -> Tensor:
    """Frames (T, H, W, 3) as (T, 3, H, W)."""
    return torch.from_numpy(video).permute(0, 3, 1, 2)


def frames_counted(files: Sequence[Source]) -> Mapping[str, int]:
    """How many frames each file has."""
    return {str(s.path): len(s.instants) for s in files}
