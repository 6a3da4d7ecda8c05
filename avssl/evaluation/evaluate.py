"""The whole evaluation of an encoder: every protocol for every label, beside random init and the naive baselines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avssl.core import MediaError
from avssl.data import Clips, Damaged, Item, Reading, View
from avssl.encoders import Encoder, reinitialised
from avssl.evaluation.answers import Answers, Labelled, confusion, pooled, to_scores
from avssl.evaluation.baselines import naive
from avssl.evaluation.extraction import ALONE, FeatureCache, extract_all
from avssl.evaluation.features import FeatureFunction, Features, Modality
from avssl.evaluation.knn import NearestNeighbours, nearest_neighbours
from avssl.evaluation.linear import LinearProbe, linear_probe
from avssl.evaluation.neighbours import Neighbours, picture_neighbours
from avssl.evaluation.retrieval import Retrieval, retrieval
from avssl.evaluation.scores import ON_SOUND, Score, write_scores
from avssl.evaluation.splits import Fold, Split, folds, guard, labels_of
from avssl.training import Ranks

__all__ = ["Evaluation", "Findings", "evaluate"]

PRETRAINED, RANDOM = "pretrained", "random init"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What to measure, on which parts, against which floors."""

    label: tuple[str, ...] = ("label",)
    """Columns that serve as labels, each probed by itself."""
    clips: int = 4
    """Clips of each item, evenly spread; their features are averaged."""
    crops: int = 1
    """Crops of each clip: 1, the centre, or 3 along the longer side; their features are averaged, too."""
    split: Split = field(default_factory=Split)
    """Which items train and which test."""
    linear: LinearProbe = field(default_factory=LinearProbe)
    """The linear probe."""
    neighbours: NearestNeighbours = field(default_factory=NearestNeighbours)
    """The weighted vote of nearest neighbours."""
    retrieval: Retrieval = field(default_factory=Retrieval)
    """R@k."""
    probe_seeds: tuple[int, ...] = (0,)
    """One random init, and one choice of C in the linear probe, for each."""
    baselines: bool = True
    """Whether to score random init and the naive features beside the encoder."""
    damaged: Damaged = "skip"
    """Whether a file that turns out damaged is named, counted and left out of all that is compared, or ends it."""
    batch_size: int = 32
    """Items that go through the encoder at once."""
    workers: int = 2
    """Threads or processes that decode."""
    reading: Reading = "auto"
    """Whether threads or processes decode; auto: processes from 4 workers on, if there are as many cores."""

    cache: FeatureCache = field(default_factory=FeatureCache)
    """Where features are kept, so that a second evaluation decodes nothing."""

    def __post_init__(self) -> None:
        if self.crops not in {1, 3}:
            raise ValueError(f"crops {self.crops}: must be 1, the centre, or 3 along the longer side")
        if self.clips < 1 or not self.label or not self.probe_seeds:
            raise ValueError("an evaluation needs clips ≥ 1, at least one label and at least one probe seed")


