"""Which pixels belong to a thing that moves by itself: told by a program, without weights and without labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F

from avssl.programs.flow import optical_flow

__all__ = ["MovingThings"]


@dataclass(frozen=True, kw_only=True)
class MovingThings:
    """Masks of what moves otherwise than the picture as a whole, in the middle frame of clips.

    After uNLC, which Pathak et al., CVPR 2017, arXiv:1612.06370, section 4.1, learn from: the flow to each other frame,
    less its median, is how much a pixel stands out; pixels then vote with those near them that look alike. Simpler
    here: pixels vote and not superpixels, within the frame and not over the clip, and a threshold ends it, not a CRF.
    """

    side: int = 64
    """Pixels of the shorter side at which the program looks; the masks have the size of the frames."""
    least: float = 0.5
    """Pixels (of `side`) a frame by which something must stand out in half of the pairs for the clip to be used."""
    areas: tuple[float, float] = (0.005, 0.3)
    """Least and largest share of the frame that a mask may have for the clip to be used."""
    border: float = 1 / 32
    """Share of the frame along each edge where nothing stands out, as flow knows nothing of what is beyond."""
    votes: int = 3
    """Rounds in which the pixels vote."""

    @torch.no_grad()
    def __call__(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Masks (B, 1, H, W) float of the middle frames of (B, T, C, H, W), 0…1, and whether (B,) each can be used.

        Raises:
            ValueError: T is not odd, or less than 3.
        """
        if video.shape[1] < 3 or video.shape[1] % 2 == 0:
            raise ValueError(f"clips of {video.shape[1]} frames: must be an odd number of 3 or more, to have a middle")
        height, width = video.shape[-2:]
        scale = min(1.0, self.side / min(height, width))
        size = (round(height * scale), round(width * scale))
        small = _resized(video.float(), size)
        stands_out, energy = self._saliency(small)
        found = self._voted(small[:, small.shape[1] // 2], stands_out)
        found = found / found.amax(dim=(1, 2), keepdim=True).clamp(min=1e-6)
        mask = (found > _threshold(found)[:, None, None]).float()
        area = mask.mean(dim=(1, 2))
        use = (energy > self.least) & (area > self.areas[0]) & (area < self.areas[1])
        return F.interpolate(mask[:, None], size=(height, width), mode="nearest"), use

    def _saliency(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """How much each pixel of the middle frame stands out, (B, H, W) in 0…1, and how far it goes, pixels a frame.

        What counts is the pair in which it stands out least: a pixel that a thing covers stands out in all of them,
        one that it passes on its way does not.
        """
        batch, frames = video.shape[:2]
        middle = frames // 2
        others = [t for t in range(frames) if t != middle]
        first = video[:, [middle] * len(others)].flatten(0, 1)
        flow = optical_flow(first, video[:, others].flatten(0, 1))
        # the median of the picture is the camera's part, as long as things cover less than half of it
        camera = flow.flatten(2).median(dim=2).values[:, :, None, None]
        away = (flow - camera).norm(dim=1) * self._known(camera, flow.shape[-2], flow.shape[-1])
        away = torch.unflatten(away, 0, (batch, len(others)))
        steps = torch.tensor([abs(t - middle) for t in others], device=video.device)
        energy = (_high(away, 0.98) / steps).median(dim=1).values
        strongest = _high(away, 0.99).clamp(min=0.25)[..., None, None]
        return (away / strongest).clamp(max=1).amin(dim=1), energy

    def _known(self, camera: Tensor, height: int, width: int) -> Tensor:
        """Which pixels (R, H, W) lie inside the border before and after the camera's shift (R, 2, 1, 1)."""
        edges = [self.border * n for n in (height, width)]
        y = torch.arange(height, device=camera.device)[:, None].expand(height, width)
        x = torch.arange(width, device=camera.device).expand(height, width)
        known = torch.ones(len(camera), height, width, device=camera.device)
        for right, down in ((0, 0), (camera[:, 0], camera[:, 1])):
            known = known * ((y + down >= edges[0]) & (y + down < height - edges[0]))
            known = known * ((x + right >= edges[1]) & (x + right < width - edges[1]))
        return known

    def _voted(self, frame: Tensor, score: Tensor) -> Tensor:
        """The scores (B, H, W) after each pixel has taken the mean of those near it, as far as they look alike."""
        height, width = frame.shape[-2:]
        far = max(1, round(9 / 64 * min(height, width)))
        step = max(1, far // 3)
        shifts = [(y, x) for y in range(0, 2 * far + 1, step) for x in range(0, 2 * far + 1, step)]
        around = F.pad(frame, (far,) * 4, mode="replicate")
        inside = F.pad(torch.ones_like(frame[:1, 0]), (far,) * 4)
        alike = []
        for y, x in shifts:
            part = (slice(y, y + height), slice(x, x + width))
            colour = (around[(..., *part)] - frame).square().sum(dim=1) / (2 * 0.15**2)
            place = ((y - far) ** 2 + (x - far) ** 2) / (2 * (2 / 3 * far) ** 2)
            alike.append(torch.exp(-colour - place) * inside[(..., *part)])
        total = _sum(alike)
        for _ in range(self.votes):
            p = F.pad(score, (far,) * 4)
            score = (
                _sum(w * p[:, y : y + height, x : x + width] for w, (y, x) in zip(alike, shifts, strict=True)) / total
            )
        return score


def _resized(video: Tensor, size: tuple[int, int]) -> Tensor:
    if video.shape[-2:] == size:
        return video
    return torch.unflatten(F.interpolate(video.flatten(0, 1), size=size, mode="area"), 0, video.shape[:2])


def _sum(parts: Iterable[Tensor]) -> Tensor:
    return reduce(torch.add, parts)


def _high(x: Tensor, share: float) -> Tensor:
    """The value that so large a share of the pixels (*, H, W) does not pass."""
    values = x.flatten(-2)
    return values.kthvalue(max(1, round(share * values.shape[-1])), dim=-1).values


def _threshold(scores: Tensor, *, levels: int = 64) -> Tensor:
    """What best parts the scores (B, H, W), 0…1, of each frame into two kinds: Otsu, IEEE Trans. SMC 1979."""
    level = (scores.flatten(1) * levels).long().clamp(max=levels - 1)
    share = torch.zeros(len(level), levels, device=level.device).scatter_add_(
        1, level, torch.ones_like(scores).flatten(1)
    )
    share = share / level.shape[1]
    value = (torch.arange(levels, device=scores.device) + 0.5) / levels
    below, moment = share.cumsum(dim=1), (share * value).cumsum(dim=1)
    between = (moment[:, -1:] * below - moment).square() / (below * (1 - below)).clamp(min=1e-6)
    return (between.argmax(dim=1) + 1) / levels
