"""Action recognition: a network trained on labelled clips as a paper does it, beside the same network from scratch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avssl.core import MediaError
from avssl.data import Clips, Damaged, Data, Item, Reading, View
from avssl.encoders import Encoder, load_weights, reinitialised, save_encoder
from avssl.evaluation.answers import Answers, Labelled, answered, class_accuracy, confusion, pooled, to_scores
from avssl.evaluation.evaluate import PRETRAINED, RANDOM, Findings
from avssl.evaluation.finetune_presets import VCOP, ClipProtocol
from avssl.evaluation.finetune_task import Recognise
from avssl.evaluation.finetune_test import Recognised, recognise, test_clips, training_clips, write_predictions
from avssl.evaluation.finetune_train import Selection, held_out, train_choice
from avssl.evaluation.fractions import fraction
from avssl.evaluation.recogniser import Recogniser, RecogniserCard, check_fits, load_recogniser, save_recogniser
from avssl.evaluation.scores import Score
from avssl.evaluation.splits import Fold, Split, folds, guard, labels_of
from avssl.training import Run, Train, fit, start

__all__ = ["FineTune", "apply_recogniser", "fine_tune"]

TOPS = (1, 5)


@dataclass(frozen=True, kw_only=True)
class FineTune:
    """What to learn by which protocol, and on which part of the labels."""

    protocol: ClipProtocol = VCOP
    shortened: Mapping[str, str] = field(default_factory=dict)
    """What was changed of the protocol, in words; scores then say "shortened"."""
    label: str = "label"
    """The column to learn."""
    split: Split = field(default_factory=Split)
    """Which items train and which test; several folds are trained one by one and pooled."""
    share: float = 1.0
    """Share of the labels, drawn class by class in whole groups."""
    seeds: tuple[int, ...] = (0,)
    """One training for each, which draws the labels, the classifier, the clips and the random init by it."""
    random_init: bool = True
    """Whether the same network is trained equally from random init: what the labels alone teach."""
    damaged: Damaged = "skip"
    """Whether a file that turns out damaged is named, counted and left out, or ends it."""
    workers: int = 2
    """Threads or processes that decode."""
    reading: Reading = "auto"
    """Whether threads or processes decode."""
    train: Train = field(default_factory=Train)
    """Where and how to compute: device, precision, accumulate, compile, resume, checkpoints, loggers, clip_norm. The
    numbers of the protocol take the place of all others."""

    def __post_init__(self) -> None:
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {self.seeds}: give at least one, each once")

    @property
    def title(self) -> str:
        """The name of the protocol in the scores."""
        part = "" if self.share == 1 else f", {self.share:.3g} of the labels"
        return f"{self.protocol.title}{' (shortened)' if self.shortened else ''}{part}"


@dataclass(frozen=True, kw_only=True)
class _Config(View):
    """What `config.json` of one training tells."""

    protocol: ClipProtocol
    shortened: Mapping[str, str]
    label: str
    fold: str
    begins: str
    share: float
    data: Data | None
    train: Train


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """The items that have the label, their classes, and how they are parted."""

    items: tuple[Item, ...]
    numbers: np.ndarray
    classes: tuple[str, ...]
    folds: tuple[Fold, ...]

    def labelled(self, positions: Sequence[int], values: np.ndarray | None = None) -> Labelled:
        values = np.zeros((len(positions), 1)) if values is None else values
        groups = _groups([self.items[p] for p in positions])
        return Labelled(values=values, labels=self.numbers[list(positions)], groups=groups)


def fine_tune(
    encoder: Encoder, items: Sequence[Item], *, choice: FineTune, folder: Path, data: Data | None = None
) -> Findings:
    """Train and test an encoder by a protocol, for every fold and seed, and the same network from random init.

    `encoder` is left as it is. Below `folder` each training has a run folder with its checkpoints, its predictions for
    the test items and `recogniser.safetensors`. Nothing that is chosen looks at a test item.

    Raises:
        Unscorable: a label or a split is missing, the parts leak (see `guard`), or the share cannot be drawn; nothing
            is decoded before.
        MediaError: a file is damaged and `choice.damaged` is "stop", or none can be cut.
        ValueError: the encoder cannot take clips as the protocol cuts them; or a folder holds a run already.
    """
    check_fits(encoder, choice.protocol)
    parts = _parts(items, choice)
    scores: list[Score] = []
    matrix: np.ndarray | None = None
    left_out: dict[str, MediaError] = {}
    for seed in choice.seeds:
        for begins in (PRETRAINED, RANDOM) if choice.random_init else (PRETRAINED,):
            trained = [
                _Training(encoder, parts, fold, choice, seed=seed, begins=begins, folder=folder, data=data)
                for fold in parts.folds
            ]
            outcomes = [t.outcome() for t in trained]
            left_out |= {e.path: e for o in outcomes for e in o.left_out}
            scores += _scores(outcomes, parts, choice, begins=begins, seed=seed)
            if matrix is None:
                truth = np.concatenate([o.truth for o in outcomes])
                answers = np.concatenate([o.answers[o.chosen].predictions for o in outcomes])
                matrix = confusion(truth, answers, classes=len(parts.classes))
    assert matrix is not None
    return Findings(scores=tuple(scores), classes=parts.classes, confusion=matrix, left_out=tuple(left_out.values()))


def apply_recogniser(
    path: Path,
    items: Sequence[Item],
    *,
    folder: Path,
    split: Split | None = None,
    damaged: Damaged = "skip",
    workers: int = 2,
    device: torch.device | str = "cpu",
) -> Findings:
    """Test a recogniser that was trained before on the test items of a split, without any training.

    Raises:
        MediaError: there is no recogniser in the file.
        Unscorable: there is no such label or split.
        ValueError: the items have classes that the recogniser does not know.
    """
    recogniser, card = load_recogniser(path)
    split = split or Split()
    numbers, names = labels_of(items, card.label)
    chosen = [i for i, n in zip(items, numbers, strict=True) if n >= 0 and i.split == split.test]
    if unknown := sorted({names[numbers[p]] for p, i in enumerate(items) if i in chosen} - set(card.classes)):
        raise ValueError(f"{path} does not know the classes {', '.join(unknown)}; it knows {', '.join(card.classes)}")
    clips = test_clips(card.protocol, chosen, workers=workers, reading="auto", damaged=damaged)
    found = recognise(recogniser.to(device), clips, protocol=card.protocol, device=device)
    place = {n: k for k, n in enumerate(card.classes)}
    class_of = {i.index: place[names[n]] for i, n in zip(items, numbers, strict=True) if n >= 0 and names[n] in place}
    by_index = {i.index: i for i in chosen}
    tested = [by_index[int(i)] for i in found.index]
    truth = np.array([class_of[i.index] for i in tested])
    probabilities = found.probabilities[:, recogniser.readouts.index(card.readout)]
    seen = Labelled(values=np.zeros((sum(card.counts), 1)), labels=np.repeat(np.arange(len(card.counts)), card.counts))
    asked = Labelled(values=probabilities, labels=truth, groups=_groups(tested))
    outcome = _answers(probabilities, seen, asked, card.classes)
    folder.mkdir(parents=True, exist_ok=True)
    named = [card.classes[k] for k in truth]
    write_predictions(folder / "predictions.csv", tested, probabilities, classes=card.classes, truth=named)
    scores = to_scores(
        outcome,
        encoder=PRETRAINED,
        protocol=f"{card.protocol.title}{' (shortened)' if card.shortened else ''}, applied",
        label=card.label,
        n_train=sum(card.counts),
        truth=truth,
        groups=asked.groups,
        settings={"shortened": dict(card.shortened), "recogniser": str(path)},
    )
    matrix = confusion(truth, outcome.predictions, classes=len(card.classes))
    left_out = (*clips.unfit, *found.skipped)
    return Findings(scores=tuple(scores), classes=card.classes, confusion=matrix, left_out=left_out)


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What one training answered for its test items, by each of its classifiers."""

    answers: Mapping[str, Answers]
    chosen: str
    truth: np.ndarray
    groups: tuple[str, ...]
    n_train: int
    left_out: tuple[MediaError, ...]


