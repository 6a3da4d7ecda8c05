"""The peers of `bench_media.py` that bring no FFmpeg of their own; see `bench_peers.py`."""

# ruff: noqa: D102 – what the methods do is said in `Contender`
from __future__ import annotations

import numpy as np
import torch
from bench_ffmpeg import offer_ffmpeg_of_av
from bench_jobs import SOUND_RATE, SOUND_SECONDS, Contender, Cut, Cutting, Visit, channels_first, sliced
from torch import Tensor


class _TorchCodec(Contender):
    """What both ways to use torchcodec have in common."""

    sound = True

    def __init__(self) -> None:
        problem = offer_ffmpeg_of_av()
        try:
            import torchcodec.decoders
        except RuntimeError as e:
            raise ImportError(f"it finds no FFmpeg; that of av cannot be used: {problem}") from e
        self._decoders = torchcodec.decoders

    def _heard(self, visit: Visit, cut: Cut) -> Tensor | None:
        if cut.sound is None:
            return None
        decoder = self._decoders.AudioDecoder(visit.path, sample_rate=SOUND_RATE, num_channels=1)
        return decoder.get_samples_played_in_range(cut.sound, cut.sound + SOUND_SECONDS).data


class TorchCodecApproximate(_TorchCodec):
    """No scan of the file; crop and scale by torchvision."""

    def read(self, visit: Visit) -> list[Cutting]:
        from torchvision.transforms.v2 import functional

        decoder = self._decoders.VideoDecoder(visit.path, seek_mode="approximate", num_ffmpeg_threads=1)
        numbers = visit.numbers
        place = {n: i for i, n in enumerate(numbers)}
        video = decoder.get_frames_at(numbers).data
        clips: list[Cutting] = []
        for cut in visit.cuts:
            frames = video if len(visit.cuts) == 1 else video[[place[n] for n in cut.numbers]]
            size = [visit.crop, visit.crop]
            clip = functional.resized_crop(frames, *visit.source_box(cut), size, antialias=True)
            clips.append((clip, self._heard(visit, cut)))
        return clips


class TorchCodecExact(_TorchCodec):
    """With a scan of the file; scaled by its own transform."""

    def read(self, visit: Visit) -> list[Cutting]:
        from torchcodec.transforms import Resize

        decoder = self._decoders.VideoDecoder(
            visit.path, seek_mode="exact", num_ffmpeg_threads=1, transforms=[Resize(visit.scaled)]
        )
        clips = sliced(decoder.get_frames_at(visit.numbers).data, visit)
        return [(c, self._heard(visit, cut)) for c, cut in zip(clips, visit.cuts, strict=True)]


class Spdl(Contender):
    """One filter graph that cuts, scales and converts; of several clips, all frames between are scaled once."""

    sound = True

    def __init__(self) -> None:
        problem = offer_ffmpeg_of_av()
        import spdl.io

        self._io = spdl.io
        try:
            self._io.demux_config()  # which loads the library
        except RuntimeError as e:
            raise ImportError(f"it finds no FFmpeg; that of av cannot be used: {problem}") from e

    def read(self, visit: Visit) -> list[Cutting]:
        times = visit.times
        begin, end = min(times.values()), max(times.values()) + 0.5 / visit.fps
        window = (max(0.0, begin - 0.25 / visit.fps), end)
        packets = self._io.demux_video(visit.path, timestamp=window)
        high, wide = visit.scaled
        chain = [f"trim=start={window[0]}:end={window[1]}"]
        size, first = visit.crop, visit.cuts[0]
        alone = len(visit.cuts) == 1
        if alone:
            chain.append(f"select='not(mod(n,{first.numbers[1] - first.numbers[0]}))'")
        chain.append(f"scale=w={wide}:h={high}:flags=bilinear")
        if alone:
            chain.append(f"crop=w={size}:h={size}:x={first.left}:y={first.top}:exact=1")
        chain.append("format=pix_fmts=rgb24")
        frames = self._io.decode_packets(packets, filter_desc=",".join(chain))
        shown = np.array(frames.get_timestamps())  # converting uses the frames up
        video = channels_first(self._io.to_numpy(self._io.convert_frames(frames)))
        nearest = [int(np.abs(shown - t).argmin()) for t in times.values()]
        clips = [video] if alone else sliced(video[nearest], visit)
        return [(c, self._heard(visit, cut)) for c, cut in zip(clips, visit.cuts, strict=True)]

    def _heard(self, visit: Visit, cut: Cut) -> Tensor | None:
        if cut.sound is None:
            return None
        window = (cut.sound, cut.sound + SOUND_SECONDS)
        chain = self._io.get_audio_filter_desc(timestamp=window, sample_rate=SOUND_RATE, num_channels=1)
        buffer = self._io.load_audio(visit.path, timestamp=window, filter_desc=chain)
        return torch.from_numpy(self._io.to_numpy(buffer))
