"""Label propagation on videos with masks (DAVIS) or joints (JHMDB), beside a copy of the first frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import torch
from torch import Tensor

from avssl.core import MediaError
from avssl.data import Item
from avssl.data.truth import joints_of, masks_of
from avssl.data.whole import whole_video
from avssl.encoders import Encoder, FrameEncoder
from avssl.evaluation.dense.measured import Measured
from avssl.evaluation.dense.overlap import boundary_f, correct_joints, jaccard
from avssl.evaluation.dense.propagation import (
    Propagation,
    joint_maps,
    joints_from,
    mask_maps,
    masks_from,
    propagate,
)
from avssl.evaluation.features import evaluating

__all__ = [
    "COPY",
    "Key",
    "Tracked",
    "Tracking",
    "carry_joints",
    "carry_masks",
    "feature_maps",
    "fine_tap",
    "joint_scores",
    "mask_scores",
]


Key = tuple[str, int]
"""The name of what is compared, and the seed of its weights."""

COPY: Key = ("identity", 0)
"""What copies the labels of the first frame into all others."""


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Which map of the encoder carries labels on, and what it is shown."""

    propagation: Propagation = field(default_factory=Propagation)
    """How labels are carried on."""
    tap: str = ""
    """The stage of the encoder; '': the last one that is fine enough by `stride` and `places`."""
    stride: int = 8
    """Pixels of a place, at most."""
    places: int = 30
    """Places along the shorter side of a frame, at least."""
    scale: float = 1.0
    """By how much frames are enlarged before the encoder sees them."""
    joints_side: int = 320
    """Height and width to which frames are squeezed where joints are carried on."""
    window: int = 16
    """Frames that go through the encoder at once; to a network that sees motion they are one clip."""
    tolerance: float = 0.008
    """Of the boundary, in parts of the frame's diagonal."""

    def __post_init__(self) -> None:
        if (
            min(self.stride, self.places) < 1
            or self.scale <= 0
            or self.joints_side < 8
            or self.window < 1
            or self.tolerance <= 0
        ):
            raise ValueError(f"{self}: all must be positive, joints_side ≥ 8")

    def told(self) -> dict[str, object]:
        """The choice as settings of a score."""
        return {k: v for k, v in asdict(self).items() if k != "propagation"} | asdict(self.propagation)


DEFAULT = Tracking()


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """The truth of a video and what was found instead: masks (T, H, W), or joints (T, J, 2) in pixels."""

    name: str
    truth: np.ndarray
    found: np.ndarray


def fine_tap(encoder: Encoder, size: Sequence[int], *, stride: int = 8, places: int = 30) -> str:
    """The stage whose map carries labels on: the last one that is fine enough for frames of `size` (H, W).

    That is: no place is larger than `stride` pixels, and there are at least so many `places` along the shorter side.
    Where no stage is, it is the last of those with the finest map.
    """
    side = 128  # enough for AlexNet
    device = next(encoder.parameters()).device
    with evaluating(encoder), torch.inference_mode():
        maps = encoder.features(torch.zeros(1, 8, 3, side, side, device=device), encoder.taps)
    along = {tap: maps[tap].shape[-1] / side * min(size) for tap in encoder.taps}  # stages only become coarser
    wanted = min(max(places, min(size) / stride), max(along.values()))
    return [tap for tap in encoder.taps if along[tap] >= wanted][-1]


