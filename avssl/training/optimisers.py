"""Optimisers over the parameter groups of a task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from avssl.tasks import Task
from avssl.training.choice import Train
from avssl.training.lars import LARS

__all__ = ["Optimisers"]


class Optimisers:
    """All optimisers of a task, which step together: the user's choice, and those that parameter groups name.

    AdamW (Loshchilov and Hutter, ICLR 2019, arXiv:1711.05101), Adam (Kingma and Ba, ICLR 2015, arXiv:1412.6980), SGD
    or LARS, the latter two with momentum 0.9.
    """

    def __init__(self, task: Task, train: Train) -> None:
        self._train = train
        parts: dict[str, list[dict[str, Any]]] = {}
        for group in task.parameter_groups():
            own = {"weight_decay": train.weight_decay} | dict(group)
            parts.setdefault(own.pop("optimizer", train.optimizer), []).append(own)
        self.members = [_optimiser(name, groups, train) for name, groups in parts.items()]

    def set_rate(self, lr: float) -> None:
        """Give every group its learning rate, of which `lr` is the one of a plain group."""
        for group in self._groups():
            group["lr"] = (self._train.lr if group.get("constant_rate") else lr) * group.get("lr_scale", 1.0)

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for member in self.members:
            member.zero_grad(set_to_none=True)

    def require_gradients(self, task: Task) -> None:
        """See that a backward pass has reached every parameter that is trained.

        Raises:
            ValueError: it has not; several ranks would wait for it for ever, and no checkpoint could be resumed.
        """
        trained = {id(p) for group in self._groups() for p in group["params"]}
        if idle := [n for n, p in task.named_parameters() if id(p) in trained and p.grad is None]:
            told = ", ".join(idle[:3]) + (f" and {len(idle) - 3} more" if len(idle) > 3 else "")
            raise ValueError(
                f"no gradient has reached {told} in the first step: {type(task).__name__} does not use what it trains; "
                "leave it out, or freeze it (requires_grad_(False))"
            )

    def step(self) -> None:
        """One step of each."""
        for member in self.members:
            member.step()

    def forget(self, parameters: Iterable[nn.Parameter]) -> None:
        """Go on with these parameters as if nothing had been seen of them: they were drawn anew."""
        for parameter in parameters:
            for member in self.members:
                for value in member.state.get(parameter, {}).values():
                    if isinstance(value, torch.Tensor):  # zeros are what every optimiser here starts from
                        value.zero_()

    def _groups(self) -> Iterable[dict[str, Any]]:
        return (group for member in self.members for group in member.param_groups)


def _optimiser(name: str, groups: list[dict[str, Any]], train: Train) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(groups, lr=train.lr, momentum=0.9, nesterov=train.nesterov)
    if name == "lars":
        return LARS(groups, lr=train.lr, momentum=0.9)
    if name == "adam":
        return torch.optim.Adam(groups, lr=train.lr, betas=train.betas)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=train.lr, betas=train.betas)
    raise ValueError(f"optimizer {name!r}: must be 'adamw', 'adam', 'sgd' or 'lars'")
