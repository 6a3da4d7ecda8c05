"""How papers train a network for action recognition on labelled clips, number by number, and how they test it."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import Enum, member
from typing import Any, Literal

from avssl.data import View

__all__ = [
    "AVID",
    "AVID_LINEAR",
    "COCLR",
    "COCLR_LINEAR",
    "GDT",
    "SEVERE",
    "SEVERE_SSV2",
    "VCOP",
    "VIDEOMAE",
    "VIDEOMAE_HMDB",
    "ClipProtocol",
    "ClipProtocols",
    "LinearClipProtocols",
    "shortened",
]


@dataclass(frozen=True, kw_only=True)
class ClipProtocol:
    """A recognition protocol that trains on clips: what is cut, how it is trained, and how it is tested."""

    name: str
    source: str
    """Where the numbers are from."""
    departures: tuple[str, ...] = ()
    """What of the source cannot be followed, or is not, and why."""
    linear: bool = False
    """Whether the trunk stays as it is, in evaluation mode, and only what is linear on top of it is trained."""

    frames: int
    """T."""
    size: int
    """Height and width of the crop, pixels."""
    step: int = 1
    """Frames from one to the next, counted at `rate`."""
    rate: float | None = None
    """Hz of the clock on which steps count; None: that of each file."""

    clips: int = 1
    """Clips of each item in an epoch."""
    together: bool = False
    """Whether the clips of an item are in the same batch; otherwise an epoch is so many passes over the items."""
    crop: Literal["random", "resized"] = "random"
    """In training: a random place of the frame scaled to 8/7 of the size, or a random place, size and shape."""
    smallest: float = 0.08
    """The least share of the area of a "resized" crop."""
    flip: bool = True
    """Whether half of the clips are mirrored in training, and, where the test has 10 crops, in test: not for data that
    tells left from right."""
    jitter: tuple[float, float, float, float] | None = None
    """Brightness, contrast, saturation and hue of the colour jitter, alike for the frames of a clip."""
    jitter_p: float = 1.0
    """The share of clips that it changes."""
    mixup: float = 0.0
    """The parameter of the beta distribution of mixup (Zhang et al., ICLR 2018, arXiv:1710.09412)."""
    cutmix: float = 0.0
    """The same of CutMix (Yun et al., ICCV 2019, arXiv:1905.04899); with both, a coin chooses for each batch."""
    smoothing: float = 0.0
    """Share of the target that is spread over all classes."""

    batch_size: int
    """Examples of one step."""
    epochs: int
    optimizer: Literal["adamw", "adam", "sgd"]
    lr: float
    """Of what is new; the trunk has `trunk_lr` times as much."""
    lr_per: int | None = None
    """If given, `lr` is for so many items a batch and goes in proportion."""
    trunk_lr: float = 1.0
    layer_decay: float = 1.0
    """Each stage of the trunk has so many times the rate of the one after it."""
    weight_decay: float
    decay_all: bool = True
    """Whether norms and biases decay, too."""
    schedule: Literal["cosine", "constant", "steps"] = "constant"
    milestones: tuple[float, ...] = ()
    """Epochs at which `steps` multiplies the rate by `gamma`."""
    gamma: float = 0.1
    warmup: float = 0.0
    """Epochs of linear rise from 0."""
    head_first: int = 0
    """Epochs in which the classifier alone is trained before."""
    dropout: float = 0.0
    """Before the classifier."""
    unit: bool = False
    """Whether features are brought to length 1 before the classifier."""
    norm: bool = False
    """Whether a batch normalisation stands before the classifier."""
    stages: bool = False
    """Whether every stage after the first has a classifier of its own, on its map, pooled to about 9,000 numbers."""
    held_out: float = 0.0
    """Share of the training items, whole groups where there are any, that is not trained on but chosen on."""
    choose_epoch: bool = False
    """Whether the weights of the epoch with the lowest loss on what is held out are taken, and not the last."""

    test_clips: int | None = 10
    """Clips of each item in test, evenly spread; None: every window of T frames, each half over the one before it."""
    test_crops: Literal[1, 3, 5, 10] = 1
    """1: the middle. 3: both ends and the middle of the longer side. 5: corners and middle; 10: these mirrored, too."""
    average: Literal["softmax", "logits"] = "softmax"
    """What is averaged over clips and crops."""

    def __post_init__(self) -> None:
        positive = {n: getattr(self, n) for n in ("frames", "size", "step", "clips", "batch_size", "epochs", "lr")}
        if wrong := {n: v for n, v in positive.items() if v <= 0}:
            raise ValueError(f"protocol {self.name}: {wrong}: must be > 0")
        if self.test_clips is not None and self.test_clips < 1:
            raise ValueError(f"protocol {self.name}: test_clips {self.test_clips}: must be ≥ 1, or None for windows")
        if not 0 <= self.held_out < 1 or (self.choose_epoch and not self.held_out):
            raise ValueError(
                f"protocol {self.name}: held_out {self.held_out} must lie in [0, 1), and choosing an epoch needs > 0"
            )
        if self.together and self.batch_size % self.clips:
            raise ValueError(f"protocol {self.name}: batch_size {self.batch_size} is no multiple of {self.clips} clips")

    @property
    def title(self) -> str:
        """The name under which scores appear."""
        return f"{'linear probe on clips' if self.linear else 'fine-tune'} {self.name}"

    def view(self) -> View:
        """The geometry of its clips."""
        return View(frames=self.frames, step=self.step, rate=self.rate, size=self.size)


def shortened(protocol: ClipProtocol, changes: dict[str, Any]) -> tuple[ClipProtocol, dict[str, str]]:
    """A protocol with other numbers, and what was changed, in words; milestones and warm-ups go with the epochs.

    Raises:
        ValueError: there is no such number, or one that makes no sense.
    """
    if unknown := sorted(set(changes) - {f.name for f in fields(ClipProtocol)} | {"name", "source"} & set(changes)):
        raise ValueError(f"protocol {protocol.name} has no number {', '.join(unknown)} to change")
    told = {n: f"{getattr(protocol, n)} → {v}" for n, v in changes.items() if getattr(protocol, n) != v}
    if "epochs" in told:
        share = changes["epochs"] / protocol.epochs
        changes = {
            "milestones": tuple(m * share for m in protocol.milestones),
            "warmup": protocol.warmup * share,
            "head_first": round(protocol.head_first * share),
        } | changes
    return replace(protocol, **changes), told


_LAST_WEIGHTS = "the released code keeps the weights that test best; here the last ones are tested"

# Of the frames there: their shorter side is scaled to 128 and their longer side to 171, whatever their shape.
VCOP = ClipProtocol(
    name="vcop",
    source="Xu et al., CVPR 2019; numbers of the authors' code (xudejing/video-clip-order-prediction, ft_classify.py)",
    departures=(
        "frames keep their shape, and their shorter side becomes 8/7 of the crop",
        "800 of 9,537 videos of UCF101 are held out there, here whole groups, the same share; their middle clip "
        "decides, not a random one",
        "a video that is too short for a clip has its last frame repeated; there it is dropped",
    ),
    frames=16,
    size=112,
    flip=False,
    batch_size=8,
    epochs=150,
    optimizer="sgd",
    lr=1e-3,
    weight_decay=5e-4,
    held_out=0.084,
    choose_epoch=True,
    test_clips=10,
)

COCLR = ClipProtocol(
    name="coclr",
    source="Han et al., NeurIPS 2020, arXiv:2010.09709; numbers of the authors' code (TengdaHan/CoCLR, eval/)",
    departures=(
        "the released code chooses the epoch on 30 % of the test list; here the last weights are tested",
        "it jitters the colours of 30 % of the clips in test; here none are",
        "a video that is too short has its last frame repeated; there its first one",
    ),
    frames=32,
    size=128,
    crop="resized",
    smallest=0.2,
    jitter=(0.4, 0.4, 0.4, 0.1),
    jitter_p=0.3,
    batch_size=32,
    epochs=500,
    optimizer="adam",
    lr=1e-3,
    trunk_lr=0.1,
    weight_decay=1e-3,
    schedule="steps",
    milestones=(400, 450),
    dropout=0.9,
    test_clips=None,
    test_crops=10,
)

COCLR_LINEAR = replace(
    COCLR,
    source="Han et al., NeurIPS 2020, arXiv:2010.09709; numbers of the authors' code (TengdaHan/CoCLR, eval/)",
    linear=True,
    epochs=100,
    optimizer="sgd",
    lr=0.1,
    trunk_lr=1.0,
    milestones=(60, 80),
    dropout=0.0,
    unit=True,
    norm=True,
)

AVID = ClipProtocol(
    name="avid",
    source="Morgado et al., CVPR 2021, arXiv:2004.12943; numbers of the authors' code (facebookresearch/AVID-CMA, "
    "configs/benchmark/ucf/32at16)",
    departures=(
        "every item is seen once before any is seen again; there its 5 clips are shuffled among all others",
        "clip@1, over 25 clips one by one, is not scored",
    ),
    frames=32,
    size=224,
    rate=16.0,
    clips=5,
    crop="resized",
    smallest=0.08,
    jitter=(0.4, 0.4, 0.4, 0.2),
    batch_size=32,
    epochs=16,
    head_first=5,
    optimizer="adam",
    lr=1e-4,
    weight_decay=0.0,
    schedule="steps",
    milestones=(6, 10, 14),
    gamma=0.3,
    dropout=0.5,
    test_clips=10,
)

AVID_LINEAR = replace(
    AVID,
    source="Morgado et al., CVPR 2021, arXiv:2004.12943; numbers of the authors' code (facebookresearch/AVID-CMA, "
    "configs/benchmark/kinetics/r2plus1d/8x224x224-linear)",
    departures=(
        "all stages are scored; there the best in test is reported, here the one that is chosen on 10 % of the "
        "training items is named",
        "the warm-up of the classifiers is left out, since nothing else is trained",
    ),
    linear=True,
    frames=8,
    clips=1,
    crop="random",
    jitter=None,
    batch_size=128,
    epochs=12,
    head_first=0,
    milestones=(6, 9),
    gamma=0.1,
    dropout=0.0,
    norm=True,
    stages=True,
    held_out=0.1,
)

GDT = ClipProtocol(
    name="gdt",
    source="Patrick et al., ICCV 2021, arXiv:2003.04298; numbers of the authors' code (facebookresearch/GDT, "
    "scripts/run_finetune.sh)",
    departures=(
        "every item is seen once before any is seen again",
        _LAST_WEIGHTS,
        "the released code multiplies both rates by 8 while it warms up and crops 128 pixels unless told otherwise; "
        "here rates and crop are those that it names",
        "the strength of its colour jitter and of its crops was not to be had: they are half of SimCLR's and at least "
        "8 % of the area",
    ),
    frames=32,
    size=112,
    rate=30.0,
    clips=10,
    crop="resized",
    jitter=(0.4, 0.4, 0.4, 0.1),
    jitter_p=0.8,
    batch_size=32,
    epochs=12,
    optimizer="sgd",
    lr=2.5e-3,
    trunk_lr=0.1,
    weight_decay=5e-3,
    schedule="steps",
    milestones=(6, 10),
    gamma=0.05,
    warmup=2,
    test_clips=10,
    test_crops=3,
)

VIDEOMAE = ClipProtocol(
    name="videomae",
    source="Tong et al., NeurIPS 2022, arXiv:2203.12602; numbers of the authors' code (MCG-NJU/VideoMAE, "
    "scripts/ucf101/videomae_vit_base…/finetune.sh)",
    departures=(
        "no drop path (0.2 there), which an encoder would have to have inside",
        "no RandAugment (two of magnitude 7) and no random erasing (of 25 %); a colour jitter of 0.4 stands for them",
        "the rate falls to 0; there to 1e-5",
        "a layer of the decay is a stage of the encoder; there a block of the transformer",
    ),
    frames=16,
    size=224,
    step=4,
    clips=2,
    together=True,
    crop="resized",
    jitter=(0.4, 0.4, 0.4, 0.1),
    mixup=0.8,
    cutmix=1.0,
    smoothing=0.1,
    batch_size=256,
    epochs=100,
    optimizer="adamw",
    lr=5e-4,
    lr_per=256,
    layer_decay=0.7,
    weight_decay=0.05,
    decay_all=False,
    schedule="cosine",
    warmup=5,
    dropout=0.5,
    test_clips=5,
    test_crops=3,
)

VIDEOMAE_HMDB = replace(
    VIDEOMAE,
    name="videomae-hmdb",
    source="Tong et al., NeurIPS 2022, arXiv:2203.12602; step, epochs, rate and clips as others report them for HMDB51",
    step=2,
    epochs=50,
    lr=1e-3,
    test_clips=10,
)

SEVERE = ClipProtocol(
    name="severe",
    source="Thoker et al., ECCV 2022, arXiv:2203.14221; numbers of the authors' code (fmthoker/SEVERE-BENCHMARK, "
    "action_recognition/configs/benchmark/ucf)",
    departures=(
        "every item is seen once before any is seen again; there its 10 clips are shuffled among all others",
        "training from random init takes as long as from weights; there 20 epochs with a weight decay of 1e-4",
    ),
    frames=32,
    size=112,
    rate=16.0,
    clips=10,
    crop="resized",
    smallest=0.08,
    jitter=(0.4, 0.4, 0.4, 0.2),
    batch_size=32,
    epochs=16,
    optimizer="adam",
    lr=1e-4,
    weight_decay=0.0,
    schedule="steps",
    milestones=(6, 10, 14),
    gamma=0.3,
    test_clips=10,
)

SEVERE_SSV2 = replace(
    SEVERE, name="severe-ssv2", flip=False, clips=2, epochs=22, milestones=(12, 17, 20)
)  # its labels tell left from right


class ClipProtocols(Enum):
    """Fine-tuning of the whole network, named after the paper whose numbers it takes."""

    vcop = member(VCOP)
    coclr = member(COCLR)
    avid = member(AVID)
    gdt = member(GDT)
    videomae = member(VIDEOMAE)
    videomae_hmdb = member(VIDEOMAE_HMDB)
    severe = member(SEVERE)
    severe_ssv2 = member(SEVERE_SSV2)


class LinearClipProtocols(Enum):
    """Linear probes that are trained on clips, of the papers that do so."""

    coclr = member(COCLR_LINEAR)
    avid = member(AVID_LINEAR)
