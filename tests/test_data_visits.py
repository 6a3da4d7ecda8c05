"""Visits: several examples of one decoding pass, other files drawn, where the time goes, what is kept in memory."""

import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from media_files import Film, Noise, bursts, write

from avssl.core import Clip, Example, MediaInfo, Plan, Rng, Sampler, Span, generator
from avssl.data import Catalogue, Clips, Data, Item, Loader, batches, by_shape, catalogue, collate
from avssl.data.scan import _look_into
from avssl.data.visit import Cutter, Visit, Visited
from avssl.media import FileTable, look, open_media
from avssl.samplers import RandomClips
from avssl.transforms import ColourJitter, RandomCrop


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """Four films with sound."""
    folder = tmp_path_factory.mktemp("films")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVSSL_CACHE", str(tmp_path_factory.mktemp("cache")))
        for k in range(4):
            write(folder / f"{k}.mp4", Film(frames=40), Noise(samples=bursts(1.6, 44100, [0.2 * k])))
        yield catalogue(folder)


@dataclass(frozen=True, kw_only=True)
class Others(Sampler):
    """Takes a frame of the file and of three others."""

    @property
    def others(self) -> int:
        return 3

    def unfit(self, info: MediaInfo) -> str:
        return ""

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        at = float(rng.uniform(0, 1))
        return Plan(spans=tuple(Span(times=(at,), file=k) for k in range(4)))


def clips_of(films: Catalogue, **knobs: object) -> Clips:
    sampler = RandomClips(frames=4, sound=0.5)
    clips = Clips.of(films.items, sampler, RandomCrop(24, short_side=32) | ColourJitter(), workers=0)
    return replace(clips, **knobs)  # type: ignore[arg-type]


