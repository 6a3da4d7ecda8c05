"""Crops, drawn as relative boxes and made while decoding."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from avssl.core import Box, MediaInfo, Plan, Rng, Span
from avssl.transforms.base import SpaceTransform, repeat_spans, require

__all__ = ["CentreCrop", "FiveCrop", "FrameCropJitter", "RandomCrop", "RandomResizedCrop", "ThreeCrop"]

_WHOLE = Box()


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    require(height > 0 and width > 0, f"size {size}: height and width must be > 0")
    return height, width


def _pixels(span: Span, info: MediaInfo) -> tuple[float, float]:
    """Height and width of the frames that a span cuts from, before any crop."""
    source = info if span.file == 0 else info.others[span.file - 1]
    return float(source.height), float(source.width)


def _box(top: float, left: float, height: float, width: float) -> Box:
    """A box that rounding cannot push out of the frame."""
    height, width = min(height, 1.0), min(width, 1.0)
    return Box(top=min(max(top, 0.0), 1.0 - height), left=min(max(left, 0.0), 1.0 - width), height=height, width=width)


def _inside(outer: Box, inner: Box) -> Box:
    """A box that is relative to another one, made relative to the frame."""
    return _box(
        outer.top + inner.top * outer.height,
        outer.left + inner.left * outer.width,
        inner.height * outer.height,
        inner.width * outer.width,
    )


def _crop(span: Span, info: MediaInfo, size: tuple[int, int], boxes: Callable[[int, float, float], Box]) -> Span:
    """The span with a box inside each box that it has; `boxes` is given which one, and its height and width, pixels."""
    height, width = _pixels(span, info)
    outer = span.boxes or (_WHOLE,)
    inner = (boxes(t, b.height * height, b.width * width) for t, b in enumerate(outer))
    return replace(span, boxes=tuple(_inside(o, i) for o, i in zip(outer, inner, strict=True)), size=size)


def _largest(size: tuple[int, int], height: float, width: float) -> tuple[float, float]:
    """Relative height and width of the largest box with the shape of `size`."""
    scale = min(height / size[0], width / size[1])
    return min(1.0, size[0] * scale / height), min(1.0, size[1] * scale / width)


def _scaled(size: tuple[int, int], short: float, height: float, width: float) -> tuple[float, float]:
    """Relative height and width of a box of `size` pixels in a frame whose shorter side was scaled to `short`."""
    scale = min(height, width) / short
    tall, wide = size[0] * scale / height, size[1] * scale / width
    if max(tall, wide) > 1 + 1e-9:
        return _largest(size, height, width)
    return min(1.0, tall), min(1.0, wide)


@dataclass(frozen=True)
class _Sized(SpaceTransform):
    size: int | tuple[int, int]
    """Of the result, pixels: the side of a square, or height and width."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _pair(self.size)


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop(_Sized):
    """A crop of random area, shape and place, scaled to `size`. Szegedy et al., CVPR 2015, arXiv:1409.4842, §6.

    Of ten draws the first that fits is taken; if none does, the largest crop in the middle whose shape is allowed.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    """Limits of the share of the frame's area."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Limits of width / height; its logarithm is uniform."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.scale[0] <= self.scale[1] <= 1, f"scale {self.scale}: must be shares 0 < low ≤ high ≤ 1")
        require(0 < self.ratio[0] <= self.ratio[1], f"ratio {self.ratio}: must be 0 < low ≤ high")

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with boxes and sizes."""
        shares = self.shared(plan, lambda n: rng.random((*n, 22)))
        spans = list(plan.spans)
        for s, span in enumerate(spans):
            if span.times and self.touches(s):
                spans[s] = self._cropped(span, info, shares[s])
        return replace(plan, spans=tuple(spans))

    def _cropped(self, span: Span, info: MediaInfo, shares: np.ndarray) -> Span:
        if self.scope == "frame":
            every = span.boxes if len(span.boxes) == len(span.times) else (span.boxes or (_WHOLE,)) * len(span.times)
            span = replace(span, boxes=every)
            return _crop(span, info, _pair(self.size), lambda t, h, w: self._draw_box(shares[t], h, w))
        return _crop(span, info, _pair(self.size), lambda _, h, w: self._draw_box(shares, h, w))

    def _draw_box(self, shares: np.ndarray, height: float, width: float) -> Box:
        low, high = (math.log(r) for r in self.ratio)
        for u, v in shares[:20].reshape(10, 2):
            area = (self.scale[0] + u * (self.scale[1] - self.scale[0])) * height * width
            ratio = math.exp(low + v * (high - low))
            tall, wide = math.sqrt(area / ratio) / height, math.sqrt(area * ratio) / width
            if tall <= 1 and wide <= 1:
                return _box(shares[20] * (1 - tall), shares[21] * (1 - wide), tall, wide)
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        tall, wide = _shaped(ratio, height, width)
        return _box((1 - tall) / 2, (1 - wide) / 2, tall, wide)


def _shaped(ratio: float, height: float, width: float) -> tuple[float, float]:
    """Relative height and width of the largest box with that width / height."""
    return (width / ratio / height, 1.0) if width / height < ratio else (1.0, height * ratio / width)


@dataclass(frozen=True, kw_only=True)
class RandomCrop(_Sized):
    """The shorter side is scaled to `short_side` pixels, then `size` is cut at a random place.

    A size that is larger than the scaled frame becomes the largest crop of that shape.
    """

    short_side: int | tuple[int, int]
    """Of the scaled frame's shorter side, pixels; of two limits, one in between is drawn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self._limits()
        require(0 < low <= high, f"short_side {self.short_side}: must be > 0 pixels, limits in rising order")
        require(
            min(_pair(self.size)) <= low, f"size {self.size} does not fit into short_side {self.short_side}: raise it"
        )

    def _limits(self) -> tuple[int, int]:
        return (self.short_side, self.short_side) if isinstance(self.short_side, int) else self.short_side

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with boxes and sizes."""
        require(self.scope != "frame", "RandomCrop has no scope 'frame': use RandomResizedCrop or FrameCropJitter")
        shares, size, (low, high) = self.shared(plan, lambda n: rng.random((*n, 3))), _pair(self.size), self._limits()
        spans = list(plan.spans)

        def box(u: np.ndarray, height: float, width: float) -> Box:
            tall, wide = _scaled(size, low + u[0] * (high - low), height, width)
            return _box(u[1] * (1 - tall), u[2] * (1 - wide), tall, wide)

        for s, span in enumerate(spans):
            if span.times and self.touches(s):
                spans[s] = _crop(span, info, size, lambda _, h, w, s=s: box(shares[s], h, w))  # type: ignore[misc]
        return replace(plan, spans=tuple(spans))


@dataclass(frozen=True, kw_only=True)
class CentreCrop(_Sized):
    """A crop in the middle; nothing is drawn: for evaluation."""

    short_side: int | None = None
    """Pixels that the shorter side is scaled to first; None: the largest crop with the shape of `size`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.short_side is None or min(_pair(self.size)) <= self.short_side,
            f"size {self.size} does not fit into short_side {self.short_side}: raise it",
        )

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with boxes and sizes."""
        size = _pair(self.size)

        def box(_: int, height: float, width: float) -> Box:
            small = (
                _largest(size, height, width)
                if self.short_side is None
                else _scaled(size, self.short_side, height, width)
            )
            return _box((1 - small[0]) / 2, (1 - small[1]) / 2, *small)

        spans = list(plan.spans)
        for s, span in enumerate(spans):
            if span.times and self.touches(s):
                spans[s] = _crop(span, info, size, box)
        return replace(plan, spans=tuple(spans))


@dataclass(frozen=True, kw_only=True)
class ThreeCrop(_Sized):
    """Every clip three times (3 S spans): the largest crops at one end, in the middle and at the other end of its
    longer side, side by side; nothing is drawn: for evaluation. Feichtenhofer et al., ICCV 2019, arXiv:1812.03982, §4.
    """

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with three spans for each one."""
        size = _pair(self.size)
        require(self.only is None, "ThreeCrop changes all clips: leave only=None")

        def crop(span: Span, third: int) -> Span:
            def box(_: int, height: float, width: float) -> Box:
                tall, wide = _largest(size, height, width)
                return _box((1 - tall) * third / 2, (1 - wide) * third / 2, tall, wide)

            return _crop(span, info, size, box) if span.times else span

        return repeat_spans(plan, 3, crop)


