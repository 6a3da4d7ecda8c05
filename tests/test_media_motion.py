"""The motion that a scan tells without decoding."""

from pathlib import Path

import av
import numpy as np
import pytest

from avssl.data.scan import _part
from avssl.media import probe


def write_half_moving(path: Path, *, moving: slice, codec: str = "libx264") -> Path:
    """4 s at 25 Hz of a textured square on a grey ground that moves only in the frames of `moving`."""
    rng = np.random.default_rng(0)
    square = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        x = 0
        for k in range(100):
            if k in range(*moving.indices(100)):
                x = (x + 3) % 48
            picture = np.full((64, 64, 3), 128, np.uint8)
            picture[24:40, x : x + 16] = square
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize("moving", [slice(0, 50), slice(50, 100)])
def test_motion_lies_where_things_move(tmp_path: Path, moving: slice) -> None:
    motion = np.array(probe(write_half_moving(tmp_path / "x.mp4", moving=moving)).motion)
    assert len(motion) == 16
    halves = motion[:8].mean(), motion[8:].mean()
    busy, still = halves if moving.start == 0 else halves[::-1]
    assert busy > 3 * still


def test_files_of_key_frames_tell_no_motion(tmp_path: Path) -> None:
    assert probe(write_half_moving(tmp_path / "x.avi", moving=slice(0, 50), codec="mjpeg")).motion == ()


def test_a_stretch_has_its_part_of_the_motion() -> None:
    assert _part((1.0, 3.0), 0.0, 1.0) == pytest.approx((1.0, 3.0))
    assert _part((1.0, 3.0), 0.5, 1.0) == pytest.approx((1.5, 1.5))
    assert _part((), 0.5, 1.0) == ()