DEFAULT = Evaluation()


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The scores; of the pretrained encoder the confusion of its linear probe for the first label, its neighbours;
    and the items that could not be cut or turned out damaged, with the reasons."""

    scores: tuple[Score, ...]
    classes: tuple[str, ...]
    confusion: np.ndarray
    neighbours: Neighbours | None = None
    left_out: tuple[MediaError, ...] = ()

    def write(self, folder: Path, *, command: str = "", data: str = "", hardware: str = "") -> None:
        """Write `scores.json`, `confusion.json` and the neighbours into a run folder."""
        folder.mkdir(parents=True, exist_ok=True)
        write_scores(self.scores, folder / "scores.json", command=command, data=data, hardware=hardware)
        matrix = {"labels": list(self.classes), "matrix": self.confusion.tolist()}
        (folder / "confusion.json").write_text(json.dumps(matrix) + "\n", encoding="utf-8")
        if self.neighbours is not None:
            self.neighbours.write(folder)


@dataclass(frozen=True, kw_only=True)
class _Labels:
    """One label of the items that have it, parted and guarded."""

    name: str
    items: tuple[Item, ...]
    numbers: np.ndarray
    classes: tuple[str, ...]
    folds: tuple[Fold, ...]

    def part(self, features: Features, positions: Sequence[int]) -> Labelled:
        chosen = [self.items[p] for p in positions]
        groups = tuple(i.group for i in chosen) if any(i.group for i in chosen) else ()
        return Labelled(
            values=features.rows([i.index for i in chosen]), labels=self.numbers[list(positions)], groups=groups
        )


def evaluate(
    encoders: Mapping[str, Encoder],
    items: Sequence[Item],
    *,
    view: View,
    choice: Evaluation = DEFAULT,
    device: torch.device | str = "cpu",
    progress: bool = True,
    ranks: Ranks = ALONE,
) -> Findings:
    """Linear probe, kNN and retrieval of each encoder, of random inits of the same networks, and of naive features.

    `encoders` are named as in a run, "video" and "sound"; another name goes into that of the scores' encoder. The
    protocols of sound end in "on sound". The encoders are moved to `device`.
    With ranks, each extracts its share of the features, and the first alone finds something.

    Raises:
        Unscorable: a label or a split is missing, or the parts leak (see `guard`); nothing is decoded before.
        MediaError: a file is damaged and `choice.damaged` is "stop", or none can be cut as `view` says.
    """
    if not encoders:
        raise ValueError("no encoder to evaluate: give a video encoder, a sound encoder or both")
    scores: list[Score] = []
    first: tuple[tuple[str, ...], np.ndarray] | None = None
    pictures: Neighbours | None = None
    left_out: list[MediaError] = []
    view = View(**{f.name: getattr(view, f.name) for f in fields(View)})  # a recipe's Config is a View with more
    for key, encoder in encoders.items():
        modality = encoder.modality
        sampler, transform = view.evaluation(choice.clips, modality=modality, crops=choice.crops)
        clips = Clips.of(items, sampler, transform, workers=choice.workers, damaged=choice.damaged)
        clips = replace(clips, reading=choice.reading)
        labels = [_prepare(clips.items, name, choice.split) for name in choice.label]
        found = _features(encoder.to(device), clips, modality, view, choice, device, progress, ranks)
        if not ranks.first:
            continue
        skipped = found[PRETRAINED, 0].skipped
        if skipped:
            there = set(found[PRETRAINED, 0].index.tolist())
            read = [i for i in clips.items if i.index in there]
            labels = [_prepare(read, name, choice.split) for name in choice.label]
        left_out += [*clips.unfit, *skipped]
        mark = "" if key == modality else f" {key}"
        counts = {"too short": len(clips.unfit), "damaged": len(skipped)}
        about = {"modality": modality, "clips": choice.clips, "crops": choice.crops, "view": asdict(view), **counts}
        for label in labels:
            for (name, seed), features in found.items():
                for outcome in _protocols(label, features, choice, (seed,) if name == RANDOM else choice.probe_seeds):
                    scores += outcome.scores(name + mark if name in {PRETRAINED, RANDOM} else name, modality, about)
                    if name == PRETRAINED and outcome.protocol == "linear probe" and first is None:
                        size = len(label.classes)
                        first = label.classes, confusion(outcome.truth, outcome.answers.predictions, classes=size)
        if modality == "video" and pictures is None:
            pictures = _pictures(clips, labels[0], found[PRETRAINED, 0], choice)
    if not ranks.first:
        return Findings(scores=(), classes=(), confusion=np.zeros((0, 0), np.int64))
    if first is None:
        raise ValueError("nothing was evaluated")
    return Findings(
        scores=tuple(scores), classes=first[0], confusion=first[1], neighbours=pictures, left_out=tuple(left_out)
    )


def _prepare(items: Sequence[Item], name: str, split: Split) -> _Labels:
    numbers, classes = labels_of(items, name)
    kept = np.flatnonzero(numbers >= 0)
    labelled = tuple(items[int(p)] for p in kept)
    parts = tuple(folds(labelled, split=split))
    for fold in parts:
        guard(labelled, fold, labels=numbers[kept], classes=classes, share=split.share_groups)
    return _Labels(name=name, items=labelled, numbers=numbers[kept], classes=classes, folds=parts)


def _features(
    encoder: Encoder,
    clips: Clips,
    modality: Modality,
    view: View,
    choice: Evaluation,
    device: torch.device | str,
    progress: bool,
    ranks: Ranks,
) -> dict[tuple[str, int], Features]:
    """Features by (name, seed) of all that is compared, in one pass over the files."""
    compared: dict[tuple[str, int], FeatureFunction] = {(PRETRAINED, 0): encoder}
    if choice.baselines:
        for seed in choice.probe_seeds:
            compared[RANDOM, seed] = reinitialised(encoder, seed).to(device)
        compared |= {(name, 0): f for name, f in naive(modality, sample_rate=view.sample_rate).items()}
    keys = {f"{name}/{seed}": (name, seed) for name, seed in compared}
    found = extract_all(
        {key: compared[k] for key, k in keys.items()},
        clips,
        modality=modality,
        device=device,
        batch_size=choice.batch_size,
        progress=progress,
        cache=choice.cache,
        ranks=ranks,
    )
    return {k: found[key] for key, k in keys.items()}


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """The answers of one protocol on all folds, before an encoder's name is put to them."""

    protocol: str
    label: str
    answers: Answers
    truth: np.ndarray
    groups: tuple[str, ...]
    n_train: int
    seed: int

    def scores(self, encoder: str, modality: Modality, settings: Mapping[str, Any]) -> list[Score]:
        return to_scores(
            self.answers,
            encoder=encoder,
            protocol=self.protocol + (ON_SOUND if modality == "sound" else ""),
            label=self.label,
            n_train=self.n_train,
            truth=self.truth,
            groups=self.groups,
            seed=self.seed,
            settings=settings,
        )


