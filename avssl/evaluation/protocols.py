"""Which protocols an evaluation runs, which features each asks for, and their answers over all folds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import numpy as np
from torch import Tensor

from avssl.encoders import Encoder
from avssl.evaluation.answers import Answers, Labelled, pooled
from avssl.evaluation.attentive import AttentiveProbe, attentive_probe
from avssl.evaluation.features import FeatureFunction, Features
from avssl.evaluation.fractions import Fractions, fraction
from avssl.evaluation.knn import NearestNeighbours, nearest_neighbours
from avssl.evaluation.layers import MOST, Layers, Pooled, Pooling, Tokens
from avssl.evaluation.linear import LinearProbe, linear_probe
from avssl.evaluation.multilabel import ManyLabelProbe, Ranked, many_label_probe
from avssl.evaluation.outcome import Labels, Outcome, RankedOutcome
from avssl.evaluation.retrieval import COCLR, SELAVI, VCOP, Retrieval, retrieval
from avssl.evaluation.sgd import SGDProbe, sgd_probe
from avssl.evaluation.splits import Fold, Unscorable
from avssl.evaluation.svm import LinearSVM, linear_svm, many_label_svm
from avssl.evaluation.windows import together

__all__ = ["Compared", "Kind", "Protocol", "Protocols", "answers_of", "can_be_drawn", "clips_of", "kinds_of"]

Protocol: TypeAlias = Literal[
    "linear", "knn", "retrieval", "vcop", "coclr", "selavi", "sgd", "svm", "vote", "layers", "attentive", "fractions"
]
Parts: TypeAlias = Sequence[tuple[Labelled, Labelled]]
"""(train, test) of every fold."""
Ask: TypeAlias = Callable[..., Answers]
"""A protocol: `(train, test, *, choice, seed)`."""

VOTED = "linear SVM, voted"
NAMED = {"vcop": VCOP, "coclr": COCLR, "selavi": SELAVI}
MEAN = "mean"
"""The kind of feature that most protocols take: the mean over the last map and over the clips."""


@dataclass(frozen=True, kw_only=True)
class Protocols:
    """How each protocol is done."""

    protocols: tuple[Protocol, ...] = ("linear", "knn", "retrieval")
    """Which are run. `vcop`, `coclr` and `selavi` are retrieval as in those papers; `vote` is the support vector
    machine on each window by itself, whose scores are summed over an item, `layers` a linear probe of each layer,
    `attentive` a probe of the places of the last map, and `fractions` a linear probe of few labels."""
    linear: LinearProbe = field(default_factory=LinearProbe)
    """The linear probe."""
    neighbours: NearestNeighbours = field(default_factory=NearestNeighbours)
    """The weighted vote of nearest neighbours."""
    retrieval: Retrieval = field(default_factory=Retrieval)
    """R@k."""
    sgd: SGDProbe = field(default_factory=SGDProbe)
    """The linear probe by SGD."""
    svm: LinearSVM = field(default_factory=LinearSVM)
    """The linear support vector machine."""
    windows: int = 10
    """Clips of each item that vote, evenly spread, in the protocol `vote`."""
    layers: int = MOST
    """Numbers to which the map of each layer is pooled, at most."""
    attentive: AttentiveProbe = field(default_factory=AttentiveProbe)
    """The attentive probe."""
    fractions: Fractions = field(default_factory=Fractions)
    """The shares of the labels."""
    many: ManyLabelProbe = field(default_factory=ManyLabelProbe)
    """The linear probe of items with several labels."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Features that a protocol asks for: of how many clips (0: as many as the others), made how of an encoder."""

    clips: int = 0
    window: int | None = None
    """Which of the clips alone; None: their mean."""
    make: Callable[[Encoder, Tensor], FeatureFunction] = lambda encoder, blank: encoder
    """From an encoder, and a blank batch of one clip as it takes them."""
    naive: bool = True
    """Whether features without a network are given to it too, as they are."""


def kinds_of(choice: Protocols) -> dict[str, Kind]:
    """The kinds of features that the chosen protocols ask for, by name."""
    kinds = {MEAN: Kind()}
    if "layers" in choice.protocols:
        kinds["layers"] = Kind(make=lambda encoder, blank: Layers(encoder, blank, most=choice.layers), naive=False)
    if "attentive" in choice.protocols:
        kinds["attentive"] = Kind(make=lambda encoder, blank: Tokens(encoder), naive=False)
    if "vote" in choice.protocols:
        kinds |= {f"window {n}": Kind(clips=choice.windows, window=n) for n in range(choice.windows)}
    for name, named in _retrievals(choice).items():
        if named.clips or named.pooling != Retrieval().pooling:
            kinds[name] = Kind(clips=named.clips, make=partial(_pooled, named.pooling))
    return kinds


def _pooled(pooling: Pooling, encoder: Encoder, blank: Tensor) -> FeatureFunction:
    return Pooled(encoder, pooling)


def clips_of(protocol: str, choice: Protocols) -> int:
    """Of how many clips the features of a protocol, by its name among the scores, are the mean."""
    asked = {how.protocol: how.clips for how in _retrievals(choice).values()} | {VOTED: choice.windows}
    return asked.get(protocol, 0)


