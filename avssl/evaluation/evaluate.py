"""The whole evaluation of an encoder: every protocol for every label, beside random init and the naive baselines."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from avssl.core import MediaError
from avssl.data import Clips, Damaged, Item, Reading, View
from avssl.encoders import Encoder, fingerprint, reinitialised
from avssl.evaluation.answers import class_accuracy, confusion
from avssl.evaluation.baselines import naive
from avssl.evaluation.extraction import ALONE, FeatureCache, extract_all
from avssl.evaluation.features import FeatureFunction, Features, Modality
from avssl.evaluation.head import Head, save_head
from avssl.evaluation.neighbours import Neighbours, picture_neighbours
from avssl.evaluation.outcome import Labels, Outcome, RankedOutcome, labels_in
from avssl.evaluation.protocols import MEAN, Compared, Protocols, answers_of, can_be_drawn, clips_of, kinds_of
from avssl.evaluation.scores import Score, write_scores
from avssl.evaluation.splits import Split
from avssl.evaluation.windows import Window
from avssl.training import Ranks

__all__ = ["Evaluation", "Findings", "evaluate"]

PRETRAINED, RANDOM = "pretrained", "random init"


@dataclass(frozen=True, kw_only=True)
class Evaluation(Protocols):
    """What to measure, on which parts, against which floors."""

    label: tuple[str, ...] = ("label",)
    """Columns that serve as labels, each probed by itself."""
    many_labels: tuple[str, ...] = ()
    """Columns that hold several labels with ';' between them, such as `labels`; an item may have none."""
    clips: int = 4
    """Clips of each item, evenly spread; their features are averaged."""
    crops: int = 1
    """Crops of each clip: 1, the centre, or 3 along the longer side; their features are averaged, too."""
    split: Split = field(default_factory=Split)
    """Which items train and which test."""
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
        if self.clips < 1 or not (self.label or self.many_labels) or not self.probe_seeds or not self.protocols:
            raise ValueError("an evaluation needs clips ≥ 1, a label, a probe seed and a protocol at least")


DEFAULT = Evaluation()

_Made: TypeAlias = tuple[tuple[str, int], str]
"""Which features: of what is compared, by (name, seed), and the kind."""


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The scores; of the pretrained encoder the confusion of its linear probe for the first label, its neighbours, and
    the heads of its probes by name; and the items that could not be cut or turned out damaged, with the reasons."""

    scores: tuple[Score, ...]
    classes: tuple[str, ...]
    confusion: np.ndarray
    neighbours: Neighbours | None = None
    heads: Mapping[str, Head] = field(default_factory=dict)
    left_out: tuple[MediaError, ...] = ()

    def write(self, folder: Path, *, command: str = "", data: str = "", hardware: str = "") -> None:
        """Write `scores.json`, `confusion.json`, the neighbours and `heads/*.safetensors` into a run folder."""
        folder.mkdir(parents=True, exist_ok=True)
        write_scores(self.scores, folder / "scores.json", command=command, data=data, hardware=hardware)
        if self.classes:
            shares = [None if np.isnan(a) else float(a) for a in class_accuracy(self.confusion)]
            matrix = {"labels": list(self.classes), "matrix": self.confusion.tolist(), "class accuracy": shares}
            (folder / "confusion.json").write_text(json.dumps(matrix) + "\n", encoding="utf-8")
        if self.neighbours is not None:
            self.neighbours.write(folder)
        for name, head in self.heads.items():
            save_head(head, folder / "heads" / f"{name}.safetensors")


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
    """The chosen protocols on each encoder, on random inits of the same networks, and on naive features.

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
    heads: dict[str, Head] = {}
    view = View(**{f.name: getattr(view, f.name) for f in fields(View)})  # a recipe's Config is a View with more
    for key, encoder in encoders.items():
        modality = encoder.modality
        clips = _cut(items, choice.clips, modality, view, choice)
        labels = _labels(clips.items, choice)
        found, skipped = _features(encoder.to(device), clips, modality, view, choice, device, progress, ranks)
        if not ranks.first:
            continue
        there = set(found[PRETRAINED, 0].features[MEAN].index.tolist())
        if skipped:
            labels = _labels([i for i in clips.items if i.index in there], choice)
        left_out += [*clips.unfit, *skipped]
        made_by = fingerprint(encoder)
        mark = "" if key == modality else f" {key}"
        counts = {"too short": len(clips.unfit), "damaged": len(skipped)}
        about = {"modality": modality, "clips": choice.clips, "crops": choice.crops, "view": asdict(view), **counts}
        about |= {"split": choice.split.to_json()}
        for label in labels:
            for (name, seed), compared in found.items():
                for outcome in answers_of(label, compared, choice, (seed,) if name == RANDOM else choice.probe_seeds):
                    own = {"clips": clips_of(outcome.protocol, choice) or choice.clips}
                    scores += outcome.scores(
                        name + mark if name in {PRETRAINED, RANDOM} else name, modality, about | own
                    )
                    if name != PRETRAINED or outcome.seed != choice.probe_seeds[0]:
                        continue
                    heads |= _heads(outcome, label, made_by, about | own, key)
                    if isinstance(outcome, Outcome) and outcome.protocol == "linear probe" and first is None:
                        size = len(label.classes)
                        first = label.classes, confusion(outcome.truth, outcome.answers.predictions, classes=size)
        if modality == "video" and pictures is None and choice.label:
            pictures = _pictures(clips, labels[0], found[PRETRAINED, 0].features[MEAN], choice)
    if not ranks.first:
        return Findings(scores=(), classes=(), confusion=np.zeros((0, 0), dtype=np.int64))
    if not scores:
        raise ValueError("nothing was evaluated")
    classes, matrix = first or ((), np.zeros((0, 0), dtype=np.int64))
    return Findings(
        scores=tuple(scores),
        classes=classes,
        confusion=matrix,
        neighbours=pictures,
        heads=heads,
        left_out=tuple(left_out),
    )


def _labels(items: Sequence[Item], choice: Evaluation) -> list[Labels]:
    single = [labels_in(items, name, choice.split) for name in choice.label]
    if "fractions" in choice.protocols:
        for label in single:
            can_be_drawn(label, choice.fractions)
    return single + [labels_in(items, name, choice.split, several=True) for name in choice.many_labels]


def _blank(view: View, modality: Modality) -> torch.Tensor:
    """A batch of one clip of a view in which there is nothing."""
    if modality == "sound":
        return torch.zeros(1, 1, round((view.sound or 1.0) * view.sample_rate))
    return torch.zeros(1, view.frames, 3, view.size, view.size)


def _cut(
    items: Sequence[Item],
    count: int,
    modality: Modality,
    view: View,
    choice: Evaluation,
    *,
    window: int | None = None,
) -> Clips:
    """The items cut into so many clips, or into one of them."""
    sampler, transform = view.evaluation(count, modality=modality, crops=choice.crops)
    if window is not None:
        sampler = Window(sampler=sampler, index=window)
    clips = Clips.of(items, sampler, transform, workers=choice.workers, damaged=choice.damaged)
    return replace(clips, reading=choice.reading)


def _features(
    encoder: Encoder,
    clips: Clips,
    modality: Modality,
    view: View,
    choice: Evaluation,
    device: torch.device | str,
    progress: bool,
    ranks: Ranks,
) -> tuple[dict[tuple[str, int], Compared], tuple[MediaError, ...]]:
    """What is compared, by (name, seed), in one pass over the files for each number of clips; and what was damaged."""
    kinds, blank = kinds_of(choice), _blank(view, modality).to(device)
    functions: dict[tuple[str, int], dict[str, FeatureFunction]] = {
        (PRETRAINED, 0): {kind: how.make(encoder, blank) for kind, how in kinds.items()}
    }
    if choice.baselines:
        for seed in choice.probe_seeds:
            fresh = reinitialised(encoder, seed).to(device)
            functions[RANDOM, seed] = {kind: how.make(fresh, blank) for kind, how in kinds.items()}
        for name, function in naive(modality, sample_rate=view.sample_rate).items():
            functions[name, 0] = {kind: function for kind, how in kinds.items() if how.naive}
    found: dict[tuple[str, int], dict[str, Features]] = {key: {} for key in functions}
    skipped: dict[str, MediaError] = {}
    for count, window in dict.fromkeys((how.clips or choice.clips, how.window) for how in kinds.values()):
        jobs = {
            f"{name}/{seed}/{kind}": ((name, seed), kind, function)
            for (name, seed), of_kind in functions.items()
            for kind, function in of_kind.items()
            if (kinds[kind].clips or choice.clips, kinds[kind].window) == (count, window)
        }
        same = (count, window) == (choice.clips, None)
        values = extract_all(
            {job: function for job, (_, _, function) in jobs.items()},
            clips if same else _cut(clips.items, count, modality, view, choice, window=window),
            modality=modality,
            device=device,
            batch_size=choice.batch_size,
            progress=progress,
            cache=choice.cache,
            ranks=ranks,
        )
        for job, features in values.items():
            key, kind, _ = jobs[job]
            found[key][kind] = features
            skipped |= {str(e.path): e for e in features.skipped}
    # of all that is compared, not of each: what comes from the cache may lack items that could be read this time
    common = _common({(key, kind): f for key, of_kind in found.items() for kind, f in of_kind.items()})
    compared = {
        key: Compared(features={kind: common[key, kind] for kind in of_kind}, functions=functions[key])
        for key, of_kind in found.items()
    }
    return compared, tuple(skipped.values())


def _common(features: Mapping[_Made, Features]) -> dict[_Made, Features]:
    """The features of the items that every pass could read."""
    indices = [set(f.index.tolist()) for f in features.values()]
    common = set.intersection(*indices)
    if all(i == common for i in indices):
        return dict(features)
    kept = {k: np.array([i in common for i in f.index.tolist()]) for k, f in features.items()}
    return {k: replace(f, values=f.values[kept[k]], index=f.index[kept[k]]) for k, f in features.items()}


def _heads(
    outcome: Outcome | RankedOutcome, label: Labels, encoder: str, about: Mapping[str, Any], key: str
) -> dict[str, Head]:
    """What an outcome fitted, by the name of its file, with cards that say what it answers and takes."""
    found = {}
    for fold, head in zip(label.folds, outcome.heads, strict=bool(outcome.heads)):
        name = f"{key} {outcome.protocol} {label.name}" + (f" {fold.name}" if len(label.folds) > 1 else "")
        card = head.card.named(
            label.classes,
            protocol=outcome.protocol,
            encoder=encoder,
            about={**about, "label": label.name, "fold": fold.name},
        )
        found[re.sub(r"[^\w.-]+", "-", name)] = head.with_card(card)
    return found


def _pictures(clips: Clips, label: Labels, features: Features, choice: Evaluation) -> Neighbours:
    """Strips of some test items of the first fold beside their nearest training items."""
    fold = label.folds[0]
    train, test = label.part(features, fold.train), label.part(features, fold.test)
    return picture_neighbours(
        clips,
        train=[label.items[p] for p in fold.train],
        test=[label.items[p] for p in fold.test],
        parts=(train, test),
        classes=label.classes,
        centre=choice.retrieval.centre != "none",
        kept=choice.cache.strips,
    )
