"""Which backend decodes the files of a data set quicker, by kind of file, and which one `auto` therefore takes.

python tools/measure_decoding.py --root ~/ucf101 --device cuda
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from avssl.data import catalogue
from avssl.media import device_of, timings, unpacked


@dataclass(frozen=True, kw_only=True)
class MeasureDecoding:
    """Time pyav and torchcodec by turns on some files of each kind."""

    root: Path
    """A folder of media, or a manifest."""
    device: str = "auto"
    """Where frames are to come: cpu, cuda, cuda:1 …; auto: CUDA where there is any."""
    threads: int = 2
    """Files that are read at once, as by the workers of a training run."""
    files: int = 8
    """Files of each kind."""
    rounds: int = 9
    """Rounds of all files by each backend, of which the median counts."""


def main(choice: MeasureDecoding) -> None:
    device = device_of(choice.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the processor"
    found = ((i.path, unpacked(i.table)) for i in catalogue(choice.root).items if i.table is not None)
    told = timings(found, device, threads=choice.threads, each=choice.files, rounds=choice.rounds)
    if not told:
        sys.exit(f"{choice.root}: there are no films to decode; give a folder or a manifest with some")
    print(f"Clips of 16 frames, every second one, at 112×112, to {name}, {choice.threads} threads:")
    print(*told, sep="\n")


if __name__ == "__main__":
    main(tyro.cli(MeasureDecoding))
