"""Awkward but intact files of many kinds, each with what is shown in it when: frames carry their number as bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from media_files import BARS, Film, numbered, write

FAST = {"cpu-used": "8", "deadline": "realtime"}
B = {"bf": "3", "g": "12"}
QUIET = "log-level=none:pools=none:frame-threads=1"
HDR = "bframes=3:keyint=12:hdr10=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:max-cll=1000,400:"
HDR += "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
MILLISECOND = Fraction(1, 1000)
CLOCK = Fraction(1, 90000)
TICKS = {".mkv": MILLISECOND, ".webm": MILLISECOND, ".flv": MILLISECOND, ".wmv": MILLISECOND, ".gif": Fraction(1, 100)}
TICKS |= {".ts": CLOCK, ".m2ts": CLOCK, ".mpg": CLOCK, ".vob": CLOCK}
"""The clock of a container, s; where none is named, it is made for the rate of the film."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What was written: from when on each number is shown (s after the first), on a clock of ticks (s)."""

    numbers: Sequence[int]
    times: Sequence[Fraction]
    end: Fraction
    """Until when the last one is shown, at least."""
    exact: bool = True
    """Whether `end` is what the file says itself."""
    tick: Fraction
    height: int = 48
    width: int = 64
    """The size of the frames as they are shown."""
    bars: int = BARS
    scaled: bool = False
    """Whether frames differ in size, so that a clip has to be given one."""


Kind = Callable[[Path], Truth]
"""Writes a file of one kind."""


def tick_of(path: Path, otherwise: Fraction) -> Fraction:
    """The clock of a container, s."""
    return TICKS.get(path.suffix, otherwise)


def truth_of(film: Film, path: Path) -> Truth:
    """What a film shows that is written as it is."""
    tick = film.tick or Fraction(1, film.rate)
    stamps = list(film.stamps) or list(range(film.frames))
    times = [(s - stamps[0]) * tick for s in stamps]
    gaps = np.diff(stamps)
    regular = len(set(gaps.tolist())) < 2
    last = (int(gaps.min()) if len(gaps) else 1) * tick
    return Truth(
        numbers=range(film.frames),
        times=times,
        end=times[-1] + (last if regular else last / 3),
        exact=regular and last == Fraction(1, film.rate),
        tick=tick_of(path, tick),
        height=film.height,
        width=round(film.width * (film.aspect or 1)),
    )


def plain(film: Film, **options: str) -> Kind:
    """A film in the container that the name says, with options of that container."""

    def make(path: Path) -> Truth:
        write(path, film, options=options)
        return truth_of(film, path)

    return make