@dataclass(frozen=True, kw_only=True)
class FiveCrop(_Sized):
    """Every clip five times (5 S spans): the crops in the corners and in the middle of the frame whose shorter side is
    scaled to `short_side`, side by side; nothing is drawn: for evaluation. Krizhevsky et al., NeurIPS 2012, §4.1.
    """

    short_side: int
    """Of the scaled frame's shorter side, pixels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            min(_pair(self.size)) <= self.short_side,
            f"size {self.size} does not fit into short_side {self.short_side}: raise it",
        )

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with five spans for each one."""
        size, places = _pair(self.size), ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
        require(self.only is None, "FiveCrop changes all clips: leave only=None")

        def crop(span: Span, n: int) -> Span:
            def box(_: int, height: float, width: float) -> Box:
                tall, wide = _scaled(size, self.short_side, height, width)
                return _box((1 - tall) * places[n][0], (1 - wide) * places[n][1], tall, wide)

            return _crop(span, info, size, box) if span.times else span

        return repeat_spans(plan, 5, crop)


@dataclass(frozen=True, kw_only=True)
class FrameCropJitter(SpaceTransform):
    """Each frame's crop is moved by itself, as OPN does against border cues: Lee et al., ICCV 2017, arXiv:1708.01246.

    A crop at the frame's edge is moved no further. Write a crop before it.
    """

    pixels: float = 5.0
    """Up to so many of the result's pixels, up or down and left or right."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.pixels > 0, f"pixels {self.pixels}: must be > 0")

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with a box for each frame."""
        frames = max(1, *(len(s.times) for s in plan.spans))
        moves = rng.uniform(-self.pixels, self.pixels, (len(plan.spans), frames, 2))
        spans = list(plan.spans)
        for s, span in enumerate(spans):
            if span.times and self.touches(s):
                require(bool(span.boxes) and span.size is not None, "FrameCropJitter moves crops: write a crop first")
                assert span.size is not None
                boxes = span.boxes if len(span.boxes) > 1 else span.boxes * len(span.times)
                height, width = span.size
                spans[s] = replace(
                    span,
                    boxes=tuple(
                        _box(b.top + down * b.height / height, b.left + right * b.width / width, b.height, b.width)
                        for b, (down, right) in zip(boxes, moves[s], strict=False)
                    ),
                )
        return replace(plan, spans=tuple(spans))
