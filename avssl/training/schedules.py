"""The learning rate as a pure function of where training stands, so that resuming needs no state."""

from __future__ import annotations

import math

from avssl.training.choice import Train

__all__ = ["rate"]


def rate(train: Train, epoch: float) -> float:
    """The learning rate at a fractional epoch.

    Cosine: Loshchilov and Hutter, ICLR 2017, arXiv:1608.03983, eq. 5 without restarts, down to 0 at the last epoch.
    """
    if epoch < train.warmup:
        return train.lr * epoch / train.warmup
    if train.schedule == "constant":
        return train.lr
    if train.schedule == "steps":
        return train.lr * train.gamma ** sum(epoch >= m for m in train.milestones)
    done = (epoch - train.warmup) / max(train.epochs - train.warmup, 1e-9)
    return train.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
