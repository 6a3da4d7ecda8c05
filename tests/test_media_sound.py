"""Sound by time: bursts come at the sample at which they were made, whatever codec and container did to them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from media_files import Film, Noise, bursts, write
from torchaudio.functional import resample

from avssl.core import MediaError, Sound, Span
from avssl.media import feed, open_media, packets, probe
from avssl.media import sound as sound_room

AT = (0.25, 0.9, 1.7, 2.6, 3.4, 4.1)
SECONDS = 5.0
FILM = Film(frames=125)
LATER = Film(frames=125, stamps=[5000 + 40 * i for i in range(125)], tick=Fraction(1, 1000))
VP9 = Film(frames=125, codec="libvpx-vp9", options={"cpu-used": "8", "deadline": "realtime"})
MPEG2 = Film(frames=125, codec="mpeg2video", options={"b": "1M"})


def noise(codec: str, rate: int = 44100, *, start: float = 0.0, channels: int = 1) -> Noise:
    return Noise(samples=bursts(SECONDS, rate, AT, channels=channels), rate=rate, codec=codec, start=start)


KINDS: dict[str, tuple[Film | None, Noise]] = {
    "aac.mp4": (FILM, noise("aac")),
    "aac_stereo.mp4": (FILM, noise("aac", 48000, channels=2)),
    "aac_late.mp4": (FILM, noise("aac", start=0.3)),
    "aac.mkv": (FILM, noise("aac")),
    "aac_late.mkv": (FILM, noise("aac", start=0.3)),
    "shifted.mkv": (LATER, noise("aac", start=5.0)),
    "aac.ts": (FILM, noise("aac")),
    "aac.m4a": (None, noise("aac")),
    "opus.webm": (VP9, noise("libopus", 48000)),
    "opus.ogg": (None, noise("libopus", 48000)),
    "opus.mp4": (FILM, noise("libopus", 48000)),
    "mp3.mp3": (None, noise("libmp3lame")),
    "mp3.mp4": (FILM, noise("libmp3lame")),
    "mp3.mkv": (FILM, noise("libmp3lame")),
    "mp2.mpg": (MPEG2, noise("mp2")),
    "pcm.avi": (FILM, noise("pcm_s16le")),
    "pcm_late.mkv": (FILM, noise("pcm_s16le", start=0.3)),
    "stereo.wav": (None, noise("pcm_s16le", 22050, channels=2)),
    "bytes.wav": (None, noise("pcm_u8", 8000)),
    "deep.wav": (None, noise("pcm_s24le", 48000)),
    "floats.wav": (None, noise("pcm_f32le", 16000)),
    "flac.flac": (None, noise("flac")),
    "alac.m4a": (None, noise("alac")),
    "ac3.mkv": (FILM, noise("ac3", 48000)),
}
LOSSLESS = {"pcm.avi", "pcm_late.mkv", "stereo.wav", "deep.wav", "floats.wav", "flac.flac", "alac.m4a"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sound")


def written(folder: Path, name: str) -> Path:
    film, made = KINDS[name]
    # mp4 rounds where a track starts to this clock
    options = {"movie_timescale": "44100"} if "late" in name and name.endswith("mp4") else None
    path = folder / name
    return path if path.exists() else write(path, film, made, options=options)


def lag(found: np.ndarray, made: np.ndarray) -> float:
    """By how many samples `found` (N,) comes later than `made` (N,), to a sixteenth of one."""
    n, finer = 2 * len(found), 16
    spectrum = np.fft.rfft(found, n) * np.conj(np.fft.rfft(made, n))
    correlation = np.fft.irfft(np.concatenate([spectrum, np.zeros(n // 2 * (finer - 1))]), n * finer)
    best = int(np.argmax(correlation))
    return (best if best < n * finer // 2 else best - n * finer) / finer


@pytest.mark.parametrize("name", KINDS)
def test_bursts_come_at_their_sample(name: str, folder: Path) -> None:
    path, made = written(folder, name), KINDS[name][1]
    late = 0.3 if "_late" in name else 0.0
    with open_media(path) as media:
        for rate in (16000, made.rate):
            reference = resample(torch.from_numpy(bursts(SECONDS, made.rate, AT)), made.rate, rate)[0].numpy()
            for instant in (AT[3], AT[0], AT[-1]):  # not in order: after a seek, too
                first = round((instant - 0.1) * rate)
                stretch = Sound(start=first / rate + late, duration=0.3, rate=rate)
                (clip,) = media.read([Span(sound=stretch)])
                assert clip.audio.shape == (1, stretch.samples)
                assert clip.audio.dtype == torch.float32
                assert int(clip.valid) == stretch.samples
                want = reference[first : first + stretch.samples] * made.samples.mean(0).max() / made.samples[-1].max()
                found = clip.audio[0].numpy()
                assert abs(lag(found, want)) < 1
                assert np.corrcoef(found, want)[0, 1] > 0.97
                if name in LOSSLESS:
                    assert np.abs(found - want).max() < 1e-3


@pytest.mark.parametrize("name", ["aac.mp4", "aac.mkv", "opus.webm", "mp3.mp3", "stereo.wav", "flac.flac"])
@pytest.mark.parametrize("rate", [16000, 48000, 11025])
def test_a_cut_is_the_cut_of_the_whole_resampled_track(name: str, rate: int, folder: Path) -> None:
    path = written(folder, name)
    info = probe(path)
    with open_media(path) as media:
        (whole,) = media.read([Span(sound=Sound(start=0.0, duration=info.sound_duration, rate=rate, mono=False))])
        spans = [
            Span(sound=Sound(start=start, duration=0.4, rate=rate, mono=False)) for start in (0.2, 1.234567, 3.0, 4.3)
        ]
        together = media.read(spans)
        alone = [media.read([span])[0] for span in reversed(spans)][::-1]
        assert len(media._table.sound.ends)  # so that the later ones were not decoded from the start
    for span, a, b in zip(spans, together, alone, strict=True):
        first = round(span.sound.start * rate)
        assert torch.allclose(a.audio, whole.audio[:, first : first + span.sound.samples], atol=1e-6)
        assert torch.allclose(a.audio, b.audio, atol=1e-6)


@pytest.mark.parametrize(("codec", "name", "rate"), [("libopus", "tones.webm", 48000), ("aac", "tones.mp4", 44100)])
def test_a_decoder_that_starts_in_the_middle_has_forgotten_it(codec: str, name: str, rate: int, folder: Path) -> None:
    t = np.arange(5 * rate) / rate
    tones = 0.1 * sum(np.sin(2 * np.pi * f * t + f) for f in (311, 523, 871, 1409, 2203))
    path = write(folder / name, noise=Noise(samples=tones[None].astype(np.float32), codec=codec, rate=rate))
    with open_media(path) as media:
        (whole,) = media.read([Span(sound=Sound(start=0.0, duration=4.9, rate=rate))])
        for start in (1.0, 2.35, 3.9):
            (clip,) = media.read([Span(sound=Sound(start=start, duration=0.2, rate=rate))])
            first = round(start * rate)
            assert torch.allclose(clip.audio, whole.audio[:, first : first + clip.audio.shape[1]], atol=1e-3)


def test_outside_the_sound_there_are_zeros_and_valid_counts_the_rest(folder: Path) -> None:
    path = written(folder, "pcm_late.mkv")
    info = probe(path)
    assert (info.sound_start, info.sound_duration) == (pytest.approx(0.3), pytest.approx(5.0))
    assert (info.sample_rate, info.channels, info.duration) == (44100, 1, pytest.approx(5.0))
    with open_media(path) as media:
        before, across, after = media.read(
            [Span(sound=Sound(start=s, duration=0.5, rate=44100)) for s in (-0.4, 0.1, 5.2)]
        )
        (far,) = media.read([Span(sound=Sound(start=1000.0, duration=0.1))])
    made = bursts(SECONDS, 44100, AT)
    for clip, real in ((before, 0), (across, 13230), (after, 4410), (far, 0)):
        assert int(clip.valid) == real
    assert float(before.audio.abs().max()) == 0
    assert float(across.audio[:, :8820].abs().max()) == 0
    assert np.allclose(across.audio[:, 8820:], made[:, :13230], atol=1e-4)
    assert np.allclose(after.audio[:, :4410], made[:, -4410:], atol=1e-4)
    assert far.audio.shape == (1, 1600)


def test_mono_is_the_mean_of_the_channels(folder: Path) -> None:
    with open_media(written(folder, "stereo.wav")) as media:
        span = Sound(start=0.2, duration=0.2, rate=22050)
        mono, both = media.read([Span(sound=span), Span(sound=Sound(start=0.2, duration=0.2, rate=22050, mono=False))])
    assert both.audio.shape == (2, 4410)
    assert torch.allclose(mono.audio[0], both.audio.mean(0), atol=1e-7)
    assert float((2 * both.audio[0] - both.audio[1]).abs().max()) < 1e-4  # channel k is k + 1 times as loud


def test_the_clock_of_a_sound_file_starts_with_its_first_sample(folder: Path) -> None:
    for name in ("flac.flac", "mp3.mp3", "aac.m4a"):
        info = probe(written(folder, name))
        assert (info.frames, info.fps, info.sound_start) == (0, 0, 0)
        assert info.duration == info.sound_duration == pytest.approx(5.0, abs=0.03)
    assert probe(written(folder, "flac.flac")).sound_duration == 5.0


def test_sound_that_comes_from_the_demuxer_is_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(folder, "aac.mp4")
    span = Span(sound=Sound(start=4.0, duration=0.5))
    with open_media(path) as media:
        (kept,) = media.read([span])
    monkeypatch.setattr("avssl.media.packets._Piece.position", lambda *_: -1)
    monkeypatch.setattr(feed, "FAR_ROWS", 5)
    with open_media(path) as media:
        (again,) = media.read([span])
    monkeypatch.setattr(sound_room, "AHEAD", 1000)  # decoded from the start
    with open_media(path) as media:
        (plain,) = media.read([span])
    assert torch.equal(kept.audio, again.audio)
    assert torch.allclose(kept.audio, plain.audio, atol=1e-4)


def test_rates_without_a_common_measure_are_refused(folder: Path) -> None:
    path = write(folder / "odd.wav", noise=noise("pcm_s16le", 44101))
    with open_media(path) as media, pytest.raises(MediaError, match="44101 Hz cannot well be resampled"):
        media.read([Span(sound=Sound(start=0.0, duration=0.1))])


@pytest.mark.parametrize("name", ["aac.mp4", "libopus.mkv", "pcm_s16le.wav", "flac.flac"])
def test_eight_channels_are_read(name: str, folder: Path) -> None:
    """PyAV's own reading of planar frames with so many runs past their end."""
    codec, path = name.split(".")[0], folder / f"surround_{name}"
    samples = np.random.default_rng(0).normal(0, 0.1, (8, 48000)).astype(np.float32)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=48000, layout="7.1")
        packed = np.ascontiguousarray(samples.T).reshape(1, -1)  # planar ones, PyAV cannot make either
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout="7.1")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open_media(path) as media:
        assert media.info.channels == 8
        both = media.read([Span(sound=Sound(start=0.2, duration=0.5, rate=48000, mono=mono)) for mono in (False, True)])
    assert both[0].audio.shape == (8, 24000)
    assert torch.allclose(both[0].audio.mean(0), both[1].audio[0], atol=1e-6)
    if codec in {"pcm_s16le", "flac"}:
        assert np.abs(both[0].audio.numpy() - samples[:, 9600:33600]).max() < 1e-3


