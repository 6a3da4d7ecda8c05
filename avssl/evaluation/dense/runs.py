"""The dense and audio-visual protocols on a run: label propagation, localisation, synchrony, cross-modal retrieval."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from avssl.core import MediaError
from avssl.data import Clips, Item, catalogue
from avssl.data.offsets import offset_clips
from avssl.data.truth import has_boxes, has_joints, has_masks
from avssl.encoders import Encoder, reinitialised
from avssl.evaluation.dense.audiovisual import embedded, lagged, located, timed
from avssl.evaluation.dense.choice import PROTOCOLS, Dense, DenseProtocol
from avssl.evaluation.dense.drawings import draw_maps, draw_masks, draw_sync
from avssl.evaluation.dense.pair import Fusion, Matching, Pair, Stream, load_fusion, load_pair
from avssl.evaluation.dense.tracking import COPY, Key, Tracked, carry_joints, carry_masks, joint_scores, mask_scores
from avssl.evaluation.evaluate import PRETRAINED, RANDOM
from avssl.evaluation.runs import Trained, load_trained
from avssl.evaluation.scores import Score, write_scores
from avssl.evaluation.splits import Unscorable
from avssl.training import hardware

__all__ = ["dense_scores", "evaluate_dense"]

NEEDS: dict[DenseProtocol, str] = {
    "masks": "a column 'masks', as of davis2017:FOLDER, or is of a toybox",
    "joints": "a column 'joints', as of jhmdb:FOLDER",
    "localisation": "sound and a column 'boxes', or is of a toybox with sound",
    "synchrony": "moving frames and sound",
    "retrieval": "moving frames and sound",
}


def evaluate_dense(
    run: Path,
    *,
    data: Path | None = None,
    choice: Dense,
    device: torch.device | str = "cpu",
    out: str = "dense",
    command: str = "",
) -> list[Score]:
    """The scores of a run (a folder, or a file of weights), written with drawings into its folder `out`.

    `data` None is what the run was trained on.

    Raises:
        Unscorable: the data allow none of the protocols, or not one that was asked for.
        MediaError: the run or the data cannot be read.
    """
    trained = load_trained(run)
    source = data if data is not None else trained.data.source()
    scores = _scores(trained, source, choice, device, out)
    path = trained.folder / out / "scores.json"
    write_scores(scores, path, command=command, data=str(source), hardware=hardware(device))
    return scores


def dense_scores(
    run: Path, *, data: Path, choice: Dense, device: torch.device | str = "cpu", out: str = "dense"
) -> list[Score]:
    """The same scores, not written; the drawings are.

    Raises:
        Unscorable: the data allow none of the protocols, or not one that was asked for.
        MediaError: the run or the data cannot be read.
    """
    return _scores(load_trained(run), data, choice, device, out)


def _scores(trained: Trained, source: Path, choice: Dense, device: torch.device | str, out: str) -> list[Score]:
    items = _items(catalogue(source, damaged=choice.damaged, workers=max(2, choice.workers)).items, choice)
    folder = trained.folder / out
    bench = _Bench(trained=trained, items=items, choice=choice, device=device, folder=folder)
    chosen = bench.protocols()
    folder.mkdir(parents=True, exist_ok=True)
    return [s for protocol in chosen for s in bench.run(protocol)]


def _items(items: Sequence[Item], choice: Dense) -> tuple[Item, ...]:
    there = {i.split for i in items}
    split = choice.split or next((s for s in ("test", "val") if s in there), "")
    if choice.split and choice.split not in there:
        raise Unscorable(f"no item of split {choice.split!r}; there are {sorted(there)}: choose with --split")
    return tuple(i for i in items if not split or i.split == split)


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """A run, the items to measure it on, and where findings go."""

    trained: Trained
    items: tuple[Item, ...]
    choice: Dense
    device: torch.device | str
    folder: Path

    def protocols(self) -> list[DenseProtocol]:
        """Those asked for, or all that are possible.

        Raises:
            Unscorable: one that was asked for is impossible, or all are.
        """
        lacking = {protocol: self._lacks(protocol) for protocol in PROTOCOLS}
        chosen = list(self.choice.protocols) or [p for p, why in lacking.items() if not why]
        for protocol in chosen:
            if why := lacking[protocol]:
                raise Unscorable(f"{protocol}: {why}")
        if not chosen:
            raise Unscorable("no dense protocol is possible: " + "; ".join(f"{p}: {why}" for p, why in lacking.items()))
        return chosen

    def run(self, protocol: DenseProtocol) -> list[Score]:
        """The scores of one protocol; its drawings are written."""
        match protocol:
            case "masks":
                return self._masks()
            case "joints":
                return self._joints()
            case "localisation":
                return self._localisation()
            case "synchrony":
                return self._synchrony()
            case "retrieval":
                return self._retrieval()

    def _lacks(self, protocol: DenseProtocol) -> str:
        """Why a protocol is impossible, or ''."""
        if not self._able(protocol):
            return f"no item has {NEEDS[protocol]}"
        if protocol in {"masks", "joints"}:
            return "" if self._video is not None else "the run has no encoder of video"
        found = self._fusion if protocol == "synchrony" and not isinstance(self._pair, Pair) else self._pair
        return found if isinstance(found, str) else ""

    def _able(self, protocol: DenseProtocol) -> list[Item]:
        """The items with what a protocol needs."""
        match protocol:
            case "masks":
                return [i for i in self.items if has_masks(i)]
            case "joints":
                return [i for i in self.items if has_joints(i)]
            case "localisation":
                return [i for i in self.items if has_boxes(i) and i.info.has_sound]
            case "synchrony" | "retrieval":
                return [i for i in self.items if i.info.has_sound and i.info.frames > 1]

    def _some(self, protocol: DenseProtocol) -> list[Item]:
        """The items of a protocol, evenly chosen where they are more than are wanted."""
        able, most = self._able(protocol), self.choice.videos
        if not most or len(able) <= most:
            return able
        return [able[k] for k in np.linspace(0, len(able) - 1, most).round().astype(int)]

    @cached_property
    def _video(self) -> Encoder | None:
        return next((e.to(self.device) for e in self.trained.encoders.values() if e.modality == "video"), None)

    @property
    def _both(self) -> dict[Stream, Encoder]:
        return {e.modality: e for e in self.trained.encoders.values()}

    @cached_property
    def _pair(self) -> Pair | str:
        """The pair of the run, or why there is none."""
        try:
            return load_pair(self._both, self.trained.folder).to(self.device)
        except MediaError as e:
            return str(e)

    @cached_property
    def _fusion(self) -> Fusion | str:
        """What compares video and sound in a run without a pair, or why there is nothing."""
        try:
            return load_fusion(self._both, self.trained.folder).to(self.device)
        except MediaError as e:
            return str(e)

    def _compared(self) -> dict[Key, Encoder]:
        assert self._video is not None  # seen to in `_lacks`
        fresh = {(RANDOM, seed): reinitialised(self._video, seed) for seed in self.choice.seeds}
        return {(PRETRAINED, 0): self._video, **fresh}

    def _pairs(self) -> dict[Key, Pair]:
        assert isinstance(self._pair, Pair)  # seen to in `_lacks`
        fresh = {(RANDOM, seed): self._pair.fresh(seed) for seed in self.choice.seeds}
        return {(PRETRAINED, 0): self._pair, **fresh}

    def _matching(self) -> dict[Key, Matching]:
        own = self._pair if isinstance(self._pair, Pair) else self._fusion
        assert isinstance(own, Matching)  # seen to in `_lacks`
        return {(PRETRAINED, 0): own, **{(RANDOM, seed): own.fresh(seed) for seed in self.choice.seeds}}

    def _clips(self, protocol: DenseProtocol, *, lags: Sequence[float], clips: int) -> Clips:
        found = offset_clips(
            self._some(protocol),
            self.trained.view,
            lags=lags,
            clips=clips,
            workers=self.choice.workers,
            reading=self.choice.reading,
            damaged=self.choice.damaged,
        )
        _tell(found.unfit)
        return found

    def _each(self, protocol: DenseProtocol, deed: Callable[[Item], None]) -> None:
        """Do something with every item; those that are damaged are named and left out, unless that is to end it."""
        left: list[MediaError] = []
        items = self._some(protocol)
        for item in track(items, protocol, console=Console(stderr=True), transient=True):
            try:
                deed(item)
            except MediaError as e:
                if self.choice.damaged == "stop":
                    raise
                left.append(e)
        _tell(left)
        if len(left) == len(items):
            raise left[-1]

    def _masks(self) -> list[Score]:
        choice, encoders = self.choice, self._compared()
        tracked: dict[Key, list[Tracked]] = {}
        films: list[np.ndarray] = []

        def follow(item: Item) -> None:
            film, found = carry_masks(
                item, encoders, choice=choice.tracking, frames=choice.frames or None, device=self.device
            )
            for key, one in found.items():
                tracked.setdefault(key, []).append(one)
            films.extend([film] if len(films) < choice.pictures else [])

        self._each("masks", follow)
        if films:
            shown = {"truth": [v.truth for v in tracked[COPY]]}
            shown |= {key[0]: [v.found for v in tracked[key]] for key in ((PRETRAINED, 0), COPY)}
            draw_masks(self.folder / "masks.png", films, shown)
        scores = []
        for (name, seed), videos in tracked.items():
            measured, groups = mask_scores(videos, tolerance=choice.tracking.tolerance)
            scores += measured.scores(
                encoder=name,
                protocol="label propagation",
                label="masks",
                groups=groups,
                seed=seed,
                settings=choice.tracking.told(),
            )
        return scores

    def _joints(self) -> list[Score]:
        encoders = self._compared()
        tracked: dict[Key, list[Tracked]] = {}

        def follow(item: Item) -> None:
            found = carry_joints(item, encoders, choice=self.choice.tracking, device=self.device)
            for key, one in found.items():
                tracked.setdefault(key, []).append(one)

        self._each("joints", follow)
        scores = []
        for (name, seed), videos in tracked.items():
            measured, groups = joint_scores(videos)
            scores += measured.scores(
                encoder=name,
                protocol="label propagation",
                label="joints",
                groups=groups,
                seed=seed,
                settings=self.choice.tracking.told(),
            )
        return scores

    def _localisation(self) -> list[Score]:
        clips = self._clips("localisation", lags=(0.0,), clips=1)
        found = located(self._pairs(), clips, device=self.device, batch_size=self.choice.batch_size)
        _tell(found.skipped)
        if most := 2 * self.choice.pictures:
            shown = {name: m[:most] for (name, seed), m in found.maps.items() if name != RANDOM}
            draw_maps(self.folder / "localisation.png", found.frames[:most], found.truths[:most], shown)
        return [
            score
            for (name, seed), measured in found.measured(choice=self.choice.localisation).items()
            for score in measured.scores(
                encoder=name, protocol="sound localisation", label="boxes", groups=found.groups, seed=seed
            )
        ]

    def _synchrony(self) -> list[Score]:
        sync, size = self.choice.sync, self.choice.batch_size
        clips = self._clips("synchrony", lags=sync.lags, clips=sync.clips)
        found = lagged(self._matching(), clips, n=sync.clips, device=self.device, batch_size=size)
        _tell(found.skipped)
        sources = {i.index: i.group or str(i.path) for i in clips.items}
        scores, curves = [], {}
        for name, seed in found.scores:
            measured, curve, groups = timed(found, (name, seed), sources, choice=sync)
            curves[name if name != RANDOM or len(self.choice.seeds) == 1 else f"{name} {seed}"] = curve
            about = {"clips": sync.clips}
            scores += measured.scores(
                encoder=name, protocol="synchrony", label="lag", groups=groups, seed=seed, settings=about
            )
        draw_sync(self.folder / "synchrony.png", curves)
        plain = {name: {k: np.round(v, 5).tolist() for k, v in vars(c).items()} for name, c in curves.items()}
        (self.folder / "synchrony.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        return scores

    def _retrieval(self) -> list[Score]:
        choice = self.choice.crossmodal
        clips = self._clips("retrieval", lags=(0.0,), clips=choice.clips)
        found = embedded(self._pairs(), clips, n=choice.clips, device=self.device, batch_size=self.choice.batch_size)
        _tell(found.skipped)
        about = {"clips": choice.clips}
        return [
            score
            for (name, seed), measured in found.measured(choice=choice).items()
            for score in measured.scores(
                encoder=name, protocol="cross-modal retrieval", label="item", seed=seed, settings=about
            )
        ]


def _tell(errors: Sequence[MediaError], *, most: int = 5) -> None:
    console = Console(stderr=True)
    for error in errors[:most]:
        console.print(f"Left out: {error}", markup=False, highlight=False, soft_wrap=True)
    if len(errors) > most:
        console.print(f"Left out: {len(errors) - most} more")
