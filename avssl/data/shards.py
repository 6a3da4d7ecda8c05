"""What tar files list: their media, with what the files beside them say, as WebDataset has it.

Members `clip.mp4`, `clip.json` and `clip.cls` are one example: the JSON object has columns, `label`, `split` and
`group` among them, and `.cls` a label.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path

from avssl.core import MediaError
from avssl.media import PICTURE_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES, read_whole, tar_members

__all__ = ["MEDIA_SUFFIXES", "shard_files"]

MEDIA_SUFFIXES = VIDEO_SUFFIXES | PICTURE_SUFFIXES | SOUND_SUFFIXES


def shard_files(tar: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """The media in a tar file, sorted by name, with the columns that are told of each.

    Raises:
        MediaError: it is no tar file, or a JSON member of it is none.
    """
    names = tar_members(tar)
    for name in sorted(names):
        if posixpath.splitext(name)[1].lower() in MEDIA_SUFFIXES:
            yield tar / name, _columns(tar, _key(name), names)


def _key(name: str) -> str:
    """What the members of an example have in common: all up to the first dot of the last part of their names."""
    folder, file = posixpath.split(name)
    return posixpath.join(folder, file.split(".", 1)[0])


def _columns(tar: Path, key: str, names: Mapping[str, object]) -> dict[str, str]:
    found: dict[str, str] = {}
    if (name := f"{key}.cls") in names:
        found["label"] = read_whole(tar / name).decode("utf-8", "replace").strip()
    if (name := f"{key}.json") in names:
        try:
            content = json.loads(read_whole(tar / name))
        except ValueError as e:
            raise MediaError(tar / name, f"this is not JSON ({e})", "write the tar file again") from e
        if isinstance(content, dict):  # what has no columns tells nothing
            found |= {str(k): _text(v) for k, v in content.items()}
    return found


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
