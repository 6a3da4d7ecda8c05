"""How a protocol's numbers become those of the training loop, and how its weights are chosen."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avssl.data import Clips
from avssl.encoders import Encoder, save_weights
from avssl.evaluation.answers import Labelled
from avssl.evaluation.finetune.protocol import ClipProtocol
from avssl.evaluation.finetune.recogniser import Recogniser
from avssl.evaluation.finetune.testing import recognise
from avssl.evaluation.hold_out import cross_parts, members
from avssl.training import Train

__all__ = ["Selection", "held_out", "train_choice"]


def train_choice(
    protocol: ClipProtocol,
    train: Train,
    *,
    items: int,
    probes: bool = False,
    head_first: bool = False,
    world: int = 1,
) -> Train:
    """What the loop is told: an epoch of a protocol is as many passes over the `items` as it cuts clips of each.

    Where the items do not fill a batch, or its parts for `world` ranks would be uneven, it is made smaller. `train`
    says all that a protocol does not.
    """
    repeats = protocol.clips if protocol.together else 1
    passes = 1 if protocol.together else protocol.clips
    share = world * train.accumulate * repeats
    batch_size = max(share, min(protocol.batch_size, items * repeats) // share * share)
    lr = protocol.lr if protocol.lr_per is None else protocol.lr * (batch_size // repeats) / protocol.lr_per
    epochs = protocol.head_first if head_first else protocol.epochs
    return replace(
        train,
        epochs=epochs * passes,
        batch_size=batch_size,
        optimizer=protocol.optimizer,
        nesterov=False,
        lr=lr,
        weight_decay=protocol.weight_decay,
        schedule="constant" if head_first else protocol.schedule,
        milestones=tuple(m * passes for m in protocol.milestones),
        gamma=protocol.gamma,
        warmup=0.0 if head_first else protocol.warmup * passes,
        probe_every=passes if probes else 0,
        init=None,
    )


def held_out(train: Labelled, *, share: float, seed: int) -> np.ndarray:
    """A mask (M,) of about a `share` of the items, of every class alike and in whole groups; it leaves each class some.

    Nothing is held out where every class has one group only.
    """
    if not share:
        return np.zeros(len(train), dtype=bool)
    rng = np.random.default_rng(np.random.SeedSequence((seed, 7)))
    away: np.ndarray = cross_parts(train, max(2, round(1 / share)), rng) == 0
    member = members(train)
    for k in np.unique(train.labels):
        if away[train.labels == k].all():
            away &= ~np.isin(member, member[train.labels == k])
    return away


class Selection:
    """Measures a recogniser on items held out of training, one clip each, and, with `keep`, keeps its best weights.

    The best are those of the least loss of any classifier.
    It is a probe of training. What it found lies in the run folder, so that a run that goes on goes on with it.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        clips: Clips,
        labels: Mapping[int, int],
        *,
        protocol: ClipProtocol,
        folder: Path,
        device: torch.device | str,
        keep: bool,
    ) -> None:
        self.recogniser, self.clips, self.labels, self.protocol, self.device = (
            recogniser,
            clips,
            labels,
            protocol,
            device,
        )
        self.keep = keep
        self.best, self.notes = folder / "best.safetensors", folder / "best.json"

    @property
    def found(self) -> dict[str, Any]:
        """Loss and accuracy of the best classifier, with the weights that are kept or the last; empty at first."""
        known: dict[str, Any] = json.loads(self.notes.read_text()) if self.notes.is_file() else {}
        return known

    def readout(self, recogniser: Recogniser) -> str:
        """The classifier that is best on what is held out, with the weights that the recogniser has."""
        if len(recogniser.readouts) == 1:
            return recogniser.readouts[0]
        losses, _ = self._measured(recogniser)
        return recogniser.readouts[int(np.argmin(losses))]

    def __call__(self, encoders: Mapping[str, Encoder]) -> list[tuple[str, float]]:
        """Losses and accuracies by name."""
        losses, accuracies = self._measured(self.recogniser)
        # the first time nothing has been learned yet, and whatever comes later is better
        least = float(losses.min()) if self.notes.is_file() else math.inf
        if not self.keep or not self.notes.is_file() or not self.found["held-out loss"] <= least:
            if self.keep:
                save_weights(self.recogniser, self.best)
            partial = self.notes.with_name(self.notes.name + ".partial")
            accuracy = float(accuracies[int(np.argmin(losses))])
            partial.write_text(json.dumps({"held-out loss": least, "held-out accuracy": accuracy}))
            partial.replace(self.notes)
        several = len(losses) > 1
        marks = [f" ({name})" if several else "" for name in self.recogniser.readouts]
        pairs = zip(marks, losses, accuracies, strict=True)
        return [
            (f"held-out {what}{mark}", float(value))
            for mark, loss, accuracy in pairs
            for what, value in (("loss", loss), ("accuracy", accuracy))
        ]

    def _measured(self, recogniser: Recogniser) -> tuple[np.ndarray, np.ndarray]:
        """Mean loss and accuracy (R,) of each classifier."""
        found = recognise(recogniser, self.clips, protocol=self.protocol, device=self.device)
        truth = np.array([self.labels[int(i)] for i in found.index])
        right = found.probabilities[np.arange(len(truth)), :, truth]
        accuracy = (found.probabilities.argmax(axis=2) == truth[:, None]).mean(axis=0)
        return -np.log(np.maximum(right, 1e-12)).mean(axis=0), accuracy
