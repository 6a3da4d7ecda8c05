"""One training by a protocol: one network, one fold, one seed, from its beginning to its answers."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avssl.core import MediaError
from avssl.data import Clips, Data, View
from avssl.encoders import Encoder, load_weights, reinitialised, save_encoder, save_weights
from avssl.evaluation.answers import Answers, Labelled, answered, class_accuracy, confusion
from avssl.evaluation.evaluate import PRETRAINED
from avssl.evaluation.finetune.choice import FineTune, Parts, groups_of
from avssl.evaluation.finetune.protocol import ClipProtocol
from avssl.evaluation.finetune.recogniser import Recogniser, RecogniserCard, save_recogniser
from avssl.evaluation.finetune.task import Recognise
from avssl.evaluation.finetune.testing import Recognised, recognise, test_clips, training_clips, write_predictions
from avssl.evaluation.finetune.training import Selection, held_out, train_choice
from avssl.evaluation.fractions import fraction
from avssl.evaluation.splits import Fold, guard
from avssl.training import Run, Train, device_type, fit, start
from avssl.training.ranks import join

__all__ = ["Outcome", "Training", "answers_of"]

TOPS = (1, 5)


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
class Outcome:
    """What one training answered for its test items, by each of its classifiers."""

    answers: Mapping[str, Answers]
    chosen: str
    truth: np.ndarray
    groups: tuple[str, ...]
    n_train: int
    left_out: tuple[MediaError, ...]


class Training:
    """One network, one fold, one share of the labels, one seed: from its beginning to its answers."""

    def __init__(
        self,
        encoder: Encoder,
        parts: Parts,
        fold: Fold,
        choice: FineTune,
        *,
        share: float,
        seed: int,
        begins: str,
        folder: Path,
        data: Data | None,
    ) -> None:
        self.parts, self.fold, self.choice, self.seed, self.begins, self.data = parts, fold, choice, seed, begins, data
        self.encoder, self.share = encoder, share
        folder = folder if share == 1 else folder / f"{100 * share:g}-percent"
        name = begins.replace(" ", "-") + (f"-{seed}" if len(choice.seeds) > 1 else "")
        self.folder = folder / name / f"fold-{parts.folds.index(fold) + 1}" if len(parts.folds) > 1 else folder / name
        self.train, self.held = self._drawn()

    def _drawn(self) -> tuple[list[int], list[int]]:
        """The positions that are trained on, and those that are held out of the training part, if any are."""
        whole = self.parts.labelled(self.fold.train)
        train = np.array(self.fold.train)[fraction(whole, share=self.share, seed=self.seed)]
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

    def outcome(self) -> Outcome:
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
            answers[name] = answers_of(found.probabilities[:, r], seen, asked, parts.classes, more)
        if run.ranks.first:
            self._write(recogniser, found, rows, chosen, used)
        run.ranks.wait()
        left_out = (*tested.unfit, *found.skipped)
        groups = groups_of([parts.items[p] for p in rows])
        return Outcome(
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
        pretrained = self.begins == PRETRAINED
        encoder = copy.deepcopy(self.encoder) if pretrained else reinitialised(self.encoder, self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            recogniser = Recogniser(encoder, classes=len(parts.classes), protocol=protocol)
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
                recogniser,
                self._clips(self.held, one),
                numbers,
                protocol=one,
                folder=run.folder,
                device=run.device,
                keep=protocol.choose_epoch,
            )
        fit(run, task, clips, probes=[selection] if selection else [])
        if selection and protocol.choose_epoch:
            load_weights(recogniser, selection.best)
            if run.ranks.first:
                save_encoder(recogniser.encoder, run.folder / "encoder.safetensors")
        _shared(recogniser, run)
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
            world=join(device_type(choice.train.device)).world,
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
                share=self.share,
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

    def _write(
        self, recogniser: Recogniser, found: Recognised, rows: Sequence[int], chosen: str, used: Sequence[int]
    ) -> None:
        parts, choice = self.parts, self.choice
        counts = np.bincount(parts.numbers[list(used)], minlength=len(parts.classes))
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


def _shared(recogniser: Recogniser, run: Run) -> None:
    """Give all ranks the weights of the first: the statistics of their norms are those of their own examples."""
    if run.ranks.world == 1:
        return
    path = run.folder / "shared.safetensors"
    if run.ranks.first:
        save_weights(recogniser, path)
    run.ranks.wait()
    load_weights(recogniser, path)
    run.ranks.wait()
    if run.ranks.first:
        path.unlink()


def answers_of(
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