def _protocols(label: _Labels, features: Features, choice: Evaluation, seeds: Sequence[int]) -> Iterator[_Outcome]:
    """Every protocol on every fold; those that draw nothing run with the first seed only."""
    parts = [(label.part(features, f.train), label.part(features, f.test)) for f in label.folds]
    names = [f.name for f in label.folds]
    truth = np.concatenate([test.labels for _, test in parts])
    groups = tuple(g for _, test in parts for g in test.groups)
    n_train = round(float(np.mean([len(train) for train, _ in parts])))

    def outcome(protocol: str, seed: int, answers: Sequence[Answers]) -> _Outcome:
        return _Outcome(
            protocol=protocol,
            label=label.name,
            answers=pooled(answers, names),
            truth=truth,
            groups=groups,
            n_train=n_train,
            seed=seed,
        )

    for seed in seeds:
        found = [linear_probe(train, test, choice=choice.linear, seed=seed) for train, test in parts]
        yield outcome("linear probe", seed, found)
    found = [nearest_neighbours(train, test, choice=choice.neighbours) for train, test in parts]
    yield outcome("kNN", seeds[0], found)
    found = [retrieval(train, test, choice=choice.retrieval) for train, test in parts]
    yield outcome("retrieval", seeds[0], found)


def _pictures(clips: Clips, label: _Labels, features: Features, choice: Evaluation) -> Neighbours:
    """Strips of some test items of the first fold beside their nearest training items."""
    fold = label.folds[0]
    train, test = label.part(features, fold.train), label.part(features, fold.test)
    return picture_neighbours(
        clips,
        train=[label.items[p] for p in fold.train],
        test=[label.items[p] for p in fold.test],
        parts=(train, test),
        classes=label.classes,
        centre=choice.retrieval.centre,
        kept=choice.cache.strips,
    )