@torch.inference_mode()
def feature_maps(
    encoder: Encoder, video: Tensor, *, tap: str, window: int = 16, device: torch.device | str = "cpu"
) -> Tensor:
    """The map (T, D, H', W') of a stage for each frame of a video (T, 3, H, W), `window` frames at once.

    A network that sees motion is given windows that overlap by half, whose middles are kept: at the ends of a window,
    where it sees nothing beyond, the same thing has other features. The first and the last frame stand in for those
    before and after. Where it joins frames, each has the map of the instant that it fell into.
    """
    margin = 0 if isinstance(encoder, FrameEncoder) else window // 4
    step = window - 2 * margin
    found = []
    with evaluating(encoder):
        for start in range(0, len(video), step):
            numbers = torch.arange(start - margin, start - margin + window).clamp(0, len(video) - 1)
            maps = encoder.features(video[numbers][None].to(device), (tap,))[tap][0].transpose(0, 1).float()
            kept = torch.arange(margin, margin + min(step, len(video) - start), device=maps.device)
            found.append(maps[kept * len(maps) // window])
    return torch.cat(found)


def carry_masks(
    item: Item,
    encoders: Mapping[Key, Encoder],
    *,
    choice: Tracking = DEFAULT,
    frames: int | None = None,
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, dict[Key, Tracked]]:
    """The video (T, H, W, 3) uint8 of an item at the size of its masks, and what is made of these by whom.

    `COPY` copies the masks of the first frame. Only the first `frames` are looked at; None: all.

    Raises:
        MediaError: the file is damaged, its masks are missing or of another number than its frames, or there is no
            object in its first frame.
    """
    truth = masks_of(item)[:frames]
    height, width = truth.shape[1:]
    size = (round(height * choice.scale), round(width * choice.scale))
    video = whole_video(item, size=size, frames=frames)
    if len(video) != len(truth) or len(truth) < 2:
        what = f"{len(truth)} masks for {len(video)} frames"
        raise MediaError(item.path, what, "give a mask for each of two frames or more")
    if not truth[0].any():
        raise MediaError(item.path, "there is no object in its first frame", "leave it out: nothing can be carried on")
    name = item.group or item.path.stem
    # an object that comes later cannot be carried on: its pixels are background to all
    count = int(truth[0].max())
    found = {COPY: Tracked(name=name, truth=truth, found=np.repeat(truth[:1], len(truth), axis=0))}
    for key, encoder in encoders.items():
        x = _maps(encoder, video, choice, device)
        first = mask_maps(torch.from_numpy(truth[0]).to(x.device), count, x.shape[2:])
        carried = masks_from(propagate(x, first, choice=choice.propagation), (height, width))
        carried[0] = torch.from_numpy(truth[0])
        found[key] = Tracked(name=name, truth=truth, found=carried.cpu().numpy())
    shown = torch.nn.functional.interpolate(video.float(), size=(height, width), mode="bilinear", antialias=True)
    return shown.round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy(), found


def carry_joints(
    item: Item, encoders: Mapping[Key, Encoder], *, choice: Tracking = DEFAULT, device: torch.device | str = "cpu"
) -> dict[Key, Tracked]:
    """What each encoder, and a copy (`COPY`), make of the joints of an item's first frame.

    Raises:
        MediaError: the file is damaged, or its joints are missing or of fewer than two frames.
    """
    truth, side = joints_of(item), choice.joints_side
    video = whole_video(item, size=(side, side), frames=len(truth))
    truth = truth[: len(video)]
    if len(truth) < 2:
        raise MediaError(item.path, f"{len(truth)} frames with joints", "give two or more")
    found = {COPY: Tracked(name=str(item.path), truth=truth, found=np.repeat(truth[:1], len(truth), axis=0))}
    for key, encoder in encoders.items():
        x = _maps(encoder, video, choice, device)
        places = np.array([x.shape[3] / item.info.width, x.shape[2] / item.info.height])  # in one pixel
        first = joint_maps(torch.from_numpy(truth[0] * places).to(x.device), x.shape[2:])
        carried = joints_from(propagate(x, first, choice=choice.propagation)).cpu().numpy() / places
        found[key] = Tracked(name=str(item.path), truth=truth, found=carried)
    return found


def _maps(encoder: Encoder, video: Tensor, choice: Tracking, device: torch.device | str) -> Tensor:
    tap = choice.tap or fine_tap(encoder, video.shape[2:], stride=choice.stride, places=choice.places)
    return feature_maps(encoder, video, tap=tap, window=choice.window, device=device)


def mask_scores(tracked: Sequence[Tracked], *, tolerance: float = 0.008) -> tuple[Measured, tuple[str, ...]]:
    """J and F of every object, with the video of each: means over its frames, and recalls, the share above 0.5.

    As on DAVIS 2017 (Pont-Tuset et al., 2017, arXiv:1704.00675, section 3) the first frame, which is given, and the
    last one do not count, if there are others; the score is the mean over objects.

    Raises:
        ValueError: nothing was tracked.
    """
    if not tracked:
        raise ValueError("no video was tracked: give at least one")
    names: list[str] = []
    rows: list[tuple[float, ...]] = []
    for video in tracked:
        frames = slice(1, -1 if len(video.truth) > 2 else None)
        for k in np.unique(video.truth[0]):
            if k == 0:
                continue
            found, truth = video.found[frames] == k, video.truth[frames] == k
            j = jaccard(found, truth)
            f = np.array([boundary_f(a, b, tolerance=tolerance) for a, b in zip(found, truth, strict=True)])
            rows.append(((j.mean() + f.mean()) / 2, j.mean(), (j > 0.5).mean(), f.mean(), (f > 0.5).mean()))
            names.append(video.name)
    metrics = ("J&F mean", "J mean", "J recall", "F mean", "F recall")
    values = dict(zip(metrics, np.array(rows).T, strict=True))
    settings = {"videos": len(tracked), "objects": len(rows), "boundary tolerance": tolerance}
    return Measured(values=values, chance=dict.fromkeys(metrics, 0.0), settings=settings), tuple(names)


def joint_scores(
    tracked: Sequence[Tracked], *, within: Sequence[float] = (0.1, 0.2)
) -> tuple[Measured, tuple[str, ...]]:
    """PCK of every frame but the first, the share of its joints that are correct, with the video of each.

    Raises:
        ValueError: nothing was tracked.
    """
    if not tracked:
        raise ValueError("no video was tracked: give at least one")
    values = {
        f"PCK@{w:g}": np.concatenate(
            [correct_joints(v.found[1:], v.truth[1:], within=w).mean(axis=1, dtype=float) for v in tracked]
        )
        for w in within
    }
    names = tuple(v.name for v in tracked for _ in v.truth[1:])
    settings = {"videos": len(tracked), "person size": "0.6 of the diagonal of the box of the joints"}
    return Measured(values=values, chance=dict.fromkeys(values, 0.0), settings=settings), names
