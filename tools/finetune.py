"""Train an encoder on labelled clips as a paper does it, and the same network from random init; test both.

    python tools/finetune.py runs/vcop-1 --data ucf101.csv --protocol vcop
    python tools/finetune.py runs/vcop-1 --protocol severe --epochs 5 --size 56 --shares 0.1 1 --seeds 0 1 2
    python tools/finetune.py runs/coclr-1 --data ucf101.csv --protocol coclr --linear
    python tools/finetune.py runs/vcop-1/fine-tune-vcop/pretrained/recogniser.safetensors --data other.csv --apply

Whatever differs from the paper's numbers is named in scores.json, beside "shortened".
"""

import shlex
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from avssl.cli import plainly
from avssl.data import Damaged, Data, Reading
from avssl.evaluation import (
    ClipProtocols,
    Findings,
    FineTune,
    LinearClipProtocols,
    Split,
    apply_recogniser,
    fine_tune,
    load_trained,
    scores_table,
    shortened,
)
from avssl.training import Train, device_type, hardware
from avssl.training.ranks import join


@dataclass(frozen=True, kw_only=True)
class Changes:
    """Numbers that take the place of the protocol's; None: as there."""

    epochs: int | None = None
    """Epochs; milestones and warm-ups go with them."""
    size: int | None = None
    """Height and width of the crop, pixels."""
    frames: int | None = None
    """Frames of a clip."""
    step: int | None = None
    """Frames from one to the next."""
    batch_size: int | None = None
    """Examples of one step."""
    lr: float | None = None
    """Learning rate of what is new."""
    clips: int | None = None
    """Clips of each item in an epoch."""
    test_clips: int | None = None
    """Clips of each item in test."""
    test_crops: Literal[1, 3, 5, 10] | None = None
    """Crops of each clip in test."""
    flip: bool | None = None
    """Whether clips are mirrored: not where labels tell left from right."""
    held_out: float | None = None
    """Share of the training items that weights or classifiers are chosen on."""
    choose_epoch: bool | None = None
    """Whether the weights of the epoch that is best on them are taken."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to train on which labels, and how."""

    source: tyro.conf.Positional[Path]
    """A run folder or a .safetensors file of an encoder; with --apply a recogniser.safetensors."""
    data: Path | None = None
    """A folder, a manifest, or a public data set as NAME:FOLDER; None: what the run was trained on."""
    protocol: ClipProtocols = ClipProtocols.vcop
    """The paper whose numbers to take."""
    linear: bool = False
    """Train only what is linear on top, where the paper does that on clips: coclr and avid."""
    apply: bool = False
    """Train nothing: test a recogniser that was trained before."""
    label: str = "label"
    """The column to learn."""
    split: Split = field(default_factory=Split)
    shares: tuple[float, ...] = (1.0,)
    """Shares of the labels to train on, such as 0.01 0.05 0.1 0.2 1."""
    seeds: tuple[int, ...] = (0,)
    """One training for each."""
    random_init: bool = True
    """Whether to train the same network equally from random init."""
    changes: Annotated[Changes, tyro.conf.arg(name="")] = field(default_factory=Changes)
    out: Path | None = None
    """Where to write; None: a folder in that of the run, named after the protocol."""
    resume: bool = False
    """Go on with what lies in `out`."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is a device."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 computes under autocast while training."""
    accumulate: int = 1
    """Micro-batches that one step adds up, to fit a small memory."""
    damaged: Damaged = "skip"
    """Whether a damaged file is named, counted and left out, or ends it."""
    workers: int = 2
    """Threads or processes that decode."""
    reading: Reading = "auto"
    """Whether threads or processes decode."""


def main(c: Choice) -> None:
    """Train and test, or only test, and print and write the scores."""
    with plainly():
        ranks = join(device_type(c.device))
        folder, findings, data = applied(c) if c.apply else trained(c)
    if ranks.first:
        for error in findings.left_out[:5]:
            Console(stderr=True).print(f"Left out: {error}", markup=False, highlight=False, soft_wrap=True)
        command = shlex.join(["python", *sys.argv])
        findings.write(folder, command=command, data=str(data), hardware=hardware(device_type(c.device)))
        Console().print(scores_table(findings.scores, title=f"Recognition of {c.label} (%)"))
        Console().print(f"Scores     {folder / 'scores.json'}", highlight=False, markup=False, soft_wrap=True)
    ranks.leave()


def trained(c: Choice) -> tuple[Path, Findings, Path]:
    """The folder, what was found, and the data."""
    if c.linear and c.protocol.name not in LinearClipProtocols.__members__:
        known = ", ".join(p.name for p in LinearClipProtocols)
        raise SystemExit(f"--protocol {c.protocol.name} has no linear probe on clips; {known} have")
    named = LinearClipProtocols[c.protocol.name] if c.linear else c.protocol
    changes = {name: value for name, value in asdict(c.changes).items() if value is not None}
    protocol, told = shortened(named.value, changes)
    begin = load_trained(c.source)
    if "video" not in begin.encoders:
        raise SystemExit(f"{c.source} has no encoder of video; it has {', '.join(begin.encoders)}")
    data = replace(begin.data, damaged=c.damaged, workers=c.workers, reading=c.reading)
    data = data if c.data is None else replace(data, root=c.data)
    folder = c.out or begin.folder / protocol.title.replace(" ", "-")
    train = Train(
        device=c.device,
        precision=c.precision,
        accumulate=c.accumulate,
        batch_size=c.accumulate,  # the protocol's takes its place
        resume=c.resume,
        out=folder,
    )
    choice = FineTune(
        protocol=protocol,
        shortened=told,
        label=c.label,
        split=c.split,
        shares=c.shares,
        seeds=c.seeds,
        random_init=c.random_init,
        damaged=c.damaged,
        workers=c.workers,
        reading=c.reading,
        train=train,
    )
    items = data.catalogue().items
    return folder, fine_tune(begin.encoders["video"], items, choice=choice, folder=folder, data=data), data.source()


def applied(c: Choice) -> tuple[Path, Findings, Path]:
    """The folder, what was found, and the data."""
    if c.data is None:
        raise SystemExit("--apply needs --data: what to name")
    folder = c.out or c.source.with_name(f"{c.source.stem}-{c.data.stem}")
    items = Data(root=c.data, damaged=c.damaged, workers=c.workers).catalogue().items
    device = device_type(c.device)
    found = apply_recogniser(
        c.source, items, folder=folder, split=c.split, damaged=c.damaged, workers=c.workers, device=device
    )
    return folder, found, c.data


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
