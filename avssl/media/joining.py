"""Pictures that are the frames of a film, joined into one file."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from avssl.core import MediaError
from avssl.media.files import first_bytes, open_container, refusing

__all__ = ["film_of_pictures"]


def film_of_pictures(pictures: Sequence[Path], film: Path, *, rate: int) -> Path:
    """Write JPEG pictures, `rate` a second, as a film (`.mov`, Motion JPEG): their own bytes, nothing is coded again.

    Raises:
        MediaError: a picture is no JPEG, or a file cannot be read or written.
        ValueError: there are no pictures.
    """
    if not pictures:
        raise ValueError(f"no pictures to make {film} of")
    tick = Fraction(1, rate)
    with refusing(film, "writing it"), open_container(pictures[0]) as one, av.open(str(film), "w") as out:
        stream = out.add_stream_from_template(one.streams.video[0])
        stream.time_base = tick
        for n, picture in enumerate(pictures):
            if not first_bytes(picture).startswith(b"\xff\xd8\xff"):
                raise MediaError(picture, "this is no JPEG picture", "fetch the frames again")
            packet = av.Packet(picture.read_bytes())
            packet.stream, packet.time_base = stream, tick
            packet.pts = packet.dts = n
            packet.duration, packet.is_keyframe = 1, True
            out.mux(packet)
    return film
