"""Optimisers over the parameter groups of a task."""

from __future__ import annotations

from typing import Any

import torch

from avssl.tasks import Task
from avssl.training.choice import Train
from avssl.training.lars import LARS

__all__ = ["optimiser"]


def optimiser(task: Task, train: Train) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101), Adam (Kingma and Ba, ICLR 2015, arXiv:1412.6980),
    SGD or LARS, the latter two with momentum 0.9."""
    groups: list[dict[str, Any]] = [{"weight_decay": train.weight_decay} | dict(g) for g in task.parameter_groups()]
    if train.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=train.lr, momentum=0.9, nesterov=train.nesterov)
    if train.optimizer == "lars":
        return LARS(groups, lr=train.lr, momentum=0.9)
    if train.optimizer == "adam":
        return torch.optim.Adam(groups, lr=train.lr)
    return torch.optim.AdamW(groups, lr=train.lr)
