"""The user's choice of how to train, as it appears on the command line of every recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["Train"]


@dataclass(frozen=True, kw_only=True)
class Train:
    """How long, how fast and on what to train."""

    epochs: int = 15
    """Passes over the data; 0 trains nothing, but still shows what the sampler draws."""
    batch_size: int = 32
    """Examples of one step over all ranks and micro-batches together."""
    optimizer: Literal["adamw", "adam", "sgd", "lars"] = "adamw"
    """AdamW; Adam, whose weight decay is part of the gradient; SGD with momentum 0.9; or LARS with momentum 0.9, for
    batches of thousands."""
    nesterov: bool = False
    """Whether the momentum of `sgd` is Nesterov's; the other optimizers do not read it."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of `adamw` and `adam`: how slowly their means of the gradient, and of its square, change."""
    lr: float = 1e-3
    """Highest learning rate."""
    weight_decay: float = 1e-2
    """Decay of the weights; norms and biases have none."""
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    """How the learning rate goes after the warm-up."""
    milestones: tuple[float, ...] = ()
    """Epochs at which `steps` multiplies the rate by `gamma`; the other schedules do not read them."""
    gamma: float = 0.1
    """The factor of `steps`."""
    warmup: float = 0.0
    """Epochs of linear rise from 0."""
    clip_norm: float | None = None
    """Largest norm of all gradients together; None: no limit."""
    accumulate: int = 1
    """Micro-batches that one step adds up, to fit a small memory."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 computes under autocast; the weights stay float32."""
    compile: bool = False
    """Compile the task with torch.compile."""
    seed: int = 0
    """The seed of every draw."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA where there is a device."""
    out: Path | None = None
    """The run folder; None: runs/<recipe>-<date and time>."""
    init: Path | None = None
    """A run folder or a file of weights whose encoders to start from; None: from weights drawn by the seed."""
    resume: bool = False
    """Go on from the newest checkpoint in `out`, exactly as if never stopped; from the start if there is none yet."""
    checkpoint_every: int = 0
    """Steps between checkpoints; 0: one an epoch."""
    probe_every: int = 5
    """Epochs between probes; the last epoch always has one. 0: none."""
    loggers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Further places to log to (each is an extra to install)."""

    def __post_init__(self) -> None:
        def require(condition: bool, what: str) -> None:
            if not condition:
                raise ValueError(f"train: {what}")

        require(self.epochs >= 0, f"epochs {self.epochs} must be ≥ 0")
        require(self.batch_size > 0, f"batch_size {self.batch_size} must be > 0")
        require(self.accumulate > 0, f"accumulate {self.accumulate} must be > 0")
        require(
            self.batch_size % self.accumulate == 0,
            f"batch_size {self.batch_size} is not a multiple of accumulate {self.accumulate}",
        )
        require(self.lr > 0 and self.weight_decay >= 0, "lr must be > 0 and weight_decay ≥ 0")
        require(all(0 <= b < 1 for b in self.betas), f"betas {self.betas} must be in [0, 1)")
        require(self.warmup >= 0, f"warmup {self.warmup} epochs must be ≥ 0")
        require(
            self.checkpoint_every >= 0 and self.probe_every >= 0,
            f"checkpoint_every {self.checkpoint_every}, probe_every {self.probe_every}: both must be ≥ 0",
        )
        require(not self.resume or self.out is not None, "resume needs the folder of the run: give --train.out too")
        require(self.clip_norm is None or self.clip_norm > 0, f"clip_norm {self.clip_norm} must be > 0")
