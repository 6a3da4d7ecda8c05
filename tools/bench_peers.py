"""The other ways to read clips that `bench_media.py` compares, each as its users are told to, one codec thread each.

Where a library can do the job in a way that is faster than the usual one, such as all clips of a visit from one pass,
the faster one is taken: the comparison is with what can be had.
"""

# ruff: noqa: D102 – what the methods do is said in `Contender`
from __future__ import annotations

import ctypes
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_jobs import SOUND_RATE, SOUND_SECONDS, Contender, Cut, Cutting, Visit, channels_first, sliced
from bench_peers_ffmpeg import Spdl, TorchCodecApproximate, TorchCodecExact
from torch import Tensor

SAMPLES = round(SOUND_RATE * SOUND_SECONDS)


class Decord(Contender):
    """Scaled by the reader; sound can only be had as a whole."""

    sound = True
    distribution = "decord"

    def __init__(self) -> None:
        installed = metadata.distribution(self.distribution)
        # decord and decord2 have a module of the same name: each is taken from where it was installed
        sys.path.insert(0, str(installed.locate_file("")))
        import decord

        if decord.__version__ != installed.version:
            raise ImportError(f"the module decord there is {decord.__version__}: install the two to different folders")
        self._module = decord

    def read(self, visit: Visit) -> list[Cutting]:
        high, wide = visit.scaled
        reader = self._module.VideoReader(visit.path, width=wide, height=high, num_threads=1)
        clips = sliced(channels_first(reader.get_batch(visit.numbers).asnumpy()), visit)
        return [(c, self._heard(visit, cut)) for c, cut in zip(clips, visit.cuts, strict=True)]

    def _heard(self, visit: Visit, cut: Cut) -> Tensor | None:
        if cut.sound is None:
            return None
        reader = self._module.AudioReader(visit.path, sample_rate=SOUND_RATE, mono=True)
        begin = round(cut.sound * SOUND_RATE)
        return torch.from_numpy(reader[begin : begin + SAMPLES].asnumpy())


class Decord2(Decord):
    """Its successor by others."""

    distribution = "decord2"


class PyAV(Contender):
    """Seek, decode from there on, and scale by `reformat` what is wanted, in one pass for all clips of a visit."""

    sound = True

    def read(self, visit: Visit) -> list[Cutting]:
        import av

        high, wide = visit.scaled
        times = list(visit.times.values())
        found: list[np.ndarray] = []
        with av.open(visit.path) as container:
            stream = container.streams.video[0]
            stream.thread_type, stream.thread_count = "NONE", 1
            assert stream.time_base is not None
            begin = stream.start_time or 0
            container.seek(begin + int(times[0] / stream.time_base), stream=stream)
            early = 0.5 / visit.fps - float(begin * stream.time_base)
            for frame in container.decode(stream):
                if frame.time is not None and frame.time + early > times[len(found)]:
                    found.append(frame.reformat(width=wide, height=high, format="rgb24").to_ndarray())
                    if len(found) == len(times):
                        break
        if not found:
            raise ValueError("no frames")
        found += [found[-1]] * (len(times) - len(found))
        clips = sliced(channels_first(np.stack(found)), visit)
        return [(c, self._heard(visit, cut)) for c, cut in zip(clips, visit.cuts, strict=True)]

    def _heard(self, visit: Visit, cut: Cut) -> Tensor | None:
        if cut.sound is None:
            return None
        import av

        with av.open(visit.path) as container:
            stream = container.streams.audio[0]
            assert stream.time_base is not None
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=SOUND_RATE)
            container.seek(int(cut.sound / stream.time_base), stream=stream)
            parts: list[np.ndarray] = []
            begin = 0.0
            for frame in container.decode(stream):
                assert frame.time is not None
                begin = begin if parts else frame.time
                parts += [f.to_ndarray() for f in resampler.resample(frame)]
                if frame.time > cut.sound + SOUND_SECONDS:
                    break
            parts += [f.to_ndarray() for f in resampler.resample(None)]
        skip = round((cut.sound - begin) * SOUND_RATE)
        return torch.from_numpy(np.concatenate(parts, 1)[:, skip : skip + SAMPLES])


class VideoReaderRs(Contender):
    """Scaled by the reader."""

    def __init__(self) -> None:
        # its wheel forgets to say where its own libraries lie: they are loaded before, those first that need no other
        folder = Path(str(metadata.distribution("video-reader-rs").locate_file("video_reader_rs.libs")))
        left = list(folder.glob("*.so*")) if folder.is_dir() else []
        while left:
            waiting = [p for p in left if not _loads(p)]
            if len(waiting) == len(left):
                break
            left = waiting
        import video_reader

        self._module = video_reader

    def read(self, visit: Visit) -> list[Cutting]:
        high, wide = (n + n % 2 for n in visit.scaled)  # it fails where a side is odd
        reader = self._module.PyVideoReader(visit.path, threads=1, target_width=wide, target_height=high)
        clips = sliced(channels_first(reader.get_batch(visit.numbers)), visit)
        return [(c, None) for c in clips]


def _loads(path: Path) -> bool:
    try:
        ctypes.CDLL(str(path))
    except OSError:
        return False
    return True


class OpenCV(Contender):
    """Frames that are not wanted are grabbed, not converted."""

    def __init__(self) -> None:
        import cv2

        cv2.setNumThreads(1)
        self._cv2: Any = cv2

    def read(self, visit: Visit) -> list[Cutting]:
        cv2 = self._cv2
        numbers = visit.numbers
        capture = cv2.VideoCapture(visit.path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        capture.set(cv2.CAP_PROP_POS_FRAMES, numbers[0])
        at, found = numbers[0], []
        for number in numbers:
            while at <= number:
                capture.grab()
                at += 1
            there, frame = capture.retrieve()
            if not there:
                raise ValueError(f"frame {number} cannot be read")
            small = cv2.resize(frame, visit.scaled[::-1], interpolation=cv2.INTER_AREA)
            found.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
        capture.release()
        return [(c, None) for c in sliced(channels_first(np.stack(found)), visit)]


class TorchVision(Contender):
    """`read_video`, where torchvision still has it."""

    def __init__(self) -> None:
        import torchvision.io

        if not hasattr(torchvision.io, "read_video"):
            raise ImportError(f"torchvision {torchvision.__version__} has no read_video any more")
        self._io = torchvision.io

    def read(self, visit: Visit) -> list[Cutting]:
        from torchvision.transforms.v2 import functional

        clips: list[Cutting] = []
        for cut in visit.cuts:
            frames, _, _ = self._io.read_video(
                visit.path, cut.times[0], cut.times[-1] + 0.5 / visit.fps, pts_unit="sec", output_format="TCHW"
            )
            frames = frames[[n - cut.numbers[0] for n in cut.numbers]]
            size = [visit.crop, visit.crop]
            clips.append((functional.resized_crop(frames, *visit.source_box(cut), size, antialias=True), None))
        return clips


PEERS: dict[str, tuple[type[Contender], str]] = {
    "torchcodec approximate": (TorchCodecApproximate, "torchcodec"),
    "torchcodec exact": (TorchCodecExact, "torchcodec"),
    "decord": (Decord, "decord"),
    "decord2": (Decord2, "decord2"),
    "PyAV": (PyAV, "av"),
    "SPDL": (Spdl, "spdl-io"),
    "video-reader-rs": (VideoReaderRs, "video-reader-rs"),
    "OpenCV": (OpenCV, "opencv-python-headless"),
    "torchvision": (TorchVision, "torchvision"),
}
"""What is compared with ours, and the distribution that it comes from."""
