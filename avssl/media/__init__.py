"""Files: probe, index, read; the only room that knows a decoder."""

from avssl.media.clips import Media
from avssl.media.decoding import Backend, Decoding, device_of
from avssl.media.files import Stamp, stamp_of
from avssl.media.joining import film_of_pictures
from avssl.media.kinds import PICTURE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES
from avssl.media.measure import Kind, Measured, Timing, kind_of, measured, timings
from avssl.media.packets import Coding
from avssl.media.reader import look, open_media, probe
from avssl.media.spent import Spent
from avssl.media.table import DECODERS, FileTable, packed, unpacked

__all__ = [
    "DECODERS",
    "PICTURE_SUFFIXES",
    "SOUND_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Backend",
    "Coding",
    "Decoding",
    "FileTable",
    "Kind",
    "Measured",
    "Media",
    "Spent",
    "Stamp",
    "Timing",
    "device_of",
    "film_of_pictures",
    "kind_of",
    "look",
    "measured",
    "open_media",
    "packed",
    "probe",
    "stamp_of",
    "timings",
    "unpacked",
]
