"""Render a part of a toybox in a process of its own; `make_toybox` starts it.

    python -m avssl.media.toybox FOLDER --part K --parts N

One line is printed for each clip, so that the parent can count; if the parent has died, printing fails and it ends.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from avssl.media.toybox.making import render_part, toybox_of


def main() -> None:
    """Read the arguments and render."""
    parser = argparse.ArgumentParser(prog="python -m avssl.media.toybox", description="render a part of a toybox")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--part", type=int, required=True)
    parser.add_argument("--parts", type=int, required=True)
    a = parser.parse_args()
    render_part(a.folder, toybox_of(a.folder), part=a.part, parts=a.parts, done=lambda: print("done", flush=True))


main()
