"""The attentive probe: one learned query that looks at the tokens of an item and is read off linearly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avssl.evaluation.answers import Answers, Labelled, two_classes
from avssl.evaluation.head import Card, tested
from avssl.evaluation.hold_out import grouped, hold_out

__all__ = ["AttentiveHead", "AttentiveProbe", "attentive_probe"]


@dataclass(frozen=True, kw_only=True)
class AttentiveProbe:
    """Cross-attention of one learned query to the tokens, then a linear layer: the probe of Bardes et al., TMLR 2024,
    arXiv:2404.08471, appendix, without its perceptron.

    Its scores must not be set beside those of a linear probe. AdamW with a cosine schedule, whole batches of `batch`.
    """

    heads: int = 4
    """Of the attention; fewer where the size of the tokens is no multiple."""
    epochs: int = 60
    """At most: of all epochs, the one of highest accuracy on the held-out part is chosen for the last fit."""
    batch: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.01
    held_out: float = 0.25
    """Share of the training part (of its groups, if it has any) on which the number of epochs is chosen."""
    tops: tuple[int, ...] = (1,)
    """The k of top-k."""

    def __post_init__(self) -> None:
        if min(self.heads, self.epochs, self.batch) < 1 or self.lr <= 0 or not 0 < self.held_out < 1 or not self.tops:
            raise ValueError("heads, epochs and batch must be ≥ 1, lr > 0, held_out in (0, 1), and tops at least one")


DEFAULT = AttentiveProbe()


class _Network(nn.Module):
    def __init__(self, size: int, classes: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.empty(1, 1, size))
        nn.init.trunc_normal_(self.query, std=0.02)
        self.norm = nn.LayerNorm(size)
        self.look = nn.MultiheadAttention(size, heads, batch_first=True)
        self.after = nn.LayerNorm(size)
        self.read = nn.Linear(size, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        seen, _ = self.look(self.query.expand(len(x), -1, -1), x, x, need_weights=False)
        y: Tensor = self.read(self.after(self.query + seen)[:, 0])
        return y


@dataclass(frozen=True, kw_only=True)
class AttentiveHead:
    """Scores of tokens x (M, L, D), standardised by `mean` and `scale` (D,), through a small network."""

    card: Card
    mean: np.ndarray
    scale: np.ndarray
    heads: int
    state: Mapping[str, Tensor]

    def scores(self, features: np.ndarray) -> np.ndarray:
        """A score for each class: (M, L, D) → (M, K).

        Raises:
            ValueError: tokens of another size.
        """
        if features.ndim != 3 or features.shape[2] != len(self.mean):
            raise ValueError(f"features of shape {features.shape}: this head takes tokens (M, L, {len(self.mean)})")
        with torch.random.fork_rng(devices=[]):
            network = _Network(len(self.mean), len(self.card.numbers), self.heads).eval()
        network.load_state_dict(dict(self.state))
        x = _standardised(features, self.mean, self.scale)
        parts = [x[n : n + 1024] for n in range(0, len(x), 1024)]
        with torch.no_grad():
            found: np.ndarray = torch.cat([network(part) for part in parts]).double().numpy()
        return found

    def predict(self, features: np.ndarray) -> list[str]:
        """The names of the classes."""
        return self.card.predict(self.scores(features))

    def with_card(self, card: Card) -> AttentiveHead:
        """The same head with another card."""
        return replace(self, card=card)

    def arrays(self) -> dict[str, np.ndarray]:
        """What it learnt, by name."""
        own = {"mean": self.mean, "scale": self.scale, "heads": np.array([self.heads])}
        return own | {f"network.{k}": v.numpy() for k, v in self.state.items()}

    @classmethod
    def of(cls, card: Card, arrays: Mapping[str, np.ndarray]) -> AttentiveHead:
        """The head that `arrays` tells of."""
        prefix = "network."
        state = {k.removeprefix(prefix): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(prefix)}
        heads = int(arrays["heads"][0])
        return cls(card=card, mean=arrays["mean"], scale=arrays["scale"], heads=heads, state=state)


def attentive_probe(train: Labelled, test: Labelled, *, choice: AttentiveProbe = DEFAULT, seed: int = 0) -> Answers:
    """Fit to the tokens (M, L, D) of `train`, answer for those of `test`.

    The number of epochs is that of the highest accuracy on a part held out of `train`, groups kept together; then all
    of `train` is fitted for as long. The generators of the caller are left as they were.

    Raises:
        ValueError: fewer than 2 classes in `train`, or features that are no tokens of one size.
    """
    if train.values.ndim != 3 or test.values.ndim != 3 or train.values.shape[2] != test.values.shape[2]:
        raise ValueError(f"features of shape {train.values.shape}, {test.values.shape}: give tokens (M, L, D)")
    two_classes(_means(train), _means(test))
    epochs, how = _epochs(train, choice, seed)
    head, _ = _fit(train, choice, seed, epochs=epochs)
    return tested(
        head,
        train,
        test,
        tops=choice.tops,
        settings={
            "probe": f"one query, {head.heads} heads, linear",
            "AdamW": choice.lr,
            "tokens": train.values.shape[1],
        },
        found={"epochs": epochs, "epochs chosen": how},
    )


def _means(part: Labelled) -> Labelled:
    return Labelled(values=part.values.mean(axis=1), labels=part.labels)


def _standardised(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> Tensor:
    return torch.from_numpy(((values - mean) * scale).astype(np.float32))


def _epochs(train: Labelled, choice: AttentiveProbe, seed: int) -> tuple[int, str]:
    parts = hold_out(train, choice.held_out, np.random.default_rng(np.random.SeedSequence((seed, 4))))
    if parts is None:
        return choice.epochs, "all: the classes are too small to hold any out"
    _, accuracy = _fit(train.where(parts[0]), choice, seed, epochs=choice.epochs, watched=train.where(parts[1]))
    best = int(np.argmax(accuracy)) + 1
    return best, f"on {choice.held_out:.0%} of the training {'groups' if grouped(train) else 'items'}"


def _fit(
    train: Labelled, choice: AttentiveProbe, seed: int, *, epochs: int, watched: Labelled | None = None
) -> tuple[AttentiveHead, list[float]]:
    """The head after so many epochs of a schedule over `choice.epochs`, and the accuracy on `watched` after each."""
    flat = train.values.reshape(-1, train.values.shape[2])
    mean, std = flat.mean(axis=0, dtype=np.float64), flat.std(axis=0, dtype=np.float64)
    scale = np.where(std > 1e-6 * np.maximum(1.0, np.abs(mean)), 1 / np.maximum(std, 1e-12), 0)
    numbers = np.unique(train.labels)
    heads = next(h for h in range(min(choice.heads, flat.shape[1]), 0, -1) if flat.shape[1] % h == 0)
    x, y = _standardised(train.values, mean, scale), torch.from_numpy(np.searchsorted(numbers, train.labels))
    seen = None if watched is None else _standardised(watched.values, mean, scale)
    accuracy: list[float] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _Network(flat.shape[1], len(numbers), heads)
        solver = torch.optim.AdamW(network.parameters(), lr=choice.lr, weight_decay=choice.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(solver, T_max=choice.epochs)
        for _ in range(epochs):
            for rows in torch.randperm(len(x)).chunk(math.ceil(len(x) / choice.batch)):
                solver.zero_grad()
                F.cross_entropy(network(x[rows]), y[rows]).backward()  # type: ignore[no-untyped-call]
                solver.step()
            schedule.step()
            if seen is not None and watched is not None:
                with torch.no_grad():
                    said = numbers[network(seen).argmax(dim=1).numpy()]
                accuracy.append(float((said == watched.labels).mean()))
    names = tuple(int(n) for n in numbers)
    card = Card(classes=tuple(str(n) for n in names), numbers=names)
    state = {k: v.detach().clone() for k, v in network.state_dict().items()}
    return AttentiveHead(card=card, mean=mean, scale=scale, heads=heads, state=state), accuracy
