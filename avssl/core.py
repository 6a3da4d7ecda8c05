"""The vocabulary that every room of avssl speaks: what a file holds, what to cut, what came out.

Shape letters, used in every docstring of the project:

    B   examples in a batch                 S   clips (spans) of one example
    T   frames of a clip                    C   colour channels
    H W height and width, pixels            A   sound channels
    N   sound samples                       L   steps of a sequence of features
    D   size of a feature vector            K   classes
    M   items of a data set                 *   any leading dimensions

Times are seconds on the clock of the file: 0 is the instant at which its first frame is shown (of a file without
pictures: its first sound sample). Rates are Hz.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:  # the vocabulary is numbers; torch is only needed to hold the pixels
    from torch import Tensor

__all__ = [
    "Box",
    "Clip",
    "Example",
    "MediaError",
    "MediaInfo",
    "Plan",
    "Rng",
    "Sampler",
    "Sound",
    "Span",
    "Trajectory",
    "Unfit",
    "generator",
]

Rng: TypeAlias = np.random.Generator
"""The only source of randomness: it is always handed over, never global."""

Label: TypeAlias = int | float | tuple[int, ...] | tuple[float, ...]
"""A scalar says something of the whole example, a tuple of S values something of each of its clips."""


def generator(*key: int) -> np.random.Generator:
    """The generator of one draw, keyed by whole numbers ≥ 0, such as (seed, epoch, item)."""
    # the length goes in too: numpy pads short keys with zeros, so that (1, 2) and (1, 2, 0) would be the same
    return np.random.default_rng(np.random.SeedSequence((len(key), *key)))


class MediaError(Exception):
    """A file that cannot give what was asked of it; says which file, what is wrong and what to do."""

    def __init__(self, path: object, what: str, remedy: str) -> None:
        super().__init__(str(path), what, remedy)
        self.path, self.what, self.remedy = str(path), what, remedy

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.remedy}"


class Unfit(ValueError):
    """A sampler was given a file that it cannot cut, such as one that is too short."""


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Where a camera was: `poses` (n, 3, 4) at rising `times` (n,) s of the file's clock.

    A pose [R | t] takes a point in the camera's axes (x to the right, y down, z forward) to the world, in any unit of
    length, as those of KITTI do: Geiger et al., CVPR 2012. Items cut from one file share its arrays.
    """

    times: np.ndarray
    poses: np.ndarray

    def __post_init__(self) -> None:
        times, poses = self.times, self.poses
        _require(times.ndim == 1 and len(times) > 1, f"times of shape {times.shape}: give two instants or more")
        _require(poses.shape == (len(times), 3, 4), f"poses of shape {poses.shape}: must be ({len(times)}, 3, 4)")
        _require(bool(np.isfinite(times).all() and np.isfinite(poses).all()), "times and poses: must be finite")
        _require(bool((np.diff(times) > 0).all()), "times of a trajectory: must rise")
        turned = poses[:, :, :3]
        off = np.abs(turned @ turned.transpose(0, 2, 1) - np.eye(3)).max()
        _require(
            bool(off < 0.01), f"poses whose first 3 × 3 numbers are off a rotation by {off:.2g}: must be rotations"
        )
        _require(bool((np.linalg.det(turned) > 0).all()), "poses of which some are mirror images: must be rotations")

    def at(self, instant: float) -> np.ndarray:
        """The pose (3, 4) at an instant (s), between those that are known; beyond them the first or the last."""
        k = min(max(int(np.searchsorted(self.times, instant)), 1), len(self.times) - 1)
        share = (instant - self.times[k - 1]) / (self.times[k] - self.times[k - 1])
        share = min(max(float(share), 0.0), 1.0)
        blend: np.ndarray = (1 - share) * self.poses[k - 1] + share * self.poses[k]
        left, _, right = np.linalg.svd(blend[:, :3])  # the rotation that lies nearest
        return np.concatenate((left @ right, blend[:, 3:]), axis=1)

    def stretch(self, start: float, end: float) -> Trajectory:
        """That of the stretch [start, end) s, on a clock that starts where the stretch does."""
        first = max(0, int(np.searchsorted(self.times, start, side="right")) - 1)
        last = int(np.searchsorted(self.times, end)) + 1
        first = min(first, len(self.times) - 2)
        last = max(last, first + 2)
        return Trajectory(self.times[first:last] - start, self.poses[first:last])


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """What a file holds, known before anything is decoded.

    `duration` is the stretch in which frames are shown (s; 0 for a picture), of a file without pictures that of its
    sound. `frames` is exact: 0 without pictures, 1 for a picture. The sound lies at [sound_start, sound_start +
    sound_duration) on the same clock. `others` are the further files a visit may cut from (`Span.file` ≥ 1). `motion`
    is the relative amount of change in equal slices of the duration, at any scale; empty: unknown. `camera` is where
    the camera was, if that is known.
    """

    duration: float
    fps: float = 0.0
    frames: int = 0
    height: int = 0
    width: int = 0
    sample_rate: int = 0
    channels: int = 0
    sound_start: float = 0.0
    sound_duration: float = 0.0
    others: tuple[MediaInfo, ...] = ()
    motion: tuple[float, ...] = ()
    camera: Trajectory | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        _require(math.isfinite(self.duration) and self.duration >= 0, f"duration {self.duration} s: must be ≥ 0")
        _require(math.isfinite(self.fps) and self.fps >= 0, f"fps {self.fps} Hz: must be ≥ 0")
        _require(self.frames >= 0, f"frames {self.frames}: must be ≥ 0")
        _require(
            self.frames == 0 or (self.height > 0 and self.width > 0),
            f"{self.frames} frames of {self.height}×{self.width} pixels: height and width must be > 0",
        )
        _require(
            self.frames < 2 or (self.fps > 0 and self.duration > 0),
            f"{self.frames} frames at {self.fps} Hz in {self.duration} s: a video has a rate and a duration",
        )
        _require(
            self.sample_rate >= 0 and self.channels >= 0,
            f"sample_rate {self.sample_rate} Hz, {self.channels} channels: must be ≥ 0",
        )
        _require(
            (self.sample_rate > 0) == (self.channels > 0),
            f"sample_rate {self.sample_rate} Hz with {self.channels} channels: sound has both or neither",
        )
        _require(math.isfinite(self.sound_start), f"sound_start {self.sound_start} s: must be finite")
        _require(
            math.isfinite(self.sound_duration) and self.sound_duration >= 0,
            f"sound_duration {self.sound_duration} s: must be ≥ 0",
        )
        _require(all(math.isfinite(m) and m >= 0 for m in self.motion), f"motion {self.motion}: must be finite and ≥ 0")

    @property
    def has_video(self) -> bool:
        """Whether there is at least one frame (a picture has one)."""
        return self.frames > 0

    @property
    def has_sound(self) -> bool:
        """Whether there is sound."""
        return self.channels > 0

    @property
    def is_picture(self) -> bool:
        """Whether this is a still picture: a clip with T = 1."""
        return self.frames == 1 and self.duration == 0


