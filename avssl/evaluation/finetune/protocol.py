"""A protocol of action recognition that trains on clips, as numbers, and the same protocol made shorter."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from avssl.data import View

__all__ = ["ClipProtocol", "shortened"]


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
