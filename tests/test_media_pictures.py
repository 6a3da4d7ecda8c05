"""Still pictures: by torchcodec or by Pillow they are the same to the bit, upright, and damaged ones are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from avssl.core import MediaError, Span
from avssl.media import open_media, picture

PIXELS = np.array(
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (6, 8, 3)).astype(np.uint8)).resize((61, 47))
)


def by_pillow(path: Path) -> torch.Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(ImageOps.exif_transpose(image).convert("RGB"))).permute(2, 0, 1)


def shown(path: Path) -> torch.Tensor:
    with open_media(path) as media:
        (clip,) = media.read([Span(times=(0.0,))])
    return clip.video[0]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the formats of the pictures that torchcodec has decoded."""
    found: list[str] = []
    real = picture._plain

    def spy(image: Image.Image, data: bytes) -> np.ndarray | None:
        pixels = real(image, data)
        found.extend([] if pixels is None else [str(image.format)])
        return pixels

    monkeypatch.setattr(picture, "_plain", spy)
    return found


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_a_picture_is_turned_as_its_exif_says(suffix: str, tmp_path: Path, quick: list[str]) -> None:
    for orientation in range(10):  # 0 and 9 mean nothing
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.{suffix}"
        Image.fromarray(PIXELS).save(path, exif=exif, quality=90)
        assert torch.equal(shown(path), by_pillow(path)), orientation
    assert len(quick) in {0, 10}  # none where torchcodec is not installed


def test_a_picture_is_turned_as_its_xmp_says(tmp_path: Path, quick: list[str]) -> None:
    path = tmp_path / "a.jpg"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    Image.fromarray(PIXELS).save(path, xmp=xmp)
    assert shown(path).shape == (3, 61, 47)
    assert torch.equal(shown(path), by_pillow(path))
    assert not quick


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "RGBA", "LA"])
def test_every_kind_of_pixels_is_that_of_pillow(mode: str, tmp_path: Path, quick: list[str]) -> None:
    made = Image.fromarray(PIXELS).convert(mode)
    suffixes = {"CMYK": ["jpg"], "RGBA": ["png", "webp"], "LA": ["png", "webp"], "P": ["png", "gif", "webp"]}
    for suffix in suffixes.get(mode, ["jpg", "png", "webp", "bmp", "gif"]):
        path = tmp_path / f"a.{suffix}"
        made.save(path)
        assert torch.equal(shown(path), by_pillow(path)), suffix
    assert set(quick) <= {"JPEG", "WEBP"}
    if picture._decode_image() is not None:
        assert ("JPEG" in quick) == (mode in {"RGB", "L", "1"})


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_picture_that_is_cut_short_is_named(suffix: str, tmp_path: Path, quick: list[str]) -> None:
    path = tmp_path / f"whole.{suffix}"
    Image.fromarray(PIXELS).save(path)
    data = path.read_bytes()
    for cut in (24, len(data) // 3, len(data) // 2, len(data) - 30):
        path = tmp_path / f"{cut}.{suffix}"
        path.write_bytes(data[:cut])
        with pytest.raises(MediaError, match=rf"{cut}\.{suffix}: this picture cannot be decoded \((?!.*BytesIO)"):
            shown(path)
    assert not quick