class TestRepeats:
    def test_each_example_is_drawn_by_itself_and_the_first_as_if_alone(self, films: Catalogue) -> None:
        alone, more = clips_of(films), clips_of(films, repeats=3)
        assert more.plan(1, 5, 0)[0].spans == alone.plan(1, 5)[0].spans
        plans = [more.plan(1, 5, r)[0] for r in range(3)]
        assert len({p.spans for p in plans}) == 3
        visited = more.cutter.visited(more.visit(1, 5))
        assert [e.clips[0].times.tolist() for e in visited.examples] == [  # type: ignore[union-attr]
            [pytest.approx(t, abs=0.04) for t in p.spans[0].times] for p in plans
        ]
        first = alone.example(1, 5)
        assert torch.equal(visited.examples[0].clips[0].video, first.clips[0].video)  # type: ignore[arg-type]
        assert torch.equal(visited.examples[0].clips[0].audio, first.clips[0].audio)  # type: ignore[arg-type]

    def test_they_are_those_of_separate_visits_and_come_of_one_opening(
        self, films: Catalogue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clips = replace(Clips.of(films.items, Others(), workers=0), repeats=2)
        opened: list[Path] = []

        def spy(path: Path, table: FileTable | None, **knobs: Any) -> object:
            opened.append(path)
            return open_media(path, table, **knobs)

        with monkeypatch.context() as patch:
            patch.setattr("avssl.data.visit.open_media", spy)
            (batch,) = Loader(clips, [[2]])
        assert sorted(opened) == sorted({i.path for i in films.items})
        for r in range(2):
            plan, files = clips.plan(2, 0, r)
            for span, clip in zip(plan.spans, batch.clips, strict=True):
                (alone,) = open_media(files[span.file].path).read([span])
                assert clip.video is not None
                assert torch.equal(clip.video[r], alone.video)  # type: ignore[arg-type]

    def test_a_batch_holds_them_side_by_side(self, films: Catalogue) -> None:
        (batch,) = Loader(clips_of(films, repeats=2), [[3, 0]])
        assert batch.index.tolist() == [films.items[p].index for p in (3, 3, 0, 0)]
        assert [len(b) for b in batches(clips_of(films, repeats=2), batch_size=4)] == [4]  # an evaluation has none

    def test_a_damaged_file_costs_all_of_its_visit(self, films: Catalogue) -> None:
        items = tuple(replace(i, path=i.path.with_name("gone.mp4")) if n == 1 else i for n, i in enumerate(films.items))
        loader = Loader(clips_of(films, items=items, repeats=2, damaged="skip"), [[0, 1, 2]], keep_size=True)
        (batch,) = loader
        assert batch.index.tolist() == [films.items[p].index for p in (0, 0, 2, 2, 0, 0)]
        assert len(loader.skipped) == 1

    def test_none_at_all_is_no_choice(self) -> None:
        with pytest.raises(ValueError, match="repeats 0"):
            Data(repeats=0)


@pytest.mark.parametrize("groups", ["aabbc", "abababab", "aaaaaab", "abcde", "", "aab  b"])
def test_others_are_drawn_as_if_all_groups_were_looked_at(groups: str) -> None:
    info = MediaInfo(duration=1.0, fps=10, frames=10, height=4, width=4)
    names = [g.strip() for g in groups] or [""] * 6
    items = tuple(Item(index=n, path=Path(f"{n}"), info=info, group=g) for n, g in enumerate(names))
    clips = Clips(items, Others())
    for position, item in enumerate(items):
        for key in range(20):
            rng = generator(key)
            outside = np.flatnonzero(np.array(names) != item.group) if item.group else np.arange(0)
            want: list[int] = []
            while len(want) < 3:
                if len(outside) >= 3:
                    other = int(outside[rng.integers(len(outside))])
                else:
                    other = (position + int(rng.integers(1, len(items)))) % len(items)
                want += [other] * (other not in want)
            assert [i.index for i in clips._others(position, 3, generator(key))] == want


def test_the_parts_of_a_visit_add_up(films: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = clips_of(films, repeats=2)
    clock, lock = count(), threading.Lock()

    def tick() -> float:
        with lock:
            return float(next(clock))

    with monkeypatch.context() as patch:
        patch.setattr(time, "perf_counter", tick)
        first = tick()
        spent = clips.cutter.visited(clips.visit(0)).spent
        last = tick()
    assert min(spent.decode, spent.convert, spent.sound, spent.other) > 0
    assert spent.total == last - first - 2
    loader = Loader(clips, [[0, 1], [2, 3]])
    list(loader)
    assert 0 < loader.transformed < loader.waited
    assert 0 < loader.spent.total < loader.waited  # one thread does it all


def test_no_more_is_read_ahead_than_is_allowed(films: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = clips_of(films, workers=3)
    example = Cutter.visited(clips.cutter, clips.visit(0))
    read = threading.Semaphore(0)

    def visited(self: Cutter, visit: Visit) -> Visited:
        read.release()
        return example

    monkeypatch.setattr(Cutter, "visited", visited)
    iterator = iter(Loader(clips, [[0, 1]] * 50, ahead=5))
    next(iterator)
    for _ in range(2 + 2 + 4):  # the batch that is worked on, the one that comes next, and what stays ahead of them
        assert read.acquire(timeout=10)
    assert not read.acquire(timeout=0.2)
    iterator.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_that_has_been_given_is_let_go(films: Catalogue, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    made: list[weakref.ref[torch.Tensor]] = []

    def spied(examples: Sequence[Example]) -> Example:
        batch = collate(examples)
        assert batch.clips[0].video is not None
        made.append(weakref.ref(batch.clips[0].video))
        return batch

    monkeypatch.setattr("avssl.data.loader.collate", spied)
    for n, _ in enumerate(Loader(clips_of(films, workers=workers), [[k % 4] for k in range(8)])):
        assert made[n]() is None  # its transform has made another of it


def test_a_scan_keeps_only_a_few_files_waiting(films: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []

    def spy(path: Path, proven: Any) -> FileTable:
        looked.append(path)
        return look(path, proven)

    monkeypatch.setattr("avssl.data.scan.look", spy)
    found = _look_into([films.items[0].path] * 24, workers=2)
    next(found)
    assert len(looked) <= 8
    assert sum(1 for _ in found) == 23
    assert len(looked) == 24


def test_examples_of_one_shape_make_a_batch() -> None:
    def example(index: int, size: int) -> Example:
        clip = Clip(video=torch.full((1, 3, size, 4), index, dtype=torch.uint8))
        return Example(clips=(clip,), labels={}, parameters={}, index=torch.tensor(index))

    sizes = [4, 5, 4, 4, 6, 5, 4]
    found = list(by_shape((example(n, s) for n, s in enumerate(sizes)), batch_size=2))
    assert [b.index.tolist() for b in found] == [[0, 2], [1, 5], [3, 6], [4]]
    assert [b.clips[0].video.shape for b in found] == [(2, 1, 3, s, 4) for s in (4, 5, 4)] + [(1, 1, 3, 6, 4)]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="batch_size 0"):
        next(by_shape([], batch_size=0))


@pytest.mark.gpu
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_arrive_whole_while_the_device_is_busy(films: Catalogue, cuda: torch.device, workers: int) -> None:
    order = [[0, 1, 2, 3], [3, 1], [2, 0]] * 4
    clips = clips_of(films, workers=workers, transform=None)
    busy = torch.randn(2048, 2048, device=cuda)
    sums = []
    for batch in Loader(clips, order, device=cuda):
        for _ in range(20):
            busy = (busy @ busy).softmax(-1)  # the next batch is sent meanwhile
        assert batch.clips[0].video is not None
        assert batch.clips[0].audio is not None
        assert batch.index.device.type == "cuda"
        sums.append((batch.clips[0].video.double().sum(), batch.clips[0].audio.double().abs().sum(), batch.index))
        del batch  # so that its memory is free for another
    for (video, audio, index), want in zip(sums, Loader(clips, order), strict=True):
        assert want.clips[0].video is not None
        assert want.clips[0].audio is not None
        assert float(video) == float(want.clips[0].video.double().sum())
        assert float(audio) == pytest.approx(float(want.clips[0].audio.double().abs().sum()))
        assert index.tolist() == want.index.tolist()
