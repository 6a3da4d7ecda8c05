"""Bursts of sound come at the sample at which they were made, in containers and codecs beyond the usual ones.

Where a format does not allow that, the table says by how many samples they may be off, and why.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from awkward_streams import EBML, FIXED, NO_LACING, XIPH, laced, matroska, sound_track
from media_files import Film, Noise, bursts, write
from test_media_sound import lag
from torchaudio.functional import resample

from avssl.core import Sound, Span
from avssl.media import look, open_media, packed, unpacked

AT = (0.25, 0.9, 1.7, 2.4)
SECONDS = 3.0
FILM = Film(frames=75)
MPEG2 = Film(frames=75, codec="mpeg2video", options={"b": "1M"})
AVI = Film(frames=75, codec="mpeg4")
B = Film(frames=75, options={"bf": "3", "g": "25"})


def noise(codec: str, rate: int = 44100, *, start: float = 0.0) -> Noise:
    return Noise(samples=bursts(SECONDS, rate, AT), rate=rate, codec=codec, start=start)


@dataclass(frozen=True)
class Kind:
    """What to write, and by how many samples at the file's rate a burst may come elsewhere than it was made."""

    film: Film | None
    noise: Noise
    off: float = 1.0


VORBIS = Noise(
    samples=bursts(SECONDS, 44100, AT, channels=2), rate=44100, codec="vorbis", options={"strict": "experimental"}
)
MS = 44.1
"""Samples of a millisecond, to which Matroska, Flash and ASF round where a track starts."""

KINDS: Mapping[str, Kind] = {
    "aac_b_frames.mp4": Kind(B, noise("aac")),
    "aac_late.mov": Kind(FILM, noise("aac", start=0.3), off=MS),  # its edit list counts in milliseconds
    "aac_fragmented.mp4": Kind(FILM, noise("aac")),
    "five_seconds.mkv": Kind(
        replace(FILM, stamps=[5000 + 40 * i for i in range(75)], tick=Fraction(1, 1000)), noise("aac", start=5.0)
    ),
    "aac.flv": Kind(FILM, noise("aac"), off=MS),
    "aac.adts.aac": Kind(None, noise("aac"), off=1024.1),  # a bare stream does not tell the delay of the encoder
    "aac_48k.ts": Kind(B, noise("aac", 48000)),
    "opus.mkv": Kind(FILM, noise("libopus", 48000)),
    "opus.ts": Kind(FILM, noise("libopus", 48000)),
    "vorbis.mkv": Kind(FILM, VORBIS),
    "vorbis.ogg": Kind(None, VORBIS),
    "mp3.avi": Kind(AVI, noise("libmp3lame"), off=1105.2),  # nor does AVI
    "mp3_48k.mp4": Kind(FILM, noise("libmp3lame", 48000)),
    "mp3_16k.mkv": Kind(FILM, noise("libmp3lame", 16000)),
    "pcm.mov": Kind(FILM, noise("pcm_s16le")),
    "pcm_big.mov": Kind(FILM, noise("pcm_s16be", 48000)),
    "pcm_24.mov": Kind(FILM, noise("pcm_s24le", 48000)),
    "pcm.avi": Kind(AVI, noise("pcm_s16le")),
    "pcm_u8.avi": Kind(AVI, noise("pcm_u8", 11025)),
    "pcm.mkv": Kind(FILM, noise("pcm_s16le")),
    "pcm_float.mkv": Kind(FILM, noise("pcm_f32le", 48000)),
    "alaw.wav": Kind(None, noise("pcm_alaw", 8000)),
    "adpcm.wav": Kind(None, noise("adpcm_ima_wav", 22050)),
    "big.aiff": Kind(None, noise("pcm_s16be")),
    "flac.mkv": Kind(FILM, noise("flac")),
    "flac.ogg": Kind(None, noise("flac")),
    "wavpack.mkv": Kind(FILM, noise("wavpack")),
    "ac3.ts": Kind(B, noise("ac3", 48000)),
    "ac3.mpg": Kind(MPEG2, noise("ac3", 48000)),
    "eac3.mp4": Kind(FILM, noise("eac3", 48000)),
    "mp2.ts": Kind(MPEG2, noise("mp2")),
    "mp2.mpg": Kind(MPEG2, noise("mp2", 48000)),
    "wma.wmv": Kind(Film(frames=75, codec="wmv2"), noise("wmav2"), off=MS),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bursts")


def heard_off(path: Path, made: Noise, late: float = 0.0) -> list[float]:
    """By how many samples of the file the bursts come late, by reading each alone and all in one."""
    table = unpacked(packed(look(path)))
    rng, found = np.random.default_rng(zlib.crc32(path.name.encode())), []
    for rate in (made.rate, 16000):
        whole = torch.from_numpy(made.samples.mean(0, keepdims=True))
        reference = resample(whole, made.rate, rate)[0].numpy() if rate != made.rate else whole[0].numpy()
        begins = [
            max(0.0, t - rng.uniform(0.08, 0.12)) for t in rng.permutation(AT).tolist()[: 3 if rate == made.rate else 2]
        ]
        firsts = [round(b * rate) for b in begins]
        spans = [Span(sound=Sound(start=f / rate + late, duration=0.3, rate=rate)) for f in firsts]
        with open_media(path, table) as media:
            clips = [media.read([s])[0] for s in spans] if rate == made.rate else media.read(spans)
        for first, clip in zip(firsts, clips, strict=True):
            assert clip.audio is not None
            sound, want = clip.audio[0].numpy(), reference[first : first + clip.audio.shape[1]]
            found.append(lag(sound, want) * made.rate / rate)
            shift = round(found[-1] * rate / made.rate)
            assert np.corrcoef(np.roll(sound, -shift), want)[0, 1] > 0.9
    return found


@pytest.mark.parametrize("name", KINDS)
def test_bursts_come_at_their_sample_as_far_as_the_format_tells(name: str, folder: Path) -> None:
    kind = KINDS[name]
    options = {"movflags": "frag_keyframe+empty_moov"} if "fragmented" in name else None
    path = write(folder / name, kind.film, kind.noise, options=options)
    off = heard_off(path, kind.noise, kind.noise.start if kind.noise.start < 1 else 0.0)
    assert np.abs(off).max() <= kind.off
    assert np.ptp(off) < 1.5  # wherever it is read, it is the same


@pytest.mark.parametrize("how", [NO_LACING, XIPH, FIXED, EBML])
def test_sound_that_is_laced_is_where_it_was_made(how: int, folder: Path) -> None:
    made = Noise(samples=bursts(SECONDS, 16000, AT), rate=16000)
    pcm = (made.samples[0] * 32767).round().astype("<i2")
    frames = [pcm[k : k + 320].tobytes() for k in range(0, len(pcm), 320)]  # 20 ms each
    count = 1 if how == NO_LACING else 6
    blocks = [laced(frames[k : k + count], 20 * k, how) for k in range(0, len(frames), count)]
    path = folder / f"laced_{how}.mkv"
    matroska(path, "A_PCM/INT/LIT", blocks, sound_track(16000, 1, 16), 20_000_000)
    assert np.abs(heard_off(path, made)).max() < 1
