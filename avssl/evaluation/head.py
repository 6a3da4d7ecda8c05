"""A trained probe as it is kept: to be written beside a run, read again, and applied without training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from avssl.core import MediaError
from avssl.evaluation.answers import Answers, Labelled, answered

__all__ = ["Card", "Head", "LinearHead", "load_head", "save_head"]

KINDS = ("linear", "attentive")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a head answers and what it was fitted to."""

    classes: tuple[str, ...]
    """Names of the K classes, in the order of the scores."""
    numbers: tuple[int, ...]
    """Their numbers in the labels that it was fitted to."""
    several: bool = False
    """Whether an item may have several of the classes, or none."""
    protocol: str = ""
    encoder: str = ""
    """Fingerprint of the encoder whose features it takes (`avssl.encoders.fingerprint`)."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else is needed to make such features again: the view, the clips, the data."""

    def predict(self, scores: np.ndarray) -> list[str]:
        """The class of highest score of each row (M, K), ties to the first; of several, all above 0, joined by ';'."""
        if self.several:
            return [";".join(c for c, s in zip(self.classes, row, strict=True) if s > 0) for row in scores]
        return [self.classes[int(k)] for k in np.argmax(scores, axis=1)]

    def named(self, classes: Sequence[str], *, protocol: str, encoder: str, about: Mapping[str, Any]) -> Card:
        """The same with the names of all classes of the label in the order of their numbers, and the origin."""
        known = tuple(classes[n] for n in self.numbers)
        return replace(self, classes=known, protocol=protocol, encoder=encoder, about=about)


class Head(Protocol):
    """What every head can do."""

    @property
    def card(self) -> Card:
        """What it answers."""

    def scores(self, features: np.ndarray) -> np.ndarray:
        """A score for each class: (M, D) or (M, L, D) → (M, K)."""

    def predict(self, features: np.ndarray) -> list[str]:
        """The names of the classes."""

    def with_card(self, card: Card) -> Head:
        """The same head with another card."""

    def arrays(self) -> dict[str, np.ndarray]:
        """What it learnt, by name."""


@dataclass(frozen=True, kw_only=True)
class LinearHead:
    """Scores ((x - mean) · scale) Wᵀ + b, of features x (M, D) that are brought to length 1 before if `unit`."""

    card: Card
    mean: np.ndarray
    scale: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    unit: bool = False

    def scores(self, features: np.ndarray) -> np.ndarray:
        """A score for each class: (M, D) → (M, K).

        Raises:
            ValueError: features of another size.
        """
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise ValueError(f"features of shape {features.shape}: this head takes (M, {len(self.mean)})")
        x = unit_rows(features) if self.unit else features.astype(np.float64)
        found: np.ndarray = ((x - self.mean) * self.scale) @ self.weight.T + self.bias
        return found

    def predict(self, features: np.ndarray) -> list[str]:
        """The names of the classes."""
        return self.card.predict(self.scores(features))

    def with_card(self, card: Card) -> LinearHead:
        """The same head with another card."""
        return replace(self, card=card)

    def arrays(self) -> dict[str, np.ndarray]:
        """What it learnt, by name."""
        names = ("mean", "scale", "weight", "bias")
        return {n: np.ascontiguousarray(getattr(self, n), dtype=np.float64) for n in names} | {
            "unit": np.array([self.unit])
        }


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Rows of length 1 (float64); rows of zeros stay zero."""
    values = values.astype(np.float64)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(values, norms, out=np.zeros_like(values), where=norms > 1e-12)
    return unit


def standardisation(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and 1 / deviation (D,) of features (M, D); 0 for one that does not vary.

    A feature that does not vary in training says nothing there and must not be blown up in test.
    """
    mean, std = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    alive = std > 1e-6 * np.maximum(1.0, np.abs(mean))
    return mean, np.where(alive, 1 / np.where(alive, std, 1), 0)


def by_number(scores: np.ndarray, numbers: Sequence[int], count: int) -> np.ndarray:
    """Scores (M, K) of the classes with these numbers as (M, count), -∞ for the others."""
    full = np.full((len(scores), count), -np.inf)
    full[:, list(numbers)] = scores
    return full


def tested(
    head: Head,
    train: Labelled,
    test: Labelled,
    *,
    tops: Sequence[int],
    settings: Mapping[str, Any],
    found: Mapping[str, Any],
) -> Answers:
    """What a head that was fitted to `train` answers for `test`, and the head itself, to be kept."""
    count = 1 + int(max(train.labels.max(), test.labels.max()))
    scores = by_number(head.scores(test.values), head.card.numbers, count)
    correct, chance = answered(scores, train, test, tops=tops)
    return Answers(
        predictions=np.argmax(scores, axis=1),
        correct=correct,
        chance=chance,
        settings=settings,
        found=found,
        head=head,
    )


def save_head(head: Head, path: Path | str) -> None:
    """Write a head as safetensors, with its card as JSON in the metadata; who reads it sees all of it or nothing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "linear" if isinstance(head, LinearHead) else "attentive"
    partial = path.with_name(path.name + ".partial")
    save_file(head.arrays(), partial, metadata={"kind": kind, "card": json.dumps(asdict(head.card), sort_keys=True)})
    partial.replace(path)


def load_head(path: Path | str) -> Head:
    """Read a head that `save_head` wrote.

    Raises:
        MediaError: the file is missing, no safetensors file, or holds no head.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(path, "is not a file", "give the path of a head that save_head wrote")
    try:
        with safe_open(path, framework="np") as file:
            arrays = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise MediaError(path, f"cannot be read as safetensors ({error})", "write it again with save_head") from error
    if metadata.get("kind") not in KINDS or "card" not in metadata:
        raise MediaError(path, "holds no probe head", "give a file that save_head wrote")
    values = json.loads(metadata["card"])
    card = Card(**values | {"classes": tuple(values["classes"]), "numbers": tuple(values["numbers"])})
    if metadata["kind"] == "attentive":
        from avssl.evaluation.attentive import AttentiveHead  # it needs this module

        return AttentiveHead.of(card, arrays)
    unit = bool(arrays.pop("unit")[0])
    return LinearHead(card=card, unit=unit, **arrays)
