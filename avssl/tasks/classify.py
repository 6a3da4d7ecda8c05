"""The family of tasks that name a relation known by construction: order, rotation, pace, synchronisation …"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Example
from avssl.encoders.base import Encoder
from avssl.encoders.heads import Head
from avssl.tasks.base import Task, encoded

__all__ = ["Classify"]


class Classify(Task):
    """Predict `batch.labels[label]` with cross-entropy from all clips of an example.

    The head says what it sees and answers. One that gives (B, K) answers for the example, and the labels are (B,); one
    that gives (B, S, K) answers for each clip, and the labels are (B, S), or (B,) if S = 1. With a `sound` encoder the
    head sees both streams: if it is `over_time` as two sequences, else as features side by side, (B, S, D + D').
    Metrics: accuracy, top-1.

    Args:
        encoder: of video, or of sound for tasks on sound alone.
        head: from features to logits.
        label: name of the pretext label.
        sound: encoder of the sound that goes with the video.
    """

    def __init__(self, encoder: Encoder, head: Head, *, label: str = "order", sound: Encoder | None = None) -> None:
        super().__init__()
        if sound is not None and (encoder.modality, sound.modality) != ("video", "sound"):
            raise ValueError(
                f"encoder of {encoder.modality} with sound encoder of {sound.modality}: give video first, then sound; "
                "for sound alone give the sound encoder as `encoder`"
            )
        self.encoder = encoder
        self.head = head
        self.label = label
        self.sound: nn.Module | None = sound

    def encoders(self) -> dict[str, Encoder]:
        """The encoders by modality."""
        found: dict[str, Encoder] = {self.encoder.modality: self.encoder}
        if isinstance(self.sound, Encoder):
            found["sound"] = self.sound
        return found

    def logits(self, batch: Example) -> Tensor:
        """The head's answer, (B, K) or (B, S, K)."""
        x = encoded(self.encoder, batch.clips, over_time=self.head.over_time)
        if not isinstance(self.sound, Encoder):
            alone: Tensor = self.head(x)
            return alone
        sound = encoded(self.sound, batch.clips, over_time=self.head.over_time)
        streams = (x, sound) if self.head.over_time else (torch.cat((x, sound), dim=-1),)
        both: Tensor = self.head(*streams)
        return both

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss and accuracy."""
        logits = self.logits(batch)
        target = _target(batch, self.label, logits)
        flat = logits.flatten(0, -2).float()
        loss = F.cross_entropy(flat, target)
        accuracy = (flat.detach().argmax(dim=1) == target).float().mean()
        return {"loss": loss, "accuracy": accuracy}


def _target(batch: Example, label: str, logits: Tensor) -> Tensor:
    """The labels as whole numbers, one for each row of the logits."""
    if label not in batch.labels:
        raise ValueError(f"label {label!r}: the batch has {sorted(batch.labels)}; name one that the sampler gives")
    target = batch.labels[label]
    wanted = logits.shape[:-1]
    if target.shape != wanted and target.numel() != wanted.numel():
        raise ValueError(
            f"label {label!r} of shape {tuple(target.shape)} for answers of shape {tuple(wanted)}: a head that answers "
            "for each clip needs a label for each clip (B, S), one that answers for the example needs (B,)"
        )
    return target.reshape(-1).long()
