"""Score the encoders of finished runs, beside random init, naive features and chance.

    python tools/evaluate.py runs/pace-1 runs/pace-2 runs/pace-3 --label label --label appearance
    python tools/evaluate.py runs/moco-1 --data gestures.csv --group person
    python tools/evaluate.py runs/avts-1 --data esc10.csv --modality sound --folds fold --out esc10

Several runs are taken for seeds of one recipe: the table gives mean ± standard deviation over them.
"""

import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from avssl.evaluation import (
    Evaluation,
    LinearProbe,
    NearestNeighbours,
    Retrieval,
    Split,
    across_runs,
    evaluate_runs,
    scores_table,
)
from avssl.training import device_type


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to evaluate, and how."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, or .safetensors files of encoders."""
    data: Path | None = None
    """A folder or a manifest; None: what each run was trained on."""
    label: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """A column to predict; repeat it for several. None given: `label`."""
    modality: Literal["video", "sound", "both"] = "both"
    clips: int = 4
    """Clips of each item, evenly spread; their features are averaged."""
    train: str = "train"
    """The split that trains the probe."""
    test: str = "test"
    """The split that tests it."""
    folds: str = ""
    """A column of official folds: each value tests once."""
    group: str = ""
    """A column, such as the person: one value is left out at a time."""
    share_groups: bool = False
    """Allow training and test to share groups or files, which is a leak."""
    probe_seeds: tuple[int, ...] = (0,)
    """One random init, and one choice of the probe's C, for each (shifted from run to run)."""
    baselines: bool = True
    """Whether to score random init and naive features too."""
    linear: LinearProbe = field(default_factory=LinearProbe)
    neighbours: NearestNeighbours = field(default_factory=NearestNeighbours)
    retrieval: Retrieval = field(default_factory=Retrieval)
    frames: int | None = None
    """Frames of a clip, if not as in the run; so are `step`, `rate`, `size`, `sound` and `sample_rate`."""
    step: int | None = None
    rate: float | None = None
    size: int | None = None
    sound: float | None = None
    sample_rate: int | None = None
    out: str = ""
    """A folder inside each run folder to write into; '': the run folder itself."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_size: int = 32
    workers: int = 2


def main(c: Choice) -> None:
    view = {
        k: v for k in ("frames", "step", "rate", "size", "sound", "sample_rate") if (v := getattr(c, k)) is not None
    }
    evaluation = Evaluation(
        label=c.label or ("label",),
        clips=c.clips,
        split=Split(train=c.train, test=c.test, folds=c.folds, group=c.group, share_groups=c.share_groups),
        linear=c.linear,
        neighbours=c.neighbours,
        retrieval=c.retrieval,
        probe_seeds=c.probe_seeds,
        baselines=c.baselines,
        batch_size=c.batch_size,
        workers=c.workers,
    )
    found = evaluate_runs(
        c.runs,
        data=c.data,
        choice=evaluation,
        modality=c.modality,
        view=view,
        device=device_type(c.device),
        out=c.out,
        command=shlex.join(["python", *sys.argv]),
    )
    Console().print(scores_table(across_runs(found), title=f"Scores of {len(c.runs)} run{'s' * (len(c.runs) > 1)} (%)"))


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