def hiss(codec: str, rate: int = 44100) -> Noise:
    samples = np.random.default_rng(0).normal(0, 0.1, (1, round(SECONDS * rate))).astype(np.float32)
    return Noise(samples=samples, rate=rate, codec=codec)


@pytest.mark.parametrize("name", ["aac.mp4", "aac.mkv", "opus.mp4", "alac.m4a", "flac.mkv", "flac.ogg"])
def test_a_pause_is_silence_unless_the_format_cannot_pause(name: str, folder: Path) -> None:
    codec = {"opus": "libopus"}.get(name[:4], name.split(".")[0])
    made = hiss(codec, 48000)
    plain, path = write(folder / f"plain_{name}", noise=made), folder / f"paused_{name}"
    with av.open(str(plain)) as a, av.open(str(path), "w") as b:
        stream = b.add_stream_from_template(a.streams.audio[0])
        for packet in a.demux(a.streams.audio[0]):
            if packet.size:
                if packet.pts * packet.time_base >= 2.5:
                    packet.pts = packet.dts = packet.pts + round(1 / packet.time_base)
                packet.stream = stream
                b.mux(packet)
    with open_media(plain) as media:
        (whole,) = media.read([Span(sound=Sound(start=0.0, duration=5.0, rate=48000))])
    with open_media(path) as media:
        if name.endswith("ogg"):
            with pytest.raises(MediaError, match="cannot be decoded"):
                media.read([Span(sound=Sound(start=2.0, duration=2.0, rate=48000))])
            return
        (clip,) = media.read([Span(sound=Sound(start=0.0, duration=6.0, rate=48000))])
    loud = np.flatnonzero(clip.audio[0].numpy())
    k = int(np.diff(loud).argmax())
    begin, end = int(loud[k]) + 1, int(loud[k + 1])  # of the longest silence
    assert 2.4 < begin / 48000 < 2.6
    assert end - begin == pytest.approx(48000, abs=60)  # Matroska rounds to a millisecond
    assert int(clip.valid) == pytest.approx(5 * 48000, abs=60)
    assert torch.allclose(clip.audio[:, :begin], whole.audio[:, :begin], atol=1e-3)
    assert torch.allclose(clip.audio[:, end : end + 90000], whole.audio[:, begin : begin + 90000], atol=1e-3)