class _Training:
    """One network, one fold, one seed: from its beginning to its answers."""

    def __init__(
        self,
        encoder: Encoder,
        parts: _Parts,
        fold: Fold,
        choice: FineTune,
        *,
        seed: int,
        begins: str,
        folder: Path,
        data: Data | None,
    ) -> None:
        self.parts, self.fold, self.choice, self.seed, self.begins, self.data = parts, fold, choice, seed, begins, data
        self.encoder = encoder if begins == PRETRAINED else reinitialised(encoder, seed)
        name = begins.replace(" ", "-") + (f"-{seed}" if len(choice.seeds) > 1 else "")
        self.folder = folder / name / f"fold-{parts.folds.index(fold) + 1}" if len(parts.folds) > 1 else folder / name
        self.train, self.held = self._drawn()

    def _drawn(self) -> tuple[list[int], list[int]]:
        """The positions that are trained on, and those that are held out of the training part, if any are."""
        whole = self.parts.labelled(self.fold.train)
        train = np.array(self.fold.train)[fraction(whole, share=self.choice.share, seed=self.seed)]
        away = held_out(self.parts.labelled(train.tolist()), share=self.choice.protocol.held_out, seed=self.seed)
        fits, held = train[~away], train[away]
        if len(held):
            inside = Fold(name=f"{self.fold.name}, held out", train=tuple(fits.tolist()), test=tuple(held.tolist()))
            self._guard(inside)
        return fits.tolist(), held.tolist()

    def _guard(self, fold: Fold) -> None:
        parts, split = self.parts, self.choice.split
        guard(
            parts.items, fold, labels=parts.numbers, classes=parts.classes, share=split.share_groups, apart=split.apart
        )

    def outcome(self) -> _Outcome:
        """Train, unless it was done before and goes on, and test."""
        protocol, parts = self.choice.protocol, self.parts
        recogniser, run, selection, used = self._trained()
        tested = self._clips(self.fold.test)
        found = recognise(recogniser, tested, protocol=protocol, device=run.device, ranks=run.ranks)
        chosen = selection.readout(recogniser) if selection else recogniser.readouts[-1]
        at = {item.index: p for p, item in enumerate(parts.items)}
        rows = [at[int(i)] for i in found.index]
        seen, asked = parts.labelled(used), parts.labelled(rows)
        answers = {}
        for r, name in enumerate(recogniser.readouts):
            more = {"trained on": len(used), "held out": len(self.held), "batch size": run.train.batch_size}
            more |= selection.found if selection else {}
            answers[name] = _answers(found.probabilities[:, r], seen, asked, parts.classes, more)
        if run.ranks.first:
            self._write(recogniser, found, rows, chosen)
        run.ranks.wait()
        left_out = (*tested.unfit, *found.skipped)
        groups = asked.groups
        return _Outcome(
            answers=answers, chosen=chosen, truth=asked.labels, groups=groups, n_train=len(used), left_out=left_out
        )

    def _trained(self) -> tuple[Recogniser, Run, Selection | None, list[int]]:
        """The trained network, the run, what chose its weights, and the positions that it was trained on."""
        protocol, choice, parts = self.choice.protocol, self.choice, self.parts
        items = [parts.items[p] for p in self.train]
        clips = training_clips(protocol, items, workers=choice.workers, reading=choice.reading, damaged=choice.damaged)
        at = {item.index: p for p, item in enumerate(parts.items)}
        used = [at[i.index] for i in clips.items]
        self._guard(replace(self.fold, train=tuple(used)))
        labels = {parts.items[p].index: int(parts.numbers[p]) for p in used}
        run = self._start(len(used))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            recogniser = Recogniser(copy.deepcopy(self.encoder), classes=len(parts.classes), protocol=protocol)
        if protocol.head_first and not protocol.linear:
            first = self._start(len(used), head_first=True)
            fit(first, Recognise(recogniser, labels, protocol=protocol, trunk="kept"), clips)
        trunk = "frozen" if protocol.linear else "trained"
        task = Recognise(recogniser, labels, protocol=protocol, trunk=trunk)  # type: ignore[arg-type]
        selection = None
        if self.held:
            numbers = {parts.items[p].index: int(parts.numbers[p]) for p in self.held}
            one = replace(protocol, test_clips=1, test_crops=1)
            selection = Selection(
                recogniser, self._clips(self.held, one), numbers, protocol=one, folder=run.folder, device=run.device
            )
        fit(run, task, clips, probes=[selection] if selection else [])
        if selection and protocol.choose_epoch:
            load_weights(recogniser, selection.best)
            if run.ranks.first:
                save_encoder(recogniser.encoder, run.folder / "encoder.safetensors")
        return recogniser, run, selection, used

    def _start(self, items: int, *, head_first: bool = False) -> Run:
        choice, protocol = self.choice, self.choice.protocol
        folder = self.folder / "head-first" if head_first else self.folder
        train = train_choice(
            protocol,
            replace(choice.train, seed=self.seed, out=folder),
            items=items,
            probes=bool(self.held) and not head_first,
            head_first=head_first,
        )
        view = protocol.view()
        return start(
            _Config(
                **{f: getattr(view, f) for f in asdict(view)},
                protocol=protocol,
                shortened=choice.shortened,
                label=choice.label,
                fold=self.fold.name,
                begins=self.begins,
                share=choice.share,
                data=self.data,
                train=train,
            )
        )

    def _clips(self, positions: Sequence[int], protocol: ClipProtocol | None = None) -> Clips:
        """The clips that these items are tested on."""
        choice, items = self.choice, [self.parts.items[p] for p in positions]
        return test_clips(
            protocol or choice.protocol,
            items,
            workers=choice.workers,
            reading=choice.reading,
            damaged=choice.damaged,
        )

    def _write(self, recogniser: Recogniser, found: Recognised, rows: Sequence[int], chosen: str) -> None:
        parts, choice = self.parts, self.choice
        counts = np.bincount(parts.numbers[self.train], minlength=len(parts.classes))
        card = RecogniserCard(
            classes=parts.classes,
            label=choice.label,
            counts=tuple(int(n) for n in counts),
            protocol=choice.protocol,
            shortened=choice.shortened,
            readout=chosen,
        )
        save_recogniser(recogniser, card, self.folder / "recogniser.safetensors")
        write_predictions(
            self.folder / "predictions.csv",
            [parts.items[p] for p in rows],
            found.probabilities[:, recogniser.readouts.index(chosen)],
            classes=parts.classes,
            truth=[parts.classes[parts.numbers[p]] for p in rows],
            parts={parts.items[p].index: self.fold.name for p in rows},
        )


