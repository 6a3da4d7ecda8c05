"""In a hundred kinds of awkward but intact files every frame of every random plan is the one shown then."""

from __future__ import annotations

import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from awkward_files import Truth
from awkward_kinds import KINDS
from media_files import Film, numbers_of, write

from avssl.core import Box, Rng, Span
from avssl.media import FileTable, look, open_media, packed, unpacked

SMALL = (24, 32)
PLANS = 4


class Shelf:
    """Each file is written, and looked into, once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, tuple[Path, Truth, FileTable]] = {}

    def __getitem__(self, name: str) -> tuple[Path, Truth, FileTable]:
        if name not in self._found:
            path = self._folder / name
            truth = KINDS[name](path)
            self._found[name] = path, truth, unpacked(packed(look(path)))  # as the table comes from the cache
        return self._found[name]


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return Shelf(tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize("name", KINDS)
def test_what_is_told_of_a_file_is_what_was_written(name: str, shelf: Shelf) -> None:
    _, truth, table = shelf[name]
    info = table.info
    assert info.frames == len(truth.numbers)
    if not truth.scaled:
        assert (info.height, info.width) == (truth.height, truth.width)
    assert info.duration >= float(truth.end) - 1.5 * float(truth.tick)
    if truth.exact:
        assert info.duration == pytest.approx(float(truth.end), abs=1.5 * float(truth.tick))


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_of_every_random_plan_is_the_one_that_is_shown(name: str, shelf: Shelf) -> None:
    path, truth, table = shelf[name]
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    with open_media(path, table) as cached, open_media(path) as fresh:
        for k in range(PLANS):
            plan = [wanted(truth, rng) for _ in range(1 + k % 3)]
            sizes = [size_of(truth, rng) for _ in plan]
            spans = [Span(times=tuple(instants(truth, w, rng)), size=s) for w, s in zip(plan, sizes, strict=True)]
            clips = (fresh if k == PLANS - 1 else cached).read(spans)
            for which, clip in zip(plan, clips, strict=True):
                assert clip.video is not None
                assert clip.times is not None
                assert numbers_of(clip.video, truth.bars) == [truth.numbers[i] for i in which]
                begins = np.array([float(truth.times[i]) for i in which])
                assert np.abs(clip.times.numpy() - begins).max() <= float(truth.tick) / 2 + 1e-6


def wanted(truth: Truth, rng: Rng) -> list[int]:
    """Which frames to ask for: scattered ones, a run, one that is reversed, and some of them twice."""
    count = len(truth.numbers)
    first, step = int(rng.integers(count)), int(rng.integers(1, 4))
    run = [min(first + i * step, count - 1) for i in range(int(rng.integers(1, 9)))]
    drawn: list[list[int]] = [rng.integers(count, size=8).tolist(), run, run[::-1], [0, count - 1, first, first]]
    return drawn[int(rng.integers(4))]


def instants(truth: Truth, which: list[int], rng: Rng) -> list[float]:
    """An instant at which each of some frames is shown: anywhere between it and the next, as exact as the clock is."""
    ends = [*truth.times[1:], truth.end]
    found = []
    for i in which:
        begin, end = float(truth.times[i] + truth.tick / 2), float(ends[i] - truth.tick / 2)
        found.append(begin + (end - begin) * rng.uniform(0.02, 0.98) if end > begin else float(truth.times[i]))
    return found


def size_of(truth: Truth, rng: Rng) -> tuple[int, int] | None:
    if truth.bars > 8:
        return None
    return SMALL if truth.scaled or rng.random() < 0.3 else None


@pytest.mark.parametrize("aspect", [Fraction(16, 11), Fraction(8, 9), Fraction(2)])
@pytest.mark.parametrize("rotation", [0, 90, 180])
def test_pixels_that_are_no_squares_are_stretched_and_crops_are_of_the_shown_frame(
    aspect: Fraction, rotation: int, tmp_path: Path
) -> None:
    film = Film(frames=2, codec="mjpeg", pix_fmt="yuvj444p", options={"q": "2"}, rotation=rotation)
    path, square = tmp_path / "stretched.mov", write(tmp_path / "square.mov", film)
    info = look(write(path, replace(film, aspect=aspect))).info
    shown = (48, round(64 * aspect)) if rotation != 90 else (round(64 * aspect), 48)
    assert (info.height, info.width) == shown
    boxes = (Box(top=0.25, left=0.5, height=0.5, width=0.25),)
    with open_media(path) as media, open_media(square) as plain:
        whole, crop, small = media.read(
            [Span(times=(0.0,)), Span(times=(0.0,), boxes=boxes), Span(times=(0.0,), size=SMALL)]
        )
        same, part, less = plain.read(
            [
                Span(times=(0.0,), size=shown),
                Span(times=(0.0,), boxes=boxes, size=tuple(crop.video.shape[2:])),
                Span(times=(0.0,), size=SMALL),
            ]
        )
    assert crop.video.shape[2:] == (round(shown[0] / 2), round(shown[1] / 4))
    for found, wanted in ((whole, same), (crop, part), (small, less)):
        assert torch.equal(found.video, wanted.video)


def test_pixels_of_a_shape_that_cannot_be_are_squares(tmp_path: Path) -> None:
    film = Film(frames=2, codec="mjpeg", pix_fmt="yuvj420p", aspect=Fraction(20))
    path = write(tmp_path / "needles.mov", film)
    with av.open(str(path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == 20
    info = look(path).info
    assert (info.height, info.width) == (48, 64)
