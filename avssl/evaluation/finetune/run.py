"""Action recognition: a network trained on labelled clips as a paper does it, beside the same network from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from avssl.core import MediaError
from avssl.data import Damaged, Data, Item
from avssl.encoders import Encoder
from avssl.evaluation.answers import Labelled, confusion, pooled, to_scores
from avssl.evaluation.evaluate import PRETRAINED, RANDOM, Findings
from avssl.evaluation.finetune.choice import FineTune, Parts, groups_of, parts_of
from avssl.evaluation.finetune.once import Outcome, Training, answers_of
from avssl.evaluation.finetune.recogniser import check_fits, load_recogniser
from avssl.evaluation.finetune.testing import recognise, test_clips, write_predictions
from avssl.evaluation.scores import Score
from avssl.evaluation.splits import Split, Unscorable, column

__all__ = ["apply_recogniser", "fine_tune"]


def fine_tune(
    encoder: Encoder, items: Sequence[Item], *, choice: FineTune, folder: Path, data: Data | None = None
) -> Findings:
    """Train and test an encoder by a protocol, for every share, seed and fold, and the same network from random init.

    `encoder` is left as it is. Below `folder` each training has a run folder with its checkpoints, its predictions for
    the test items and `recogniser.safetensors`. Nothing that is chosen looks at a test item. Where the items have a
    column `flip` that says no, nothing is mirrored, whatever the protocol does.

    Raises:
        Unscorable: a label or a split is missing, the parts leak (see `guard`), or the share cannot be drawn; nothing
            is decoded before.
        MediaError: a file is damaged and `choice.damaged` is "stop", or none can be cut.
        ValueError: the encoder cannot take clips as the protocol cuts them; or a folder holds a run already.
    """
    if any(i.columns.get("flip") == "no" for i in items):
        choice = replace(choice, protocol=replace(choice.protocol, flip=False))
    check_fits(encoder, choice.protocol)
    parts = parts_of(items, choice)
    planned = {
        (share, seed, begins): [
            Training(encoder, parts, fold, choice, share=share, seed=seed, begins=begins, folder=folder, data=data)
            for fold in parts.folds
        ]
        for share in sorted(choice.shares, reverse=True)
        for seed in choice.seeds
        for begins in ((PRETRAINED, RANDOM) if choice.random_init else (PRETRAINED,))
    }
    scores: list[Score] = []
    matrix: np.ndarray | None = None
    left_out: dict[str, MediaError] = {}
    for (share, seed, begins), trainings in planned.items():
        outcomes = [t.outcome() for t in trainings]
        left_out |= {e.path: e for o in outcomes for e in o.left_out}
        scores += _scores(outcomes, parts, choice, begins=begins, share=share, seed=seed)
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

    The predictions are written into `folder`.

    Raises:
        MediaError: there is no recogniser in the file.
        Unscorable: there is no such label, or no item of the split has one.
        ValueError: the items have classes that the recogniser does not know.
    """
    recogniser, card = load_recogniser(path)
    wanted, place = (split or Split()).test, {name: k for k, name in enumerate(card.classes)}
    names = {i.index: name for i, name in zip(items, column(items, card.label), strict=True)}
    chosen = {i.index: i for i in items if names[i.index] and i.split == wanted}
    if not chosen:
        raise Unscorable(f"no item of split {wanted!r} has a {card.label!r}: name the split with --split.test")
    if unknown := sorted({names[n] for n in chosen} - place.keys()):
        raise ValueError(f"{path} does not know the classes {', '.join(unknown)}; it knows {', '.join(card.classes)}")
    clips = test_clips(card.protocol, [*chosen.values()], workers=workers, reading="auto", damaged=damaged)
    found = recognise(recogniser.to(device), clips, protocol=card.protocol, device=device)
    tested = [chosen[int(i)] for i in found.index]
    truth = [names[i.index] for i in tested]
    probabilities = found.probabilities[:, recogniser.readouts.index(card.readout)]
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / "predictions.csv", tested, probabilities, classes=card.classes, truth=truth)
    labels, groups = np.array([place[t] for t in truth]), groups_of(tested)
    seen = np.repeat(np.arange(len(card.counts)), card.counts)
    outcome = answers_of(
        probabilities,
        Labelled(values=np.zeros((len(seen), 1)), labels=seen),
        Labelled(values=probabilities, labels=labels, groups=groups),
        card.classes,
    )
    scores = to_scores(
        outcome,
        encoder=PRETRAINED,
        protocol=f"{card.protocol.title}{' (shortened)' if card.shortened else ''}, applied",
        label=card.label,
        n_train=len(seen),
        truth=labels,
        groups=groups,
        settings={"shortened": dict(card.shortened), "recogniser": str(path)},
    )
    matrix = confusion(labels, outcome.predictions, classes=len(card.classes))
    left_out = (*clips.unfit, *found.skipped)
    return Findings(scores=tuple(scores), classes=card.classes, confusion=matrix, left_out=left_out)


def _scores(
    outcomes: Sequence[Outcome], parts: Parts, choice: FineTune, *, begins: str, share: float, seed: int
) -> list[Score]:
    """The scores of every classifier over all folds."""
    protocol, names = choice.protocol, [f.name for f in parts.folds]
    settings = {
        "protocol": asdict(protocol),
        "shortened": dict(choice.shortened),
        "share of labels": share,
        "split": choice.split.to_json(),
        "random init": "trained equally, which is supervised training at equal schedule",
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
            protocol=choice.title(share) + (f", {readout}" if len(outcomes[0].answers) > 1 else ""),
            label=choice.label,
            n_train=round(float(np.mean([o.n_train for o in outcomes]))),
            truth=np.concatenate([o.truth for o in outcomes]),
            groups=tuple(g for o in outcomes for g in o.groups) if all(o.groups for o in outcomes) else (),
            seed=seed,
            settings=settings,
        )
    return scores
