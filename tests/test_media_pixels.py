"""Crops, sizes and colours: what comes is what a slow and simple computation gives."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import Film, numbered, write
from PIL import Image
from torch.nn.functional import interpolate

from avssl.core import Box, MediaError, Span
from avssl.media import look, open_media, packed, probe, unpacked
from avssl.media.clips import pixels
from avssl.media.convert import Converter

LUMA = {
    1: (0.2126, 0.0722),
    5: (0.299, 0.114),
    9: (0.2627, 0.0593),
    2: (0.299, 0.114),
    4: (0.30, 0.11),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
}
"""K_R and K_B of the matrices (ITU-T H.273, table 4): BT.709, BT.601, BT.2020, unspecified, FCC, BT.601, SMPTE 240."""

LOSSLESS = "log-level=none:pools=none:frame-threads=1:lossless=1:bframes=2"


def smooth(height: int, width: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 without sharp edges, of which 4:2:0 keeps all."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [np.sin(x / 9 + y / 17), np.cos(y / 11 - x / 23), np.sin((x + y) / 15)]
    return np.stack([128 + 90 * w for w in waves], -1).round().astype(np.uint8)


def film_of(picture: np.ndarray, pix_fmt: str = "yuv420p", frames: int = 2) -> Film:
    height, width = picture.shape[:2]
    return Film(frames=frames, codec="ffv1", pix_fmt=pix_fmt, height=height, width=width, pictures=[picture] * frames)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pixels")


@pytest.fixture(scope="module")
def still(folder: Path) -> Path:
    return write(folder / "smooth.mkv", film_of(smooth(96, 128)))


relative = st.floats(0.2, 1.0)


@settings(max_examples=40, deadline=None)
@given(height=relative, width=relative, y=st.floats(0, 1), x=st.floats(0, 1))
def test_a_crop_is_the_crop_of_the_whole(still: Path, height: float, width: float, y: float, x: float) -> None:
    """Odd corners keep their chroma in place; an odd size stretches it by up to half a pixel."""
    box = Box(top=y * (1 - height), left=x * (1 - width), height=height, width=width)
    with open_media(still) as media:
        whole, crop = media.read([Span(times=(0.0,)), Span(times=(0.0,), boxes=(box,))])
    top, left, high, wide = pixels(box, 96, 128)
    assert (high, wide) == (round(height * 96), round(width * 128))
    assert abs(top - box.top * 96) <= 1
    assert abs(left - box.left * 128) <= 1
    inside = whole.video[..., top : top + high, left : left + wide]
    difference = (crop.video.int() - inside.int()).abs()
    odd = high % 2 or wide % 2
    assert int(difference[..., 2:-2, 2:-2].max()) <= (9 if odd else 1)
    assert int(difference.max()) <= 25
    assert float(difference.float().mean()) < 1.8


@pytest.mark.parametrize("size", [(96, 128), (48, 64), (32, 32), (33, 47), (64, 51)])
def test_shrinking_averages_over_areas(folder: Path, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(256, size=(96, 128, 3), dtype=np.uint8)
    path = write(folder / f"noise{size}.mkv", film_of(noise, "bgr0"))
    with open_media(path) as media:
        (small,) = media.read([Span(times=(0.0,), size=size)])
    expected = torch.from_numpy(noise).permute(2, 0, 1).double()
    for dim, pixels_out in ((1, size[0]), (2, size[1])):  # the integral between the edges of each new pixel
        edges = torch.linspace(0, expected.shape[dim], pixels_out + 1, dtype=torch.float64)
        total = torch.cat([torch.zeros_like(expected.narrow(dim, 0, 1)), expected.cumsum(dim)], dim)
        low = edges.floor().long().clamp(max=total.shape[dim] - 2)
        part = (edges - low).reshape([-1, 1] if dim == 1 else [1, -1])
        at = total.index_select(dim, low) * (1 - part) + total.index_select(dim, low + 1) * part
        expected = at.diff(dim=dim) / (edges[1] - edges[0])
    assert float((small.video[0] - expected).abs().max()) < 1


def test_enlarging_is_bilinear(still: Path) -> None:
    box = Box(top=0.25, left=0.25, height=0.25, width=0.25)
    with open_media(still) as media:
        whole, large = media.read([Span(times=(0.0,), boxes=(box,)), Span(times=(0.0,), boxes=(box,), size=(60, 100))])
    expected = interpolate(whole.video.float(), (60, 100), mode="bilinear", align_corners=False)
    assert float((large.video - expected).abs().max()) < 4


def test_each_frame_may_have_its_own_box(still: Path) -> None:
    boxes = tuple(Box(top=0.5, left=k / 8, height=0.5, width=0.25) for k in range(6))
    with open_media(still) as media:
        moving, *single = media.read(
            [
                Span(times=(0.0,) * 6, boxes=boxes, size=(24, 16)),
                *(Span(times=(0.0,), boxes=(b,), size=(24, 16)) for b in boxes),
            ]
        )
        with pytest.raises(MediaError, match="give the span a size"):
            media.read([Span(times=(0.0, 0.0), boxes=(Box(), Box(height=0.5)))])
    for k, clip in enumerate(single):
        assert torch.equal(moving.video[k], clip.video[0])


PATCHES = [(90, 120, 150), (180, 100, 140), (60, 128, 128), (130, 170, 90), (235, 128, 128), (16, 128, 128)]
PATCHES += [(81, 90, 240), (145, 54, 34), (41, 240, 110), (125, 128, 128), (200, 128, 160)]
"""Luma, blue and red difference of eight bits: colours, some of them saturated, and greys."""

DEPTHS = {f"yuv{s}p{d}": 10 if d else 8 for s in ("420", "422", "444") for d in ("", "10le")}


def flat(patch: tuple[int, int, int], pix_fmt: str, matrix: int, told: int) -> av.VideoFrame:
    """A frame of one colour; `told` is its range: 0 nobody says, 1 limited, 2 full."""
    frame = av.VideoFrame(64, 48, pix_fmt)
    deep = DEPTHS[pix_fmt] > 8
    for plane, value in zip(frame.planes, patch, strict=True):
        samples = np.full(plane.buffer_size // (1 + deep), value << 2 * deep, "<u2" if deep else "u1")
        plane.update(samples.tobytes())
    frame.colorspace, frame.color_range = matrix, told
    return frame


def rgb_of(patch: tuple[int, int, int], depth: int, matrix: int, *, full: bool) -> np.ndarray:
    """What the colour is in RGB (3,) of 0…255, by ITU-T H.273, equations 1 to 3, 20 to 23 and 38 to 40."""
    red, blue = LUMA[matrix]
    y, u, v = (float(value << depth - 8) for value in patch)
    one = 1 << depth - 8
    low, luma, chroma = (0, (1 << depth) - 1, (1 << depth) - 1) if full else (16 * one, 219 * one, 224 * one)
    bright, cb, cr = (y - low) / luma, (u - 128 * one) / chroma, (v - 128 * one) / chroma
    r, b = bright + 2 * (1 - red) * cr, bright + 2 * (1 - blue) * cb
    g = (bright - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.array([r, g, b]) * 255, 0, 255)


@pytest.mark.parametrize("matrix", LUMA)
@pytest.mark.parametrize("told", [0, 1, 2])
@pytest.mark.parametrize("pix_fmt", DEPTHS)
def test_flat_colours_follow_the_matrix_and_the_range(matrix: int, told: int, pix_fmt: str) -> None:
    converter = Converter()
    for patch in PATCHES:
        frame = flat(patch, pix_fmt, matrix, told)
        expected = rgb_of(patch, DEPTHS[pix_fmt], matrix, full=told == 2)
        for size in ((30, 40), (48, 64), (80, 96)):
            out = np.zeros((3, *size), np.uint8)
            converter(frame, (3, 5, 40, 50), out)
            assert np.abs(out - expected[:, None, None]).max() <= 2


FILES = {"mkv": ("ffv1", {}), "mp4": ("libx264", {"qp": "0", "bf": "2"}), "ts": ("libx265", {"x265-params": LOSSLESS})}


@pytest.mark.parametrize("matrix", LUMA)
@pytest.mark.parametrize("told", [0, 1, 2])
@pytest.mark.parametrize("suffix", FILES)
def test_a_file_says_how_its_colours_are_meant(matrix: int, told: int, suffix: str, folder: Path) -> None:
    """By its container or by its stream, and through the table that is cached, too."""
    codec, options = FILES[suffix]
    path = folder / f"flat_{matrix}_{told}.{suffix}"
    pix_fmt = "yuv444p10le" if suffix == "mkv" else "yuv420p"
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, told
        stream.codec_context.thread_count = 1
        for k, patch in enumerate(PATCHES):
            frame = flat(patch, pix_fmt, matrix, told)
            frame.pts, frame.time_base = k, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    times = tuple((k + 0.5) / 25 for k in range(len(PATCHES)))
    with open_media(path, unpacked(packed(look(path)))) as media:
        whole, small = media.read([Span(times=times), Span(times=times, size=(20, 30))])
    for k, patch in enumerate(PATCHES):
        expected = rgb_of(patch, DEPTHS[pix_fmt], matrix, full=told == 2)[:, None, None]
        assert np.abs(whole.video[k].numpy() - expected).max() <= 2
        assert np.abs(small.video[k].numpy() - expected).max() <= 2


@pytest.mark.parametrize(
    "pix_fmt",
    [
        "yuv420p",
        "nv12",
        "yuv411p",
        "yuyv422",
        "gray",
        "gray10le",
        "rgb24",
        "bgra",
        "pal8",
        "monow",
        "gbrp10le",
        "yuva444p",
    ],
)
def test_nothing_is_written_outside_the_result(pix_fmt: str) -> None:
    frame = av.VideoFrame.from_ndarray(smooth(61, 83), format="rgb24")
    frame = av.VideoFrame(83, 61, pix_fmt) if pix_fmt == "pal8" else frame.reformat(format=pix_fmt)
    converter = Converter()
    for size in [(61, 83), (17, 23), (16, 64), (90, 101), (1, 1)]:
        guarded = np.full(3 * size[0] * size[1] + 8192, 77, np.uint8)
        converter(frame, (3, 5, 50, 70), guarded[4096:-4096].reshape(3, *size))
        assert (guarded[:4096] == 77).all()
        assert (guarded[-4096:] == 77).all()


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "bgr0", "bgra", "gray"])
def test_pixel_formats_give_the_same_picture(pix_fmt: str, folder: Path) -> None:
    picture = smooth(48, 64)
    if pix_fmt == "gray":
        picture = np.repeat(picture[:, :, :1], 3, 2)
    path = write(folder / f"{pix_fmt}.mkv", film_of(picture, pix_fmt))
    with open_media(path) as media:
        (clip,) = media.read([Span(times=(0.0,))])
    assert np.abs(clip.video[0].permute(1, 2, 0).numpy().astype(int) - picture).mean() < 3


def test_what_cannot_be_scaled_is_told_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "line.png"
    Image.new("RGB", (360, 1)).save(path)
    with open_media(path) as media, pytest.raises(MediaError, match=r"line.png: frame 0 cannot be scaled .*640×1"):
        media.read([Span(times=(0.0,), size=(640, 1))])


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "bmp", "gif"])
def test_a_picture_is_a_clip_of_one_frame(kind: str, folder: Path) -> None:
    picture = smooth(48, 64)
    path = folder / f"picture.{kind}"
    Image.fromarray(picture).save(path, **({"quality": 98} if kind in {"jpg", "webp"} else {}))
    info = probe(path)
    assert info.is_picture
    assert (info.frames, info.height, info.width, info.duration) == (1, 48, 64, 0)
    with open_media(path) as media:
        whole, crop = media.read(
            [Span(times=(0.0, 0.0)), Span(times=(0.0,), boxes=(Box(top=0.5, height=0.5),), size=(24, 64))]
        )
        with pytest.raises(MediaError, match="at 0 s only, not at 1 s"):
            media.read([Span(times=(1.0,))])
    assert whole.video.shape == (2, 3, 48, 64)
    found = whole.video[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(found - picture).mean() < (8 if kind == "gif" else 4)
    assert torch.equal(crop.video[0], whole.video[0, :, 24:])


def test_pictures_of_all_modes_are_read_upright(folder: Path) -> None:
    picture = Image.fromarray(numbered(5))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by a quarter clockwise to show
    picture.save(folder / "turned.png", exif=exif)
    with open_media(folder / "turned.png") as media:
        (clip,) = media.read([Span(times=(0.0,))])
    assert np.array_equal(clip.video[0].permute(1, 2, 0).numpy(), np.rot90(numbered(5), -1))
    grey = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 20
    for name, image in {
        "grey": picture.convert("L"),
        "alpha": picture.convert("RGBA"),
        "palette": picture.convert("P"),
        "bits": picture.convert("1"),
        "deep": Image.fromarray(grey),
    }.items():
        image.save(folder / f"{name}.png")
        with open_media(folder / f"{name}.png") as media:
            (clip,) = media.read([Span(times=(0.0,))])
        assert clip.video.shape == (1, 3, 48, 64)
        if name == "alpha":
            assert np.array_equal(clip.video[0].permute(1, 2, 0).numpy(), numbered(5))
        if name == "deep":
            assert np.array_equal(clip.video[0, 0].numpy(), grey >> 8)