def test_sound_goes_on_where_its_packets_are_told_to_begin_late(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg takes the first packet of a page of Ogg Vorbis for a short one, which ends when it does."""

    def late(container: av.container.InputContainer, streams: list[av.stream.Stream]) -> Iterator[av.Packet]:
        for number, packet in enumerate(demux(container, streams)):
            if number % 5 == 2:
                packet.pts, packet.duration = packet.pts + 448, packet.duration - 448
            yield packet

    path = write(folder / "pages.ogg", noise=hiss("flac"))
    span = Span(sound=Sound(start=0.0, duration=SECONDS, rate=44100))
    with open_media(path) as media:
        (told,) = media.read([span])
    demux = packets.demux
    for room in (packets, feed):
        monkeypatch.setattr(room, "demux", late)
    with open_media(path) as media:
        (again,) = media.read([span])
    assert torch.equal(again.audio, told.audio)


@pytest.mark.parametrize("rates", [(44100, 16000), (22050, 16000), (48000, 44100)])
def test_the_number_of_threads_does_not_show_in_a_bit(rates: tuple[int, int], folder: Path) -> None:
    hiss = np.random.default_rng(0).normal(0, 0.2, (1, 2 * rates[0])).astype(np.float32)
    path = write(folder / f"{rates[0]}.wav", noise=Noise(samples=hiss, rate=rates[0], codec="pcm_s16le"))
    spans = [Span(sound=Sound(start=0.2, duration=n / 64, rate=rates[1])) for n in range(16, 80)]
    threads, heard = torch.get_num_threads(), []
    try:
        for count in (1, 4):
            torch.set_num_threads(count)
            with open_media(path) as media:
                heard.append([clip.audio for clip in media.read(spans)])
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*heard, strict=True))
