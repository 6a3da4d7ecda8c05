"""Score the encoders of finished runs, beside random init, naive features and chance.

    python tools/evaluate.py runs/pace-1 runs/pace-2 runs/pace-3 --label label appearance
    python tools/evaluate.py runs/moco-1 --data gestures.csv --split.group person
    python tools/evaluate.py runs/avts-1 --data esc10.csv --modality sound --split.folds fold --protocols vote
    python tools/evaluate.py runs/pace-1 --protocols linear layers fractions svm vcop coclr selavi --linear.tops 1 5
    python tools/evaluate.py runs/moco-1 --data voc07.csv --label --many-labels labels --protocols linear svm
    python tools/evaluate.py torchvision:r3d_18 resnet50=moco.pth#state_dict.module.encoder_q. --data ucf101.csv
    torchrun --nproc-per-node 4 tools/evaluate.py runs/cvrl-1 --data kinetics.csv
    python tools/evaluate.py runs/pace-1 --data hmdb51-split2:~/hmdb51

Several runs are taken for seeds of one recipe: the table gives mean and standard deviation over them.
"""

import shlex
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from avssl.cli import plainly
from avssl.evaluation import Evaluation, across_runs, evaluate_runs, scores_table
from avssl.training import device_type
from avssl.training.ranks import join


@dataclass(frozen=True, kw_only=True)
class OtherView:
    """What is to be cut otherwise than in the runs; None: as there."""

    frames: int | None = None
    """Frames of a clip."""
    step: int | None = None
    """Frames from one to the next."""
    rate: float | None = None
    """Hz of the clock on which steps count."""
    size: int | None = None
    """Height and width of the crop, pixels."""
    sound: float | None = None
    """Seconds of sound."""
    sample_rate: int | None = None
    """Hz of the sound."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What to evaluate, and how."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, .safetensors files of encoders, or NETWORK=FILE with weights of other programs, where NETWORK is
    torchvision:NAME, timm:NAME or an encoder of avssl."""
    data: Path | None = None
    """A folder, a manifest, or a public data set as NAME:FOLDER, such as ucf101:~/ucf101 or ucf101-split2:~/ucf101 (the
    names: tools/manifest.py --help); None: what each run was trained on."""
    modality: Literal["video", "sound", "both"] = "both"
    """Which of the runs' encoders to score."""
    how: Annotated[Evaluation, tyro.conf.arg(name="")] = field(default_factory=Evaluation)
    view: OtherView = field(default_factory=OtherView)
    out: str = ""
    """A folder inside each run folder to write into; '': the run folder itself."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is a device."""


def main(c: Choice) -> None:
    with plainly():
        device = device_type(c.device)
        ranks = join(device)
        found = evaluate_runs(
            c.runs,
            data=c.data,
            choice=c.how,
            modality=c.modality,
            view={name: value for name, value in asdict(c.view).items() if value is not None},
            device=device,
            out=c.out,
            command=shlex.join(["python", *sys.argv]),
            progress=ranks.first,
            ranks=ranks,
        )
        ranks.leave()
    if not ranks.first:
        return
    Console().print(scores_table(across_runs(found), title=f"Scores of {len(c.runs)} run{'s' * (len(c.runs) > 1)} (%)"))


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
