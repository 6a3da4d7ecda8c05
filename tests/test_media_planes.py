"""What is done on a device to decoded planes is what our converter does on the processor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from av.video.frame import VideoFrame

from avssl.media.convert import Converter
from avssl.media.planes import Planes, rgb

MATRICES = {"bt601": 5, "bt709": 1, "bt2020nc": 9, "smpte240m": 7, "fcc": 4}
BITS = {"yuv420p10le": 10, "yuv422p10le": 10, "yuv444p12le": 12, "gray10le": 10, "p010le": 16}
FORMATS = ["yuv420p", "yuv422p", "yuv444p", "nv12", "yuv410p", "gray", "gbrp", *BITS]
CROPS = [(0, 0, 46, 62), (3, 5, 30, 41), (8, 0, 33, 62), (5, 9, 7, 8)]
SIZES = [(46, 62), (20, 30), (23, 62), (80, 100), (20, 90)]


def smooth(seed: int, height: int = 46, width: int = 62) -> np.ndarray:
    """A colourful picture (H, W, 3) uint8 without sharp edges, of which chroma can be subsampled."""
    waves = np.random.default_rng(seed).uniform(0.02, 0.12, (3, 3))
    y, x = np.mgrid[:height, :width]
    return np.stack([127 + 90 * np.sin(a * y + b * x + 9 * c) for a, b, c in waves], -1).astype(np.uint8)


def frame_of(
    seed: int, pix_fmt: str, matrix: int = 5, *, full: bool = False, size: tuple[int, int] = (46, 62)
) -> VideoFrame:
    made = VideoFrame.from_ndarray(smooth(seed, *size), format="rgb24")
    options = {} if pix_fmt.startswith("gbr") else {"dst_colorspace": matrix, "dst_color_range": 2 if full else 1}
    frame = made.reformat(format=pix_fmt, **options)
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    return frame


def planes_of(frame: VideoFrame, matrix: str = "bt601", *, full: bool = False) -> Planes:
    """The components of a frame of 8 or more bits, as a decoder on a device would hand them out."""
    name = frame.format.name
    wide = name in BITS
    arrays = []
    for component in frame.format.components:
        plane = frame.planes[component.plane]
        raw = np.frombuffer(bytes(plane), np.uint16 if wide else np.uint8)
        together = 2 if name in {"nv12", "p010le"} and component.plane == 1 else 1
        rows = raw.reshape(plane.height, -1)[:, : plane.width * together]
        arrays.append(rows[:, component.index - 1 if together == 2 else 0 :: together])
    tensors = tuple(torch.from_numpy(a.copy()) for a in arrays)
    return Planes(planes=tensors, bits=BITS.get(name, 8), matrix=matrix, full=full, coloured=name.startswith("gbr"))


def converted(frame: VideoFrame, crop: tuple[int, int, int, int], size: tuple[int, int]) -> torch.Tensor:
    out = np.empty((3, *size), np.uint8)
    converter = Converter()
    converter(frame, crop, out)
    converter.close()
    return torch.from_numpy(out)


def differs(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float]:
    gap = (a.float() - b.float()).abs()
    return float(gap.mean()), float(gap.max())


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_every_layout_of_planes_gives_the_pixels_of_the_converter(pix_fmt: str) -> None:
    """But where chroma is subsampled and a crop begins or ends inside a sample: there the converter is half one off."""
    full = pix_fmt.startswith("gray")
    frame = frame_of(1, pix_fmt, full=full)
    for crop in CROPS:
        inside = any(n % (4 if pix_fmt == "yuv410p" else 2) for n in crop)
        for size in SIZES:
            mean, most = differs(rgb([planes_of(frame, full=full)], [crop], size)[0], converted(frame, crop, size))
            assert mean < (2 if inside and pix_fmt == "yuv410p" else 1 if inside else 0.6), (crop, size, mean)
            assert most <= (16 if inside else 2), (crop, size, most)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv410p", "yuv422p"])
def test_an_odd_crop_is_the_same_part_of_the_whole(pix_fmt: str) -> None:
    planes = planes_of(frame_of(3, pix_fmt))
    whole = rgb([planes], [(0, 0, 46, 62)], (46, 62))[0]
    part = rgb([planes], [(7, 11, 25, 33)], (25, 33))[0]
    mean, _ = differs(part[:, 2:-2, 2:-2], whole[:, 9:30, 13:42])
    assert mean < 0.01


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_every_matrix_and_range_is_that_of_the_converter(matrix: str, full: bool) -> None:
    frame = frame_of(2, "yuv444p", MATRICES[matrix], full=full)
    mean, most = differs(
        rgb([planes_of(frame, matrix, full=full)], [(0, 0, 46, 62)], (46, 62))[0],
        converted(frame, (0, 0, 46, 62), (46, 62)),
    )
    assert most <= 2
    assert mean < 0.6
    other = planes_of(frame, "bt601" if matrix not in {"bt601", "fcc"} else "bt709", full=full)
    assert differs(rgb([other], [(0, 0, 46, 62)], (46, 62))[0], converted(frame, (0, 0, 46, 62), (46, 62)))[1] > 8


def alone(frames: Sequence[Planes], crops: Sequence[tuple[int, int, int, int]], size: tuple[int, int]) -> torch.Tensor:
    return torch.cat([rgb([f], [c], size) for f, c in zip(frames, crops, strict=True)])


def test_a_batch_is_its_frames_whatever_their_crops_and_kinds() -> None:
    kinds = ["yuv420p", "yuv420p", "yuv444p", "yuv420p", "gbrp", "yuv420p"]
    frames = [planes_of(frame_of(seed, kind)) for seed, kind in enumerate(kinds)]
    frames.append(planes_of(frame_of(9, "yuv420p", size=(60, 70))))
    crops = [
        (0, 0, 30, 40),
        (1, 3, 30, 40),
        (2, 2, 30, 40),
        (4, 6, 30, 40),
        (16, 22, 30, 40),
        (1, 2, 30, 40),
        (30, 30, 30, 40),
    ]
    assert torch.equal(rgb(frames, crops, (18, 18)), alone(frames, crops, (18, 18)))
    assert torch.equal(rgb(frames, crops, (30, 40)), alone(frames, crops, (30, 40)))


def test_flat_planes_stay_flat_and_sizes_may_be_odd() -> None:
    planes = Planes(
        planes=tuple(torch.full(s, v, dtype=torch.uint8) for s, v in (((47, 63), 126), ((24, 32), 90), ((24, 32), 200)))
    )
    for crop, size in (((0, 0, 47, 63), (47, 63)), ((46, 62, 1, 1), (5, 5)), ((1, 1, 46, 62), (11, 13))):
        found = rgb([planes], [crop], size)[0]
        assert found.shape == (3, *size)
        # (126 − 16) · 255/219 = 128.1; with V − 128 = 72 and U − 128 = −38, by BT.601
        assert [int(c.unique().item()) for c in found] == [243, 84, 51]
