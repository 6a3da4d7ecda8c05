"""An opponent of a task that makes pictures: it learns to tell them from true ones, and so teaches what is missing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.tasks.base import grouped

__all__ = ["Adversary"]


class Adversary(nn.Module):
    """Judges what a task makes: Goodfellow et al., NIPS 2014, arXiv:1406.2661, whose maker maximises log D (section 3).

    One pass gives the losses of both sides. The judge sees what is made without its gradients, and the maker's term
    goes through the judge with its weights held, so that one sum of both gives each its own gradient alone: whatever
    wraps the task, and however many processes share the batch.

    Args:
        judge: from pictures (R, C, H, W) to a logit (R,), above 0 for true ones.
        weight: of the maker's term, the rest being that of the task's own loss.
        optimizer: of the judge.
        lr_scale: of the judge's learning rate, to that of the task.
        betas: of the judge's optimiser.
    """

    def __init__(
        self,
        judge: nn.Module,
        *,
        weight: float = 1e-3,
        optimizer: str = "adam",
        lr_scale: float = 1.0,
        betas: tuple[float, float] = (0.5, 0.999),
    ) -> None:
        super().__init__()
        if not 0 < weight < 1:
            raise ValueError(f"weight {weight}: must be a share, above 0 and below 1; leave the adversary out for 0")
        self.judge = judge
        self.weight = weight
        self.settings = {"optimizer": optimizer, "lr_scale": lr_scale, "betas": betas}

    def forward(self, loss: Tensor, made: Tensor, true: Tensor) -> dict[str, Tensor]:
        """The "loss" of both sides with the task's own `loss`, and metrics, of pictures (B, C, T, H, W).

        "fooling" is the maker's term, "judging" the judge's loss, and "judge_accuracy" 1 where it is never fooled.
        """
        made, true = (x.float().transpose(1, 2).flatten(0, 1) for x in (made, true))
        of_true, of_made = self.judge(true.detach()).float(), self.judge(made.detach()).float()
        judging = (F.softplus(-of_true).mean() + F.softplus(of_made).mean()) / 2
        fooling = F.softplus(-self._held(made).float()).mean()
        right = ((of_true > 0).float().mean() + (of_made < 0).float().mean()) / 2
        return {
            "loss": (1 - self.weight) * loss + self.weight * fooling + judging,
            "restoring": loss.detach(),
            "fooling": fooling.detach(),
            "judging": judging.detach(),
            "judge_accuracy": right.detach(),
        }

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The judge's groups, of its own optimiser."""
        return grouped(self.judge.parameters(), self.settings)

    def _held(self, made: Tensor) -> Tensor:
        """The judge's logits with its weights as constants; its statistics, if it has any, see nothing of this."""
        weights = {name: p.detach() for name, p in self.judge.named_parameters()}
        buffers = {name: b.clone() for name, b in self.judge.named_buffers()}
        logits: Tensor = torch.func.functional_call(self.judge, (weights, buffers), (made,))
        return logits