@dataclass(frozen=True, kw_only=True)
class Box:
    """A crop, relative to the frame as it is shown: 0 ≤ top < top + height ≤ 1, and the same across."""

    top: float = 0.0
    left: float = 0.0
    height: float = 1.0
    width: float = 1.0

    def __post_init__(self) -> None:
        slack = 1e-6  # the sum of two rounded numbers may pass 1 by a hair
        _require(
            self.height > 0 and self.width > 0 and min(self.top, self.left) >= 0,
            f"{self}: a crop has a positive size and lies inside the frame",
        )
        _require(
            self.top + self.height <= 1 + slack and self.left + self.width <= 1 + slack,
            f"{self}: the crop passes the edge of the frame; top + height and left + width must be ≤ 1",
        )


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A stretch of sound to cut: [start, start + duration) s of the file's clock, at `rate` Hz.

    `mono` averages the channels (A = 1). Outside the sound that the file has there are zeros.
    """

    start: float
    duration: float
    rate: int = 16000
    mono: bool = True

    def __post_init__(self) -> None:
        _require(math.isfinite(self.start), f"sound start {self.start} s: must be finite")
        _require(math.isfinite(self.duration) and self.duration > 0, f"sound duration {self.duration} s: must be > 0")
        _require(self.rate > 0, f"sound rate {self.rate} Hz: must be > 0")
        _require(
            self.samples > 0,
            f"sound of {self.duration} s at {self.rate} Hz has no sample: ask for {1 / self.rate:.3g} s or more",
        )

    @property
    def samples(self) -> int:
        """N, the number of samples that this stretch gives."""
        return round(self.duration * self.rate)


@dataclass(frozen=True, kw_only=True)
class Span:
    """What to cut for one clip: frames, and/or sound.

    `times` are the instants (s) of the T frames, each the frame *shown* at that instant: reversed, frozen and sped up
    are just instants. `boxes` crops: none (the whole frame), one for all frames, or one for each of the T. `size` is
    (H, W) of the result; None keeps the size of the crop. `file` 0 is the item itself, k ≥ 1 is `info.others[k - 1]`.
    """

    times: tuple[float, ...] = ()
    boxes: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None
    sound: Sound | None = None
    file: int = 0
    sound_file: int | None = None
    """The file that the sound is cut from; None: the same as the frames."""

    def __post_init__(self) -> None:
        _require(bool(self.times) or self.sound is not None, "a span cuts frames or sound; this one has neither")
        _require(all(math.isfinite(t) for t in self.times), f"times {self.times}: must be finite")
        _require(
            len(self.boxes) in {0, 1, len(self.times)},
            f"{len(self.boxes)} boxes for {len(self.times)} frames: give none, one, or one for each frame",
        )
        _require(self.size is None or min(self.size) > 0, f"size {self.size}: height and width must be > 0")
        _require(min(self.files) >= 0, f"file {self.file}, sound_file {self.sound_file}: must be ≥ 0")

    @property
    def files(self) -> tuple[int, int]:
        """The file of the frames and the file of the sound."""
        return self.file, self.file if self.sound_file is None else self.sound_file

    def shifted(self, starts: Sequence[float]) -> Span:
        """The same span with what it cuts from file k later by `starts[k]` (s)."""
        pictures, sounds = self.files
        times = tuple(t + starts[pictures] for t in self.times)
        sound = self.sound and replace(self.sound, start=self.sound.start + starts[sounds])
        return replace(self, times=times, sound=sound)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Every choice for one example, before a pixel is decoded.

    `labels` are known by construction; `mirrored` has those that a mirror image changes, as they are in it.
    `parameters` were drawn for the transforms: arrays whose first dimension is S.
    """

    spans: tuple[Span, ...]
    labels: Mapping[str, Label] = field(default_factory=dict)
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    mirrored: Mapping[str, Label] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _require(len(self.spans) > 0, "a plan has at least one span")
        unknown = sorted(set(self.mirrored) - set(self.labels))
        _require(
            not unknown, f"mirrored {unknown}: only what is among the labels {sorted(self.labels)} can be mirrored"
        )
        for name, label in (*self.labels.items(), *self.mirrored.items()):
            _require(
                not isinstance(label, tuple) or len(label) == len(self.spans),
                f"label {name!r} {label}: give one value, or one for each of the {len(self.spans)} spans",
            )
        for name, value in self.parameters.items():
            _require(
                value.ndim > 0 and value.shape[0] == len(self.spans),
                f"parameter {name!r} of shape {value.shape}: the first dimension is the {len(self.spans)} spans",
            )

    def in_mirror(self) -> Plan:
        """The plan of the mirror image: left and right exchanged in what the labels say."""
        own = {name: self.labels[name] for name in self.mirrored}
        return replace(self, labels={**self.labels, **self.mirrored}, mirrored=own)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """What was cut: `video` (*, T, C, H, W) uint8 (0…255) or float (0…1), and/or `audio` (*, A, N) float (−1…1).

    `times` (*, T) are the instants (s) at which the frames that were found begin to be shown; `valid` (*,) counts the
    samples of `audio` that the file really has (the others are zeros).
    """

    video: Tensor | None = None
    audio: Tensor | None = None
    times: Tensor | None = None
    valid: Tensor | None = None

    def __post_init__(self) -> None:
        _require(self.video is not None or self.audio is not None, "a clip has video or audio; this one has neither")
        if self.video is not None:
            _require(
                self.video.ndim >= 4 and self.video.shape[-3] in {1, 2, 3},
                f"video of shape {tuple(self.video.shape)}: must be (*, T, C, H, W) with 1 to 3 channels",
            )
            _require(  # by its name, as torch is not imported here
                self.video.is_floating_point() or str(self.video.dtype) == "torch.uint8",
                f"video of {self.video.dtype}: must be uint8 (0…255) or float (0…1); convert it",
            )
        if self.audio is not None:
            _require(
                self.audio.ndim >= 2 and self.audio.is_floating_point(),
                f"audio of shape {tuple(self.audio.shape)}, {self.audio.dtype}: must be (*, A, N) float",
            )
        self._agree()

    def _agree(self) -> None:
        """Raise `ValueError` where the parts do not belong to the same frames and samples."""
        video, audio, times, valid = (
            None if x is None else tuple(x.shape) for x in (self.video, self.audio, self.times, self.valid)
        )
        _require(
            video is None or audio is None or video[:-4] == audio[:-2],
            f"video of shape {video} beside audio of shape {audio}: (*, T, C, H, W) and (*, A, N) with the same *",
        )
        _require(
            times is None or (video is not None and times == video[:-3]),
            f"times of shape {times} beside video of shape {video}: must be (*, T), one for each frame",
        )
        _require(
            valid is None or (audio is not None and valid == audio[:-2]),
            f"valid of shape {valid} beside audio of shape {audio}: must be (*,), one for each stretch",
        )

    @property
    def leading(self) -> tuple[int, ...]:
        """The leading dimensions *: () of one clip, (B,) of a batch."""
        if self.video is not None:
            return tuple(self.video.shape[:-4])
        assert self.audio is not None  # seen to when the clip was made
        return tuple(self.audio.shape[:-2])

    def to(self, device: Any, *, non_blocking: bool = False) -> Clip:
        """The same clip on another device."""

        def move(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(device, non_blocking=non_blocking)

        return Clip(video=move(self.video), audio=move(self.audio), times=move(self.times), valid=move(self.valid))


@dataclass(frozen=True, kw_only=True)
class Example:
    """S clips with what is known of them; a batch is the same thing with a leading B.

    Of a batch: `clips[s]` has video (B, T, C, H, W); `labels` are (B,) or, one for each clip, (B, S); `parameters` are
    (B, S, …); `index` (B,) is the stable number of each item in its data set.
    """

    clips: tuple[Clip, ...]
    labels: Mapping[str, Tensor]
    parameters: Mapping[str, Tensor]
    index: Tensor

    def __post_init__(self) -> None:
        _require(len(self.clips) > 0, "an example has at least one clip")
        batch, count = tuple(self.index.shape), len(self.clips)
        _require(len(batch) <= 1, f"index of shape {batch}: must be () of one example, or (B,) of a batch")
        # from here on words are made only where something is wrong: they would take longer than the checks
        for s, clip in enumerate(self.clips):
            if clip.leading != batch:
                raise ValueError(
                    f"clip {s} has the leading dimensions {clip.leading} and index {batch}: both are () of one "
                    "example, or (B,) of a batch; collate examples to make one"
                )
        for name, label in self.labels.items():
            if label.shape not in (batch, (*batch, count)):
                raise ValueError(
                    f"label {name!r} of shape {tuple(label.shape)}: must be {batch}, as index is, or "
                    f"{(*batch, count)}, one for each clip"
                )
        for name, value in self.parameters.items():
            if value.shape[: len(batch) + 1] != (*batch, count):
                raise ValueError(
                    f"parameter {name!r} of shape {tuple(value.shape)}: the first dimensions must be "
                    f"{(*batch, count)}, those of index and then the clips"
                )

    def __len__(self) -> int:
        """B, the number of examples of a batch."""
        return int(self.index.shape[0])

    def to(self, device: Any, *, non_blocking: bool = False) -> Example:
        """The same example on another device."""

        def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {k: v.to(device, non_blocking=non_blocking) for k, v in tensors.items()}

        return Example(
            clips=tuple(c.to(device, non_blocking=non_blocking) for c in self.clips),
            labels=move(self.labels),
            parameters=move(self.parameters),
            index=self.index.to(device, non_blocking=non_blocking),
        )


class Sampler(ABC):
    """When to cut: a pure function of what the file holds and a generator.

    Subclasses are frozen dataclasses. They look at numbers only, and decide nothing by themselves that `rng` did not.
    """

    @property
    def others(self) -> int:
        """How many further files a visit cuts from; they come as `info.others`, drawn with the item's generator."""
        return 0

    @property
    def together(self) -> str:
        """A column of the manifest whose value the further files share with the item, such as that of the scene which
        several cameras film at once; '': they come from other groups than the item's.
        """
        return ""

    @abstractmethod
    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so (say what is wrong and the remedy), or '' if it can."""

    @abstractmethod
    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: `self.unfit(info)` says why. Short files are never looped or exchanged, which would leak labels.
        """

    def at(self, epoch: int) -> Sampler:
        """The sampler of an epoch; a curriculum answers differently as training goes on."""
        return self

    def require(self, info: MediaInfo) -> None:
        """Raise `Unfit` if the file cannot be cut."""
        if why := self.unfit(info):
            raise Unfit(why)
