"""The task of learning human labels from clips, and what of the network it moves how fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avssl.core import Example
from avssl.encoders import Encoder
from avssl.evaluation.finetune.protocol import ClipProtocol
from avssl.evaluation.finetune.recogniser import Recogniser
from avssl.tasks import Task

__all__ = ["Recognise"]


class Recognise(Task):
    """Cross-entropy of a recogniser's classifiers for the labels of items, which it looks up by their numbers.

    Metrics: accuracy of the last classifier, top-1, of clips as they came, even where what was seen were mixtures.

    Args:
        recogniser: what is trained.
        labels: class numbers by the number of the item; others are an error when they come.
        protocol: mixtures, smoothing, rates and weight decay.
        trunk: "trained"; "kept": only the classifiers are trained, though norms follow the data; "frozen": the trunk is
            in evaluation mode, too.
    """

    numbers: Tensor

    def __init__(
        self,
        recogniser: Recogniser,
        labels: Mapping[int, int],
        *,
        protocol: ClipProtocol,
        trunk: Literal["trained", "kept", "frozen"] = "trained",
    ) -> None:
        super().__init__()
        self.recogniser, self.protocol, self.trunk = recogniser, protocol, trunk
        numbers = torch.full((max(labels) + 1,), -1)
        numbers[list(labels)] = torch.tensor(list(labels.values()))
        self.register_buffer("numbers", numbers, persistent=False)
        recogniser.encoder.requires_grad_(trunk == "trained")

    def encoders(self) -> dict[str, Encoder]:
        """The trunk."""
        return {"video": self.recogniser.encoder}

    def train(self, mode: bool = True) -> Recognise:
        """Set the mode; a frozen trunk stays in evaluation mode."""
        super().train(mode)
        if self.trunk == "frozen":
            self.recogniser.encoder.eval()
        return self

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss, summed over the classifiers, and accuracy."""
        video = batch.clips[0].video
        if video is None:
            raise ValueError("the clips have no frames: recognition is learned from video")
        target = self.numbers[batch.index]
        if not target.is_cuda and (target < 0).any():  # which would make the device wait
            raise ValueError(f"item {int(batch.index[target < 0][0])} has no label: train on items that have one")
        partner, weights = torch.arange(len(video), device=video.device), torch.ones(len(video), device=video.device)
        if self.training and (self.protocol.mixup or self.protocol.cutmix):
            video, partner, weights = mixed(video, mixup=self.protocol.mixup, cutmix=self.protocol.cutmix)
        logits = self.recogniser(video).float()
        smoothing = self.protocol.smoothing if self.training else 0.0
        loss = torch.zeros((), device=logits.device)
        for r in range(logits.shape[1]):
            own, other = (
                F.cross_entropy(logits[:, r], t, label_smoothing=smoothing, reduction="none")
                for t in (target, target[partner])
            )
            loss = loss + (weights * own + (1 - weights) * other).mean()
        accuracy = (logits[:, -1].detach().argmax(dim=1) == target).float().mean()
        return {"loss": loss, "accuracy": accuracy}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups by rate and decay: classifiers at the full rate, the stages of the trunk at theirs."""
        protocol, encoder = self.protocol, self.recogniser.encoder
        groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
        depth = _depths(encoder)
        for name, parameter in self.recogniser.named_parameters():
            if not parameter.requires_grad:
                continue
            inside = name.removeprefix("encoder.net.")
            below = len(encoder.taps) - depth(inside) if inside != name else 0
            scale = protocol.trunk_lr * protocol.layer_decay**below if name.startswith("encoder.") else 1.0
            groups.setdefault((scale, protocol.decay_all or parameter.ndim > 1), []).append(parameter)
        return [
            {"params": parameters, "lr_scale": scale} | ({} if decays else {"weight_decay": 0.0})
            for (scale, decays), parameters in groups.items()
        ]


def _depths(encoder: Encoder) -> Any:
    """From the name of a parameter of the trunk to the number of its stage, from 0; of no stage: 0."""
    prefixes = [(f"{n}.", d) for d, names in enumerate(encoder.stages.values()) for n in names]

    def depth(name: str) -> int:
        return max((d for prefix, d in prefixes if name.startswith(prefix)), default=0)

    return depth


def mixed(video: Tensor, *, mixup: float, cutmix: float) -> tuple[Tensor, Tensor, Tensor]:
    """Clips (B, T, C, H, W) mixed with those of the batch in reverse, their partners (B,), and their own shares (B,).

    One share is drawn for the batch, from torch's generator, which training sets at each step.
    """
    cuts = cutmix > 0 and (mixup == 0 or bool(torch.rand(()) < 0.5))
    alpha = torch.tensor(cutmix if cuts else mixup)
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    partner = torch.arange(len(video) - 1, -1, -1, device=video.device)
    if not cuts:
        x = video.float() / (1 if video.is_floating_point() else 255)
        return share * x + (1 - share) * x[partner], partner, torch.full((len(video),), share, device=video.device)
    height, width = video.shape[-2:]
    tall, wide = (round(n * (1 - share) ** 0.5) for n in (height, width))
    middle = [int(torch.randint(n, ())) for n in (height, width)]
    top, left = (max(0, m - s // 2) for m, s in zip(middle, (tall, wide), strict=True))
    bottom, right = min(height, middle[0] - tall // 2 + tall), min(width, middle[1] - wide // 2 + wide)
    pasted = video.clone()
    pasted[..., top:bottom, left:right] = video[partner][..., top:bottom, left:right]
    kept = 1 - max(0, bottom - top) * max(0, right - left) / (height * width)
    return pasted, partner, torch.full((len(video),), kept, device=video.device)