def _parts(items: Sequence[Item], choice: FineTune) -> _Parts:
    numbers, classes = labels_of(items, choice.label)
    kept = np.flatnonzero(numbers >= 0)
    labelled, numbers, split = tuple(items[int(p)] for p in kept), numbers[kept], choice.split
    found = tuple(folds(labelled, split=split))
    for fold in found:
        guard(labelled, fold, labels=numbers, classes=classes, share=split.share_groups, apart=split.apart)
    return _Parts(items=labelled, numbers=numbers, classes=classes, folds=found)


def _groups(items: Sequence[Item]) -> tuple[str, ...]:
    """The group of each item, of those without one the file; none at all where every item is by itself."""
    names = tuple(i.group or str(i.path) for i in items)
    return names if len(set(names)) < len(names) else ()


def _answers(
    probabilities: np.ndarray,
    train: Labelled,
    test: Labelled,
    classes: Sequence[str],
    more: Mapping[str, Any] | None = None,
) -> Answers:
    """Top-1 and, of more than 5 classes, top-5; the share of each class that is right is in `found`."""
    tops = [k for k in TOPS if k < len(classes) or k == 1]
    correct, chance = answered(probabilities, train, test, tops=tops)
    predictions = np.argmax(probabilities, axis=1)
    right = class_accuracy(confusion(test.labels, predictions, classes=len(classes)))
    per_class = {c: float(a) for c, a in zip(classes, right, strict=True) if np.isfinite(a)}
    return Answers(
        predictions=predictions, correct=correct, chance=chance, found={**(more or {}), "per class": per_class}
    )


def _scores(outcomes: Sequence[_Outcome], parts: _Parts, choice: FineTune, *, begins: str, seed: int) -> list[Score]:
    """The scores of every classifier over all folds."""
    protocol, names = choice.protocol, [f.name for f in parts.folds]
    settings = {
        "protocol": asdict(protocol),
        "shortened": dict(choice.shortened),
        "share of labels": choice.share,
        "modality": "video",
    }
    scores = []
    for readout in outcomes[0].answers:
        answers = pooled([o.answers[readout] for o in outcomes], names)
        chosen = [o.chosen == readout for o in outcomes]
        if len(outcomes[0].answers) > 1:
            answers = replace(answers, found={**answers.found, "chosen on held-out items": chosen})
        scores += to_scores(
            answers,
            encoder=begins,
            protocol=choice.title + (f", {readout}" if len(outcomes[0].answers) > 1 else ""),
            label=choice.label,
            n_train=round(float(np.mean([o.n_train for o in outcomes]))),
            truth=np.concatenate([o.truth for o in outcomes]),
            groups=tuple(g for o in outcomes for g in o.groups) if all(o.groups for o in outcomes) else (),
            seed=seed,
            settings=settings,
        )
    return scores
