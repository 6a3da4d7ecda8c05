"""A probe that is cheap enough to watch a pretraining run with, and never sees the test split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from rich.console import Console

from avssl.core import Example
from avssl.data import Clips, Data, Item, View, batches
from avssl.encoders import Encoder
from avssl.evaluation.analysis import Health, collapsed, health
from avssl.evaluation.answers import Labelled
from avssl.evaluation.features import Modality, mean_over_clips
from avssl.evaluation.linear import LinearProbe, linear_probe
from avssl.evaluation.splits import Unscorable, column

__all__ = ["Probe", "probes"]

QUICK = LinearProbe(costs=(0.01,))  # one C: choosing it on some hundred items would be noisier than fixing it

FEWEST = 4
"""Items of a class, at least, where there are more classes than the limit has room for."""

KEPT_BYTES = 1 << 30
"""Decoded clips are kept in memory up to this size; more of them are decoded again for each call."""


class Probe:
    """A linear probe fitted on one half of a few labelled items and scored on the other half, and the features' health.

    The encoder may have seen both halves in pretraining, though never their labels. Groups stay together where there
    are any. Of very many classes some are drawn. Clips that are not too many are kept in memory (uint8) after the first
    call, so that later ones cost one pass of the encoder and small regressions. Damaged files are left out. Nothing is
    drawn from torch's generators, and the encoder leaves in the mode in which it came.
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        view: View,
        labels: Mapping[str, str],
        limit: int = 256,
        clips: int = 2,
        batch_size: int = 32,
        workers: int = 2,
        seed: int = 0,
        choice: LinearProbe = QUICK,
    ) -> None:
        """Choose at most `limit` of `items` and part them; `labels` maps the names to log to columns.

        Raises:
            Unscorable: a label is missing, or has fewer than 2 classes on both sides.
        """
        if not labels:
            raise ValueError("a probe without labels: give at least one column")
        self.view, self.labels, self.choice, self.seed = view, dict(labels), choice, seed
        self.clips, self.batch_size, self.workers = clips, batch_size, workers
        rng = np.random.default_rng(np.random.SeedSequence((seed, 1)))
        chosen = _balanced(column(items, next(iter(labels.values()))), limit, rng)
        self.items = tuple(items[p] for p in chosen)
        self.fits = _half(self.items, column(self.items, next(iter(labels.values()))), rng)
        self.targets = {name: column(self.items, source) for name, source in labels.items()}
        self._decoded: dict[Modality, list[Example]] = {}
        self._healths: dict[str, Health] = {}
        self._warned: set[str] = set()
        for name in labels:
            if self._parts(name, np.zeros((len(self.items), 1)), np.arange(len(self.items))) is None:
                raise Unscorable(f"probe {name!r}: fewer than 2 classes lie on both sides of the probe's own split")

    def __call__(self, encoders: Mapping[str, Encoder]) -> list[tuple[str, float]]:
        """(name, value) for every encoder: the accuracy of every label, and the numbers of `health`; all encoders but
        the first are marked with their own name. The first time that features have collapsed, it is told."""
        found = []
        for n, (key, encoder) in enumerate(encoders.items()):
            each, rows = self._features(encoder)
            values = each.mean(axis=1)
            mark = f" ({key})" if n else ""
            for name in self.labels:
                parts = self._parts(name, values, rows)
                if parts is None:  # too many of the files turned out damaged
                    continue
                answers = linear_probe(*parts, choice=self.choice, seed=self.seed)
                found.append((f"{name} linear-probe{mark}", float(answers.correct["top-1"].mean())))
            if len(each) > 2:
                found += [(name + mark, value) for name, value in self._health(key, each)]
        return found

    def _health(self, key: str, each: np.ndarray) -> list[tuple[str, float]]:
        """The numbers of features (M, S, D) of S clips of each item; the first ones stand for the untrained encoder."""
        found = health(each.mean(axis=1), (each[:, 0], each[:, -1]) if each.shape[1] > 1 else None)
        what = collapsed(found, self._healths.setdefault(key, found))
        if what is not None and key not in self._warned:
            self._warned.add(key)
            Console(stderr=True).print(f"Collapse of the {key} encoder: {what}", markup=False, soft_wrap=True)
        return found.numbers()

    def _features(self, encoder: Encoder) -> tuple[np.ndarray, np.ndarray]:
        """Features (M, S, D) of S clips and the positions (M,) in `items` they belong to; a file too short for the view
        has none."""
        modality = encoder.modality
        device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
        where = {item.index: p for p, item in enumerate(self.items)}
        values, rows = [], []
        for batch in self._batches(modality):
            moved = [c.to(device) for c in batch.clips]
            each = [mean_over_clips(encoder, [clip], modality=modality).cpu() for clip in moved]
            values.append(torch.stack(each, dim=1))
            rows += [where[int(i)] for i in batch.index]
        return torch.cat(values).numpy(), np.array(rows)

    def _batches(self, modality: Modality) -> Iterable[Example]:
        if modality in self._decoded:
            return self._decoded[modality]
        sampler, transform = self.view.evaluation(self.clips, modality=modality)
        clips = Clips.of(self.items, sampler, transform, workers=self.workers, damaged="skip")
        loader = batches(clips, batch_size=self.batch_size)
        if modality == "video":
            size = 3 * self.view.frames * self.view.size**2
        else:
            size = 4 * round((self.view.sound or 1.0) * self.view.sample_rate)
        if size * self.clips * len(clips) > KEPT_BYTES:
            return loader
        self._decoded[modality] = list(loader)
        return self._decoded[modality]

    def _parts(self, name: str, values: np.ndarray, rows: np.ndarray) -> tuple[Labelled, Labelled] | None:
        """What to fit and what to score, of the items that have the label and whose class both halves have, if any."""
        target = [self.targets[name][r] for r in rows]
        first = self.fits[rows]
        common = {t for t, f in zip(target, first, strict=True) if f and t}
        common &= {t for t, f in zip(target, first, strict=True) if not f and t}
        classes = sorted(common)
        if len(classes) < 2:
            return None
        kept = np.array([t in common for t in target])
        numbers = np.array([classes.index(t) if t in common else -1 for t in target])

        def part(mask: np.ndarray) -> Labelled:
            return Labelled(values=values[mask], labels=numbers[mask])

        return part(kept & first), part(kept & ~first)


