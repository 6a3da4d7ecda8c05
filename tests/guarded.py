"""Reads files in a process of its own, which may hang or crash: prints a line of JSON for each, and dies if one hangs.

python tests/guarded.py SECONDS FILE…
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from avssl.core import MediaError, Sound, Span
from avssl.media import look, open_media, packed, unpacked

WAITING = 12
"""So many times as many seconds a file may take where the machine is busy with other things."""


def read(path: Path) -> str:
    """Look into a file, and read frames and sound of its beginning, its middle and its end."""
    table = unpacked(packed(look(path)))
    info = table.info
    with open_media(path, table) as media:
        for share in (0.0, 0.5, 0.999):
            spans = [Span(times=(info.duration * share,), size=(24, 32))] if info.has_video else []
            sound = Sound(start=info.sound_start + info.sound_duration * share, duration=0.1)
            media.read([*spans, *([Span(sound=sound)] if info.has_sound else [])])
    return f"{info.frames} frames, {info.duration:g} s"


def outcome(path: Path, deed: Callable[[Path], str] = read) -> tuple[str, str]:
    """What became of it: read or refused, and what was found or is wrong."""
    try:
        return "read", deed(path)
    except MediaError as e:
        return "refused", str(e)


def main(seconds: int, paths: list[str]) -> None:
    """Read each of them; an alarm ends the process even where it hangs inside a decoder.

    The seconds are those of the processor, which others do not lengthen; of waiting there may be more.
    """
    for path in paths:
        print(json.dumps({"begin": path}), flush=True)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.alarm(WAITING * seconds)
        what, why = outcome(Path(path))
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        files = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        print(json.dumps({"end": path, "outcome": what, "why": why, "open": files}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
