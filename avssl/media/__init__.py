"""Files: probe, index, read; the only room that knows a decoder."""

from avssl.media.clips import Media
from avssl.media.decoding import Backend, Decoding, device_of
from avssl.media.files import Bytes, Stamp, read_whole, refusing, stamp_of
from avssl.media.joining import film_of_pictures
from avssl.media.kinds import PICTURE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES
from avssl.media.measure import Kind, Measured, Timing, kind_of, measured, timings
from avssl.media.packets import Coding
from avssl.media.proxy import Encoded, Encoding, Proxy, encode
from avssl.media.reader import look, open_media, probe
from avssl.media.spent import Spent
from avssl.media.table import DECODERS, FileTable, packed, unpacked
from avssl.media.tar import COMPRESSED_TAR, TAR_SUFFIX, index_of, tar_members, write_index

__all__ = [
    "COMPRESSED_TAR",
    "DECODERS",
    "PICTURE_SUFFIXES",
    "SOUND_SUFFIXES",
    "TAR_SUFFIX",
    "VIDEO_SUFFIXES",
    "Backend",
    "Bytes",
    "Coding",
    "Decoding",
    "Encoded",
    "Encoding",
    "FileTable",
    "Kind",
    "Measured",
    "Media",
    "Proxy",
    "Spent",
    "Stamp",
    "Timing",
    "device_of",
    "encode",
    "film_of_pictures",
    "index_of",
    "kind_of",
    "look",
    "measured",
    "open_media",
    "packed",
    "probe",
    "read_whole",
    "refusing",
    "stamp_of",
    "tar_members",
    "timings",
    "unpacked",
    "write_index",
]