def probes(data: Data, view: View, *, limit: int = 256, clips: int = 2, seed: int = 0) -> list[Probe]:
    """The probes of a pretraining run on the labelled items that it pretrains on; none where labels allow none.

    Of the toybox, motion (its `label`) and appearance, and timbre where the view has sound; of other data, `label`.
    Items of other splits, such as test, are never touched. That labels allow no probe is told, and never ends a run.
    """
    names = {"label": "label"}
    if data.root is None:
        names = {"motion": "label", "appearance": "appearance"} | ({"timbre": "timbre"} if view.sound else {})
    pool = data.catalogue().where(split=data.splits).items
    usable = {}
    for name, source in names.items():
        counts = Counter(v for i in pool if (v := i.label if source == "label" else i.columns.get(source, "")))
        if sum(n >= 2 for n in counts.values()) >= 2:
            usable[name] = source
    if not usable:
        return []
    try:
        return [Probe(pool, view=view, labels=usable, limit=limit, clips=clips, workers=data.workers, seed=seed)]
    except Unscorable as e:
        Console(stderr=True).print(f"No probes during pretraining: {e}", markup=False, highlight=False, soft_wrap=True)
        return []


def _balanced(labels: Sequence[str], limit: int, rng: np.random.Generator) -> list[int]:
    """At most `limit` positions of labelled items in their order, the classes as even as they allow."""
    classes = sorted({v for v in labels if v})
    if len(classes) > (room := max(2, limit // FEWEST)):
        classes = [str(c) for c in rng.permutation(classes)[:room]]
    kept = set(classes)
    order = [int(p) for p in rng.permutation(len(labels)) if labels[p] in kept]
    seen: Counter[str] = Counter()
    ranked: list[tuple[int, int, int]] = []
    for p in order:
        ranked.append((seen[labels[p]], len(ranked), p))
        seen[labels[p]] += 1
    return sorted(p for _, _, p in sorted(ranked)[:limit])


def _half(items: Sequence[Item], labels: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """A mask (M,) of the half that is fitted: whole groups if items have them, otherwise half of every class."""
    fits = np.zeros(len(items), dtype=bool)
    groups = np.array([i.group for i in items])
    if len(set(groups.tolist())) > 1 and all(groups):
        for g in rng.permutation(np.unique(groups)):
            if fits.sum() < len(items) / 2:
                fits |= groups == g
        return fits
    for k in sorted(set(labels)):
        members = rng.permutation([p for p, v in enumerate(labels) if v == k])
        fits[members[: (len(members) + 1) // 2]] = True
    return fits
