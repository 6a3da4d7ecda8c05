"""Files: probe, index, read; the only room that knows a decoder."""

from avssl.media.clips import Media
from avssl.media.kinds import PICTURE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES
from avssl.media.reader import open_media, probe

__all__ = ["PICTURE_SUFFIXES", "SOUND_SUFFIXES", "VIDEO_SUFFIXES", "Media", "open_media", "probe"]
