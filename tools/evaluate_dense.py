"""Score what encoders know of single places and instants: label propagation, sound localisation, synchrony, retrieval.

    python tools/evaluate_dense.py runs/pace-1 --data davis2017:~/DAVIS
    python tools/evaluate_dense.py runs/pace-1 --data jhmdb:~/jhmdb --tracking.tap layer3
    python tools/evaluate_dense.py runs/avts-1 --protocols localisation synchrony retrieval
    python tools/evaluate_dense.py runs/avts-1 --data grid.csv --sync.reach 0.6 --sync.steps 3

Random weights, a copy of the first frame, and the middle of the frame stand beside. Several runs are taken for seeds of
one recipe. Scores and drawings go into the folder `dense` inside each run folder.
"""

import shlex
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from avssl.cli import plainly
from avssl.evaluation import across_runs, scores_table
from avssl.evaluation.dense.choice import Dense
from avssl.evaluation.dense.runs import evaluate_dense
from avssl.training import device_type


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to evaluate, and how."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, or .safetensors files of encoders."""
    data: Path | None = None
    """A folder, a manifest, or a public data set as NAME:FOLDER (the names: tools/manifest.py --help); None: what each
    run was trained on."""
    how: Annotated[Dense, tyro.conf.arg(name="")] = field(default_factory=Dense)
    out: str = "dense"
    """A folder inside each run folder to write into."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is a device."""


def main(c: Choice) -> None:
    found = []
    with plainly():
        for n, run in enumerate(c.runs):
            seeds = tuple(s + n * len(c.how.seeds) for s in c.how.seeds)
            scores = evaluate_dense(
                run,
                data=c.data,
                choice=replace(c.how, seeds=seeds),
                device=device_type(c.device),
                out=c.out,
                command=shlex.join(["python", *sys.argv]),
            )
            found.append(scores)
    scores = across_runs(found)
    for protocol in dict.fromkeys(s.protocol for s in scores):
        Console().print(
            scores_table([s for s in scores if s.protocol == protocol], title=f"{protocol.capitalize()} (%)")
        )


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
