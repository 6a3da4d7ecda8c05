"""More awkward files, and the table of all kinds: cut, joined, packed, laced, animated, and very long ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from awkward_files import CLOCK, FAST, MILLISECOND, PLAIN, B, Kind, Truth, evenly, tick_of, truth_of
from awkward_streams import (
    DIVX,
    EBML,
    FIXED,
    NO_LACING,
    VOP,
    XIPH,
    compressed,
    fields_of_h264,
    film_track,
    laced,
    matroska,
    muxed,
    not_coded,
    packets_of,
    remux,
)
from media_files import Film, Noise, bursts, numbered, write
from PIL import Image

MJPEG = Film(frames=24, codec="mjpeg", pix_fmt="yuvj420p")
RATE = Fraction(25)


def beside(path: Path, suffix: str) -> Path:
    """Another file to make this one of."""
    return path.with_name(f"source_of_{path.name}{suffix}")


def steady(path: Path, numbers: list[int] | range, **changes: object) -> Truth:
    """What a file shows at 25 Hz."""
    film = truth_of(Film(frames=len(numbers)), path)
    return replace(film, numbers=numbers, **changes)  # type: ignore[arg-type]


def edit_list(path: Path) -> Truth:
    """A copy that starts inside a group of pictures: frames 0 to 6 are decoded, but not shown."""
    source = write(beside(path, ".mp4"), Film(options={"bf": "2", "g": "20"}))

    def earlier(number: int, packet: av.Packet) -> av.Packet:
        shift = round(7 / RATE / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        return packet

    remux(source, path, earlier)
    return steady(path, range(7, 40))


def starts_inside(path: Path) -> Truth:
    """A recording that begins inside a closed group of pictures."""
    parameters = "bframes=2:b-adapt=0:keyint=20:scenecut=0:open-gop=0"
    source = write(beside(path, path.suffix), Film(frames=60, options={"x264-params": parameters}))
    remux(source, path, lambda number, packet: packet if number >= 6 else None)
    return steady(path, range(20, 60))


def wrap(path: Path) -> Truth:
    """Timestamps of 33 bits that overflow in the middle of the recording."""
    film = Film(stamps=evenly((1 << 33) - 20 * 3600, 40, 3600), tick=CLOCK, options=B)
    write(path, film, options={"mpegts_copyts": "1"})
    return truth_of(film, path)


def two_hours(path: Path) -> Truth:
    """A frame each two seconds for two hours, of sixteen lines."""
    pictures = [numbered(k, 16, 96, 12) for k in range(3600)]
    options = {"preset": "ultrafast", "bf": "2", "g": "100"}
    film = Film(
        frames=3600, height=16, width=96, options=options, tick=Fraction(2), stamps=range(3600), pictures=pictures
    )
    write(path, film)
    return replace(truth_of(film, path), bars=12)


def two_streams(path: Path) -> Truth:
    """The first of two films counts; the other is larger, has other frames and is flagged as the default one."""
    films = [Film(options=B), Film(options=B, height=96, width=128, rate=50)]
    parts = [write(beside(path, f"{k}.mkv"), film) for k, film in enumerate(films)]
    with av.open(str(parts[0])) as a, av.open(str(parts[1])) as b, av.open(str(path), "w") as out:
        streams = [out.add_stream_from_template(c.streams.video[0]) for c in (a, b)]
        streams[1].disposition = av.stream.Disposition.default
        for c, stream in zip((a, b), streams, strict=True):
            for packet in c.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    return truth_of(films[0], path)


def cover_art(path: Path) -> Truth:
    """A picture of the disc comes before the film and its sound."""
    film, cover = write(beside(path, ".mp4"), Film(options=B), SOUND), beside(path, ".png")
    Image.fromarray(numbered(255, 32, 32)).save(cover)
    with av.open(str(film)) as a, av.open(str(cover)) as b, av.open(str(path), "w") as out:
        picture = out.add_stream_from_template(b.streams.video[0])
        picture.disposition = av.stream.Disposition.attached_pic
        streams = {s.index: out.add_stream_from_template(s) for s in a.streams}
        for packet in [*b.demux(), *a.demux()]:
            if packet.size:
                packet.stream = streams[packet.stream_index] if packet.stream.container is a else picture
                out.mux(packet)
    return truth_of(Film(), path)


SOUND = Noise(samples=bursts(1.6, 44100, [0.5]))


def with_sound(film: Film, noise: Noise) -> Kind:
    """Pictures and sound whose packets take turns."""

    def make(path: Path) -> Truth:
        write(path, film, noise)
        return truth_of(film, path)

    return make


def animated(path: Path) -> Truth:
    """An animation as a web page has it: each frame for its own time, some of them see-through."""
    lasting = [40 + 30 * (k % 4) for k in range(24)]  # ms; a GIF counts in 10 ms
    pictures = [Image.fromarray(numbered(k)) for k in range(24)]
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=lasting, loop=0, **lossless)
    times = [sum(lasting[:k]) * MILLISECOND for k in range(25)]
    tick = tick_of(path, MILLISECOND)
    return Truth(numbers=range(24), times=times[:-1], end=times[-1], tick=tick, exact=path.suffix == ".webp")


def lacing(how: int) -> Kind:
    """Matroska that has several pictures in a block."""

    def make(path: Path) -> Truth:
        pictures = packets_of(write(beside(path, ".avi"), MJPEG))
        if how == FIXED:
            longest = max(map(len, pictures))
            pictures = [p + bytes(longest - len(p)) for p in pictures]
        blocks = [laced(pictures[k : k + 4], 40 * k, how) for k in range(0, 24, 4)]
        matroska(path, "V_MJPEG", blocks, film_track(48, 64, element_lacing()), 40_000_000)
        return steady(path, range(24))

    return make


def element_lacing() -> bytes:
    """The flag of a track that its blocks may hold several frames."""
    from awkward_streams import element

    return element("9c", 1)


def stripped(path: Path) -> Truth:
    """Matroska that leaves out the first bytes of each frame, which are always the same."""
    pictures = packets_of(write(beside(path, ".avi"), MJPEG))
    blocks = [laced([p[2:]], 40 * k, NO_LACING) for k, p in enumerate(pictures)]
    matroska(path, "V_MJPEG", blocks, film_track(48, 64, compressed(3, pictures[0][:2])), 40_000_000)
    return steady(path, range(24))


def deflated(path: Path) -> Truth:
    """Matroska that compresses each frame once more."""
    import zlib

    pictures = packets_of(write(beside(path, ".avi"), MJPEG))
    blocks = [laced([zlib.compress(p)], 40 * k, NO_LACING) for k, p in enumerate(pictures)]
    matroska(path, "V_MJPEG", blocks, film_track(48, 64, compressed(0)), 40_000_000)
    return steady(path, range(24))


def field_pictures(path: Path) -> Truth:
    """H.264 whose frames are two pictures, a field each."""
    units = fields_of_h264([numbered(k, 64) for k in range(24)])
    raw = path if path.suffix == ".h264" else beside(path, ".h264")
    raw.write_bytes(b"".join(units))
    if path != raw:
        muxed(raw, path, units, 1 / RATE, lambda k: k % 8 == 0)
    return steady(path, range(24), height=64)


def xvid_packed(path: Path) -> Truth:
    """MPEG-4 in AVI with each B picture packed behind the picture that it needs; a placeholder keeps its place."""
    source = write(
        beside(path, ".avi"), Film(frames=41, codec="mpeg4", options={"bf": "1", "g": "12", "b_strategy": "0"})
    )
    packets = packets_of(source)
    chunks: list[bytes] = []
    for data in packets:
        at = data.index(VOP)
        if kind_of(data) == 2:
            chunks[-1] += data
            chunks.append(not_coded())
        else:
            chunks.append(data[:at] + DIVX + data[at:] if not chunks else data)
    muxed(source, path, chunks, 1 / RATE, lambda k: k == 0)
    return steady(path, range(41))


def not_coded_pictures(path: Path) -> Truth:
    """MPEG-4 in which every third picture, and two in a row, only say that the one before is still shown."""
    source = write(beside(path, ".avi"), Film(frames=30, codec="mpeg4", options={"g": "10"}))
    chunks, shown = [], []
    for k, data in enumerate(packets_of(source)):
        shown.append(len(chunks))
        chunks += [data, *[not_coded()] * (2 if k == 7 else k % 3 == 2)]
    muxed(source, path, chunks, 1 / RATE, lambda k: k in shown and shown.index(k) % 10 == 0)
    return Truth(
        numbers=range(30),
        times=[k / RATE for k in shown],
        end=len(chunks) / RATE,
        tick=tick_of(path, 1 / RATE),
    )


def not_coded_among_b(path: Path) -> Truth:
    """MPEG-4 in AVI with B pictures, in which one that is not coded comes, as it is shown, before each third anchor."""
    film = Film(frames=40, codec="mpeg4", options={"g": "12", "bf": "2", "b_strategy": "0"})
    source = write(beside(path, ".avi"), film)
    chunks, shown, anchors, held = [], [], 0, "first"
    for data in packets_of(source):
        if kind_of(data) == 2:
            shown.append("picture")
            chunks.append(data)
            continue
        anchors += 1
        if anchors % 3 == 0:  # it follows the anchor that is held back, which is therefore shown
            shown.append("picture")
            held = "word"
            chunks.append(not_coded())
        shown += [] if held == "first" else [held]
        held = "picture"
        chunks.append(data)
    muxed(source, path, chunks, 1 / RATE, lambda k: k == 0)
    shown.append(held)
    times = [k / RATE for k, what in enumerate(shown) if what == "picture"]
    return Truth(numbers=range(40), times=times, end=len(shown) / RATE, tick=1 / RATE)


def kind_of(data: bytes) -> int:
    """vop_coding_type of the first picture in a packet of MPEG-4 part 2."""
    return data[data.index(VOP) + len(VOP)] >> 6


def empty_chunks(path: Path) -> Truth:
    """AVI that tells by chunks without a byte that a frame was dropped, and the one before is still shown."""
    source = write(beside(path, ".avi"), Film(frames=30, codec="mpeg4", options={"g": "10"}))
    gaps = [k + k // 4 for k in range(30)]

    def later(number: int, packet: av.Packet) -> av.Packet:
        packet.pts = packet.dts = gaps[number]
        return packet

    remux(source, path, later)
    times = [k / RATE for k in gaps]
    return Truth(numbers=range(30), times=times, end=times[-1] + 1 / RATE, tick=1 / RATE)


def header_change(path: Path) -> Truth:
    """Two recordings of other sizes follow one another in one stream."""
    vp9 = path.suffix == ".webm"
    common = {"codec": "libvpx-vp9", "options": {**FAST, "g": "12"}} if vp9 else {"options": {"bf": "0", "g": "12"}}
    small = Film(frames=20, **common)
    later = {"stamps": evenly(20 * 3600, 20, 3600), "tick": CLOCK} if path.suffix == ".ts" else {}
    large = Film(
        frames=20, height=96, width=96, pictures=[numbered(20 + k, 96, 96) for k in range(20)], **common, **later
    )
    parts = [write(beside(path, f"{k}{path.suffix}"), film) for k, film in enumerate((small, large))]
    if vp9:
        rest = packets_of(parts[1])
        muxed(parts[0], path, [*packets_of(parts[0]), *rest], 1 / RATE, lambda k: k % 20 == 0)
    else:
        path.write_bytes(b"".join(p.read_bytes() for p in parts))
    return steady(path, range(40), scaled=True)


MADE: Mapping[str, Kind] = {
    "edit_list.mp4": edit_list,
    "starts_inside.ts": starts_inside,
    "starts_inside.mkv": starts_inside,
    "wrap.ts": wrap,
    "two_hours.mp4": two_hours,
    "two_streams.mkv": two_streams,
    "cover_art.mp4": cover_art,
    "sound.mp4": with_sound(Film(options=B), SOUND),
    "sound.avi": with_sound(Film(codec="mpeg4", options={"bf": "2"}), replace(SOUND, codec="libmp3lame")),
    "sound.ts": with_sound(Film(options=B), SOUND),
    "animated.gif": animated,
    "animated.webp": animated,
    "animated.png": animated,
    "laced_xiph.mkv": lacing(XIPH),
    "laced_ebml.mkv": lacing(EBML),
    "laced_fixed.mkv": lacing(FIXED),
    "stripped.mkv": stripped,
    "deflated.mkv": deflated,
    "fields.h264": field_pictures,
    "fields.ts": field_pictures,
    "fields.mkv": field_pictures,
    "xvid_packed.avi": xvid_packed,
    "not_coded.avi": not_coded_pictures,
    "not_coded.mp4": not_coded_pictures,
    "not_coded_among_b.avi": not_coded_among_b,
    "empty_chunks.avi": empty_chunks,
    "header_change.ts": header_change,
    "header_change.h264": header_change,
    "header_change.webm": header_change,
}

KINDS: Mapping[str, Kind] = {**PLAIN, **MADE}
"""How each kind of file is written, by its name."""
