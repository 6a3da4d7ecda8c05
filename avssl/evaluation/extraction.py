"""From files to features, one pass for several encoders; what was made before comes from the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from avssl.core import Example, MediaError
from avssl.data import Clips, Loader, announce, batches
from avssl.evaluation.feature_key import data_key, feature_key, identity
from avssl.evaluation.feature_store import REMEDY, Store
from avssl.evaluation.features import FeatureFunction, Features, Modality, mean_over_clips
from avssl.media.toybox import cache_root
from avssl.training import Ranks

__all__ = ["ALONE", "FeatureCache", "extract", "extract_all"]


@dataclass(frozen=True, kw_only=True)
class FeatureCache:
    """Whether and where features are kept on disk, so that each is made once."""

    use: Literal["use", "again", "off"] = "use"
    """use: take them from the cache, or make what is not there. again: make them anew, as when a damaged file
    was mended without another size or time. off: keep none."""
    folder: Path | None = None
    """Where; None: `features` in $AVSSL_CACHE or ~/.cache/avssl. Each set is a folder there that may be deleted."""
    dtype: Literal["float32", "float16"] = "float32"
    """As what they are stored; float16 takes half the room and keeps 3 digits."""

    @property
    def root(self) -> Path:
        """The folder that is meant."""
        return self.folder if self.folder is not None else cache_root() / "features"

    @property
    def strips(self) -> Path | None:
        """The folder for frames of items that are shown as neighbours, which need not be decoded again either."""
        return self.root / "strips" if self.use == "use" else None


ALONE = Ranks()
"""No other processes."""


def extract(
    encoder: FeatureFunction,
    clips: Clips,
    *,
    modality: Modality = "video",
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    progress: bool = True,
    cache: FeatureCache | None = None,
    ranks: Ranks = ALONE,
) -> Features:
    """The features of every item: the plain mean of those of its clips, unnormalised.

    An encoder is set to `eval` for the time of the pass and then back, module by module, so that the statistics of its
    norms do not move; it must already be on `device`. With a cache they are made once for an encoder, its weights, the
    files and how they are cut; with ranks each of them makes its share, and all give the whole.

    Raises:
        ValueError: the clips lack the modality, the features are not (B, D), or cannot be cached (see `identity`).
        MediaError: a file is damaged and `clips.damaged` is "stop", or all are; or the cache cannot be written.
    """
    found = extract_all(
        {"": encoder},
        clips,
        modality=modality,
        device=device,
        batch_size=batch_size,
        progress=progress,
        cache=cache,
        ranks=ranks,
    )
    return found[""]


def extract_all(
    encoders: Mapping[str, FeatureFunction],
    clips: Clips,
    *,
    modality: Modality = "video",
    device: torch.device | str = "cpu",
    batch_size: int = 32,
    progress: bool = True,
    cache: FeatureCache | None = None,
    ranks: Ranks = ALONE,
) -> dict[str, Features]:
    """As `extract`, for several encoders in one pass over the files, so that each is decoded once."""
    how = _How(modality=modality, device=device, batch_size=batch_size, progress=progress)
    if cache is not None and cache.use != "off":
        stores = _stores(encoders, clips, modality, cache)
        if _begun(stores, cache, ranks):
            return _kept(encoders, stores, clips, how, ranks)
    values: dict[str, list[Tensor]] = {name: [] for name in encoders}
    index: list[Tensor] = []
    loader = batches(clips, batch_size=batch_size, device=device)
    for batch in _watched(loader, len(clips), progress):
        index.append(batch.index.cpu())
        for name, encoder in encoders.items():
            values[name].append(how.features(encoder, batch))
    numbers = torch.cat(index).numpy()
    skipped = tuple(loader.skipped)
    return {name: Features(values=torch.cat(v).numpy(), index=numbers, skipped=skipped) for name, v in values.items()}


@dataclass(frozen=True, kw_only=True)
class _How:
    """How a pass over the files goes."""

    modality: Modality
    device: torch.device | str
    batch_size: int
    progress: bool

    def features(self, encoder: FeatureFunction, batch: Example) -> Tensor:
        return mean_over_clips(encoder, batch.clips, modality=self.modality).cpu()


def _stores(
    encoders: Mapping[str, FeatureFunction], clips: Clips, modality: Modality, cache: FeatureCache
) -> dict[str, Store]:
    data = data_key(clips, modality=modality)
    keys = {name: feature_key(data, identity(encoder), cache.dtype) for name, encoder in encoders.items()}
    return {name: Store(cache.root / key, items=len(clips), dtype=cache.dtype) for name, key in keys.items()}


def _begun(stores: Mapping[str, Store], cache: FeatureCache, ranks: Ranks) -> bool:
    """Whether the cache can be written; who works alone does without it."""
    try:
        for store in stores.values() if ranks.first else ():
            if cache.use == "again":
                store.clear()
            store.begin()
    except OSError as e:
        where = f"{cache.root} cannot be written ({e.strerror or e})"
        if ranks.world > 1:
            raise MediaError(where, "so ranks cannot share features", REMEDY) from e
        announce(f"{where}, so features are not kept: choose another folder by $AVSSL_CACHE", [])
        return False
    return True


def _kept(
    encoders: Mapping[str, FeatureFunction], stores: Mapping[str, Store], clips: Clips, how: _How, ranks: Ranks
) -> dict[str, Features]:
    """The features from the cache, made first where they are not there: of every block those that it lacks."""
    ranks.wait()  # the first has made the folders
    missing = {name: store for name, store in stores.items() if store.opened() is None}
    if missing:
        every = next(iter(missing.values()))
        own = range(ranks.rank, every.blocks, ranks.world)
        lacking = {b: names for b in own if (names := [n for n, s in missing.items() if not s.has(b)])}
        if lacking:
            _fill(encoders, missing, lacking, clips, how)
    ranks.wait()  # all blocks are there
    for store in missing.values() if ranks.first else ():
        store.finish()
    ranks.wait()
    return {name: _opened(store, clips) for name, store in stores.items()}


def _opened(store: Store, clips: Clips) -> Features:
    found = store.opened()
    if found is None:
        raise MediaError(store.folder, "these features were there and are no more", "run it again")
    skipped = tuple(error for _, error in found.damaged)
    if skipped and (clips.damaged == "stop" or not len(found.index)):
        raise skipped[0]
    return Features(values=found.values, index=found.index, skipped=skipped)


def _fill(
    encoders: Mapping[str, FeatureFunction],
    stores: Mapping[str, Store],
    lacking: Mapping[int, Sequence[str]],
    clips: Clips,
    how: _How,
) -> None:
    """One pass over the items of the blocks that lack features, which are written as soon as they are whole."""
    numbers = np.array([item.index for item in clips.items])
    if len(np.unique(numbers)) < len(numbers):
        raise ValueError("two items have the same number, and features belong to numbers: take one catalogue")
    spans = {b: next(iter(stores.values())).positions(b) for b in lacking}
    chunks = [s[i : i + how.batch_size] for s in spans.values() for i in range(0, len(s), how.batch_size)]
    loader = Loader(replace(clips, repeats=1), chunks, device=how.device, ahead=2 * how.batch_size)
    reasons = iter(loader.skipped)  # which grows, in the order of the items that it leaves out
    coming = _watched(_tolerant(loader), sum(map(len, chunks)), how.progress)
    batch = next(coming, None)
    for block, names in lacking.items():
        due = numbers[spans[block]]
        values: dict[str, list[np.ndarray]] = {name: [] for name in names}
        index: list[int] = []
        while batch is not None and batch.index[0].item() in due:
            for name in names:
                values[name].append(how.features(encoders[name], batch).numpy())
            index += batch.index.tolist()
            batch = next(coming, None)
        there = set(index)
        gone = [n for n in due.tolist() if n not in there]
        damaged = list(zip(gone, islice(reasons, len(gone)), strict=True))
        for name in names:
            stores[name].write(block, _whole(values.pop(name)), index, damaged)


def _whole(rows: list[np.ndarray]) -> np.ndarray:
    whole = np.concatenate(rows) if rows else np.empty((0, 0), np.float32)
    rows.clear()  # there is no need of both
    return whole


def _tolerant(loader: Loader) -> Iterator[Example]:
    """The batches; that all files are damaged is no end here, where others are in other blocks."""
    try:
        yield from loader
    except MediaError:
        if len(loader.skipped) < sum(map(len, loader.batches)):
            raise


def _watched(loader: Iterable[Example], items: int, progress: bool) -> Iterator[Example]:
    """The batches, with a progress bar that goes when it is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=not progress) as bar:
        task = bar.add_task("features", total=items)
        for batch in loader:
            yield batch
            bar.advance(task, len(batch))
