"""Which files of a folder are media, by their suffix, and which are pictures, by their first bytes."""

from __future__ import annotations

__all__ = ["PICTURE_SUFFIXES", "SOUND_SUFFIXES", "VIDEO_SUFFIXES", "looks_like_picture"]

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".mts",
        ".m2ts",
        ".ts",
        ".flv",
        ".wmv",
        ".3gp",
        ".ogv",
        ".vob",
        ".gif",
        ".mjpeg",
        ".mjpg",
    }
)
"""Suffixes of video files, in small letters."""

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
"""Suffixes of still pictures, in small letters."""

SOUND_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".aiff", ".aif"})
"""Suffixes of sound files, in small letters."""


def looks_like_picture(head: bytes) -> bool:
    """Whether the first bytes of a file (16 are enough) are those of a JPEG, PNG, WebP, BMP or GIF."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"))
        or (head.startswith(b"BM") and head[6:10] == bytes(4))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
    )