def rotated(angle: int) -> Kind:
    """A film that is shown turned by so many degrees; its pictures are turned the other way before."""

    def make(path: Path) -> Truth:
        shown = [numbered(k) for k in range(40)]
        film = Film(options=B, rotation=angle, pictures=[np.rot90(p, -angle // 90).copy() for p in shown])
        write(path, replace(film, height=film.pictures[0].shape[0], width=film.pictures[0].shape[1]))
        return truth_of(Film(), path)

    return make


def x264(parameters: str, **choices: object) -> Film:
    """A film in H.264 with parameters of its encoder."""
    return Film(options={"x264-params": parameters}, **choices)  # type: ignore[arg-type]


def x265(parameters: str, **choices: object) -> Film:
    """A film in HEVC with parameters of its encoder."""
    return Film(codec="libx265", options={"x265-params": f"{QUIET}:{parameters}"}, **choices)  # type: ignore[arg-type]


def wandering(frames: int = 40, seed: int = 1, least: int = 5, most: int = 200) -> list[int]:
    """Timestamps (ms) with gaps that vary."""
    return [int(s) for s in np.cumsum(np.random.default_rng(seed).integers(least, most, size=frames))]


def evenly(first: int, frames: int = 40, step: int = 40) -> list[int]:
    """Timestamps at equal distances."""
    return list(range(first, first + step * frames, step))


PLAIN: Mapping[str, Kind] = {
    "b_frames.mp4": plain(Film(options=B)),
    "no_b_frames.mp4": plain(Film(options={"bf": "0", "g": "10"})),
    "b_pyramid.mp4": plain(x264("bframes=5:b-adapt=0:b-pyramid=normal:keyint=18")),
    "open_gop.mkv": plain(x264("bframes=3:b-adapt=0:keyint=10:open-gop=1:scenecut=0")),
    "open_gop.ts": plain(x264("bframes=3:b-adapt=0:keyint=10:open-gop=1:scenecut=0")),
    "many_slices.mp4": plain(x264("bframes=2:keyint=15:slices=3:ref=4:weightp=2")),
    "intra_refresh.mp4": plain(x264("intra-refresh=1:keyint=12:bframes=0")),
    "intra_refresh.ts": plain(x264("intra-refresh=1:keyint=12:bframes=0")),
    "one_key_frame.mkv": plain(x264("bframes=2:keyint=infinite:scenecut=0")),
    "fragmented.mp4": plain(Film(options=B), movflags="frag_keyframe+empty_moov"),
    "fragmented_small.mp4": plain(Film(options=B), movflags="frag_every_frame+empty_moov+default_base_moof"),
    "front.mp4": plain(Film(options=B), movflags="faststart"),
    "live.mkv": plain(Film(options=B), live="1"),
    "clusters.mkv": plain(Film(options=B), cluster_time_limit="120"),
    "variable_rate.mkv": plain(Film(stamps=wandering(), tick=MILLISECOND, options=B)),
    "variable_rate.mp4": plain(Film(stamps=wandering(), tick=MILLISECOND, options=B)),
    "variable_rate.webm": plain(Film(stamps=wandering(), tick=MILLISECOND, codec="libvpx-vp9", options=FAST)),
    "variable_rate.ts": plain(Film(stamps=wandering(), tick=MILLISECOND, options=B)),
    "variable_rate.flv": plain(Film(stamps=wandering(), tick=MILLISECOND, options=B)),
    "variable_rate.wmv": plain(Film(stamps=wandering(), tick=MILLISECOND, codec="wmv2")),
    "film_rate.mkv": plain(Film(stamps=evenly(0, 40, 1001), tick=Fraction(1, 24000), options=B)),
    "camera_rate.mp4": plain(Film(stamps=evenly(0, 40, 1001), tick=Fraction(1, 30000), options=B)),
    "fast.mp4": plain(Film(rate=240, options=B)),
    "slow.mp4": plain(Film(rate=1, options=B)),
    "late.mkv": plain(Film(stamps=evenly(5000), tick=MILLISECOND, options=B)),
    "late.ts": plain(Film(stamps=evenly(5000 * 90, 40, 3600), tick=CLOCK, options=B)),
    "negative.mkv": plain(Film(stamps=evenly(-400), tick=MILLISECOND, options=B), avoid_negative_ts="disabled"),
    "mpeg4_b.avi": plain(Film(codec="mpeg4", options={"bf": "2", "g": "9"})),
    "mpeg4.avi": plain(Film(codec="mpeg4", options={"bf": "0", "g": "9"})),
    "mpeg4_b.mp4": plain(Film(codec="mpeg4", options={"bf": "2", "g": "9"})),
    "mpeg4.m4v": plain(Film(codec="mpeg4", options={"bf": "2", "g": "9"})),
    "h264_b.avi": plain(Film(options=B)),
    "h264.avi": plain(Film(options={"bf": "0", "g": "12"})),
    "msmpeg4.avi": plain(Film(codec="msmpeg4", options={"g": "12"})),
    "h263.avi": plain(Film(codec="h263p", options={"g": "12"})),
    "huffyuv.avi": plain(Film(codec="huffyuv", pix_fmt="yuv422p")),
    "utvideo.avi": plain(Film(codec="utvideo", pix_fmt="yuv420p")),
    "raw.avi": plain(Film(codec="rawvideo", pix_fmt="bgr24")),
    "cinepak.avi": plain(Film(codec="cinepak", pix_fmt="rgb24", options={"g": "10"})),
    "mjpeg.avi": plain(Film(codec="mjpeg", pix_fmt="yuvj420p")),
    "mjpeg.mov": plain(Film(codec="mjpeg", pix_fmt="yuvj422p")),
    "prores.mov": plain(Film(codec="prores_ks", pix_fmt="yuv422p10le")),
    "alpha.mov": plain(Film(codec="qtrle", pix_fmt="argb", options={"g": "10"})),
    "alpha.mkv": plain(Film(codec="ffv1", pix_fmt="bgra")),
    "alpha.webm": plain(Film(codec="libvpx-vp9", pix_fmt="yuva420p", options=FAST)),
    "lossless.mkv": plain(Film(codec="ffv1", pix_fmt="bgr0", options={"g": "8"})),
    "wmv2.wmv": plain(Film(codec="wmv2", options={"g": "12"})),
    "flash.flv": plain(Film(options=B)),
    "flv1.flv": plain(Film(codec="flv", options={"g": "12"})),
    "real.rm": plain(Film(codec="rv20", options={"g": "12"})),
    "blu_ray.m2ts": plain(Film(options=B), mpegts_m2ts_mode="1"),
    "transport.ts": plain(Film(options=B)),
    "mpeg2.ts": plain(Film(codec="mpeg2video", options={"bf": "2", "g": "12", "b": "1M"})),
    "mpeg2.mxf": plain(Film(codec="mpeg2video", options={"bf": "2", "g": "12", "b": "1M"})),
    "program.mpg": plain(Film(codec="mpeg2video", options={"bf": "2", "g": "12", "b": "1M"})),
    "mpeg1.mpg": plain(Film(codec="mpeg1video", options={"bf": "2", "g": "12", "b": "1M"})),
    "disc.vob": plain(Film(codec="mpeg2video", options={"bf": "2", "g": "12", "b": "1M"})),
    "annex_b.h264": plain(Film(options=B)),
    "annex_b.hevc": plain(x265("bframes=3:keyint=12")),
    "vp8.webm": plain(Film(codec="libvpx", options={"auto-alt-ref": "1", "lag-in-frames": "16", "b": "300k"})),
    "vp8.ogv": plain(Film(codec="libvpx", options={"b": "300k", "g": "12"})),
    "vp9.webm": plain(Film(codec="libvpx-vp9", options={**FAST, "auto-alt-ref": "1", "lag-in-frames": "16"})),
    "vp9.ivf": plain(Film(codec="libvpx-vp9", options={**FAST, "auto-alt-ref": "1", "lag-in-frames": "16"})),
    "av1.mp4": plain(Film(codec="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1:keyint=16"})),
    "av1.obu": plain(Film(codec="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1:keyint=16"})),
    "av1.mkv": plain(Film(codec="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1:keyint=16"})),
    "hevc.mp4": plain(x265("bframes=3:keyint=12")),
    "hevc_open_gop.mkv": plain(x265("bframes=3:b-adapt=0:keyint=10:open-gop=1:scenecut=0")),
    "hevc_open_gop.ts": plain(x265("bframes=3:b-adapt=0:keyint=10:open-gop=1:scenecut=0")),
    "hevc_layers.mp4": plain(x265("bframes=3:keyint=16:temporal-layers=3")),
    "hevc_ten_bits.mp4": plain(x265("bframes=3:keyint=12", pix_fmt="yuv420p10le")),
    "ten_bits.mkv": plain(Film(pix_fmt="yuv420p10le", options=B)),
    "yuv422.mkv": plain(Film(pix_fmt="yuv422p", options=B)),
    "yuv444.mp4": plain(Film(pix_fmt="yuv444p", options=B)),
    "grey.mkv": plain(Film(pix_fmt="gray", options=B)),
    "odd_444.mkv": plain(Film(height=47, width=63, pix_fmt="yuv444p", options=B)),
    "odd_420.mp4": plain(Film(codec="mpeg4", height=47, width=63)),
    "odd_vp9.webm": plain(Film(codec="libvpx-vp9", height=49, width=67, options=FAST)),
    "mbaff.mkv": plain(x264("interlaced=1:tff=1:bframes=2:keyint=12", height=64)),
    "mbaff.ts": plain(x264("interlaced=1:bff=1:bframes=2:keyint=12", height=64)),
    "interlaced.mpg": plain(
        Film(codec="mpeg2video", options={"bf": "2", "g": "12", "b": "1M", "flags": "+ildct+ilme"}, height=64)
    ),
    "rotated_90.mp4": rotated(90),
    "rotated_180.mp4": rotated(180),
    "rotated_270.mov": rotated(270),
    "anamorphic.mp4": plain(Film(options=B, aspect=Fraction(16, 11))),
    "anamorphic.mkv": plain(Film(options=B, aspect=Fraction(8, 9))),
    "anamorphic.ts": plain(Film(options=B, aspect=Fraction(16, 11))),
    "anamorphic.mpg": plain(Film(codec="mpeg2video", options={"bf": "2", "b": "1M"}, aspect=Fraction(1))),
    "hdr.mp4": plain(x265(HDR, pix_fmt="yuv420p10le")),
    "hdr.mkv": plain(x265(HDR, pix_fmt="yuv420p10le")),
    "one_frame.mp4": plain(Film(frames=1)),
    "two_frames.webm": plain(Film(frames=2, codec="libvpx-vp9", options=FAST)),
    "animation.gif": plain(Film(codec="gif", pix_fmt="rgb8")),
}