def _retrievals(choice: Protocols) -> dict[str, Retrieval]:
    known = {"retrieval": choice.retrieval} | NAMED
    return {p: known[p] for p in choice.protocols if p in known}


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The features of one encoder, or rule, by kind, and what made them."""

    features: Mapping[str, Features]
    functions: Mapping[str, FeatureFunction]


def answers_of(
    label: Labels, compared: Compared, choice: Protocols, seeds: Sequence[int]
) -> Iterator[Outcome | RankedOutcome]:
    """Every protocol on every fold; those that draw nothing run with the first seed only."""
    if label.numbers.ndim == 2:
        yield from _of_many_labels(label, compared, choice, seeds)
        return
    parts = label.parts(compared.features[MEAN])

    def outcome(name: str, ask: Ask, how: Any, *, given: Parts = parts, seed: int = seeds[0]) -> Outcome:
        return made(name, [ask(train, test, choice=how, seed=seed) for train, test in given], given=given, seed=seed)

    def made(name: str, answers: Sequence[Answers], *, given: Parts = parts, seed: int = seeds[0]) -> Outcome:
        return Outcome(
            protocol=name,
            label=label.name,
            answers=pooled(answers, [f.name for f in label.folds]),
            truth=np.concatenate([test.labels for _, test in given]),
            groups=tuple(g for _, test in given for g in test.groups),
            n_train=round(float(np.mean([len(train) for train, _ in given]))),
            seed=seed,
            heads=tuple(a.head for a in answers if a.head is not None),
        )

    for protocol in choice.protocols:
        if protocol == "linear":
            for seed in seeds:
                yield outcome("linear probe", linear_probe, choice.linear, seed=seed)
        elif protocol == "knn":
            yield outcome("kNN", nearest_neighbours, choice.neighbours)
        elif protocol == "sgd":
            yield outcome("linear probe, SGD", sgd_probe, choice.sgd)
        elif protocol == "svm":
            yield outcome("linear SVM", linear_svm, choice.svm)
        elif protocol == "vote":
            yield made(VOTED, [_voted(label, compared, choice, fold, seeds[0]) for fold in label.folds])
        elif protocol == "fractions":
            for name, seed, drawn in _drawn(parts, choice.fractions):
                yield replace(outcome(name, linear_probe, choice.linear, given=drawn, seed=seed), heads=())
        elif protocol == "layers":
            for tap, given in _of_layers(label, compared).items():
                yield outcome(f"linear probe of {tap}", linear_probe, choice.linear, given=given)
        elif protocol == "attentive":
            if protocol in compared.features:
                given = label.parts(_tokens(compared))
                yield outcome("attentive probe", attentive_probe, choice.attentive, given=given)
        else:
            how = _retrievals(choice)[protocol]
            given = label.parts(compared.features.get(protocol, compared.features[MEAN]))
            yield outcome(how.protocol, retrieval, how, given=given)


def _voted(label: Labels, compared: Compared, choice: Protocols, fold: Fold, seed: int) -> Answers:
    """The answers for the test items of a fold, by the votes of their windows."""
    of_window = [compared.features[f"window {n}"] for n in range(choice.windows)]
    train, _ = together([label.part(f, fold.train) for f in of_window])
    test, item = together([label.part(f, fold.test) for f in of_window])
    return linear_svm(train, test, choice=choice.svm, seed=seed, item=item)


def can_be_drawn(label: Labels, choice: Fractions) -> None:
    """Raise Unscorable, before anything is decoded, if a share of the labels cannot be drawn."""
    for fold in label.folds:
        labels, groups = label.numbers[list(fold.train)], tuple(label.groups[p] for p in fold.train)
        train = Labelled(values=np.zeros((len(labels), 1)), labels=labels, groups=groups)
        for _ in _drawn([(train, train)], choice):
            pass


def _drawn(parts: Parts, choice: Fractions) -> Iterator[tuple[str, int, Parts]]:
    """(name, seed, parts) of each draw of each share of the training part."""
    for share in choice.shares:
        for seed in range(1 if share == 1 else choice.draws):
            drawn = [(a.where(fraction(a, share=share, seed=seed)), b) for a, b in parts]
            yield f"linear probe, {100 * share:g} % of labels", seed, drawn


def _of_layers(label: Labels, compared: Compared) -> dict[str, Parts]:
    """(train, test) of every fold, for each layer; none of what has no layers."""
    function = compared.functions.get("layers")
    if not isinstance(function, Layers):
        return {}
    features = compared.features["layers"]
    return {
        tap: label.parts(replace(features, values=values)) for tap, values in function.parted(features.values).items()
    }


def _tokens(compared: Compared) -> Features:
    function, features = compared.functions["attentive"], compared.features["attentive"]
    if not isinstance(function, Tokens):
        raise TypeError(f"{type(function).__name__} gives no tokens")
    return replace(features, values=function.parted(features.values))


def _of_many_labels(
    label: Labels, compared: Compared, choice: Protocols, seeds: Sequence[int]
) -> Iterator[RankedOutcome]:
    parts = label.parts(compared.features[MEAN])
    asked: list[tuple[str, Callable[..., Ranked], Any]] = []
    if "linear" in choice.protocols:
        asked.append(("linear probe, BCE", many_label_probe, choice.many))
    if "svm" in choice.protocols:
        asked.append(("linear SVM", many_label_svm, choice.svm))
    if not asked:
        raise Unscorable(f"labels {label.name!r}, several an item, are scored by linear and svm: choose one")
    for protocol, ask, how in asked:
        yield RankedOutcome(
            protocol=protocol,
            label=label.name,
            ranked=tuple(ask(train, test, choice=how, seed=seeds[0]) for train, test in parts),
            groups=tuple(test.groups for _, test in parts),
            n_train=round(float(np.mean([len(train) for train, _ in parts]))),
            seed=seeds[0],
        )
