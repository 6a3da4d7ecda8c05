"""Reading by processes: the same batches to the bit, no hang when one dies, nothing left behind."""

import multiprocessing
import os
import pickle
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest
import torch
from media_files import Film, write

from avssl.core import Clip, Example, MediaError, MediaInfo, Plan, Rng, Sampler, Span
from avssl.data import Catalogue, Clips, Loader, ReaderDied, Readers, catalogue
from avssl.data.exchange import Block, Sight, pack, unpack
from avssl.data.processes import Crew
from avssl.data.readers import in_processes
from avssl.media import Decoding
from avssl.samplers import RandomClips
from avssl.transforms import HorizontalFlip, RandomResizedCrop


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """Six short films."""
    folder = tmp_path_factory.mktemp("films")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVSSL_CACHE", str(tmp_path_factory.mktemp("cache")))
        for k in range(6):
            write(folder / f"{k}.mp4", Film(frames=20 + k))
        yield catalogue(folder)


@pytest.fixture(scope="module")
def crew() -> Iterator[Readers]:
    """Two processes for several tests, as a run has them for several epochs."""
    with Readers(2, "processes") as readers:
        yield readers


@dataclass(frozen=True, kw_only=True)
class Mixed(Sampler):
    """Two frames of the file, and one of another."""

    @property
    def others(self) -> int:
        return 1

    def unfit(self, info: MediaInfo) -> str:
        return ""

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        own, other = (float(rng.uniform(0, i.duration - 0.1)) for i in (info, info.others[0]))
        return Plan(spans=(Span(times=(own, own)), Span(times=(other,), file=1)), labels={"at": own})


@dataclass(frozen=True, kw_only=True)
class Sleepy(Mixed):
    """Falls asleep in a process that reads, and leaves a mark that it did."""

    mark: str

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        if multiprocessing.parent_process() is not None:
            Path(self.mark).touch()
            time.sleep(60)
        return super().__call__(info, rng)


@dataclass(frozen=True, kw_only=True)
class Faulty(Mixed):
    """Has a bug."""

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        raise KeyError("a bug")


def mixed(films: Catalogue, **knobs: object) -> Clips:
    clips = Clips.of(films.items, Mixed(), RandomResizedCrop(16) | HorizontalFlip())
    return replace(clips, **knobs)  # type: ignore[arg-type]


def tensors(batch: Example) -> list[torch.Tensor]:
    parts = [t for c in batch.clips for t in (c.video, c.audio, c.times, c.valid) if t is not None]
    return [*parts, *batch.labels.values(), *batch.parameters.values(), batch.index]


def same(a: list[Example], b: list[Example]) -> bool:
    pairs = list(zip([t for x in a for t in tensors(x)], [t for x in b for t in tensors(x)], strict=True))
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("repeats", [1, 2])
def test_the_same_batches_whoever_reads(films: Catalogue, crew: Readers, repeats: int) -> None:
    clips = mixed(films, repeats=repeats)
    order = [[0, 5, 3], [1, 2], [4]]
    plain = list(Loader(replace(clips, workers=0), order, epoch=2))
    assert same(plain, list(Loader(replace(clips, workers=3), order, epoch=2)))
    for _ in range(2):  # the second time through the memory that the first has made room in
        assert same(plain, list(Loader(clips, order, epoch=2, readers=crew, ahead=2)))
    assert [len(b) for b in plain] == [3 * repeats, 2 * repeats, repeats]


def test_damaged_files_are_skipped_or_stop_as_with_threads(films: Catalogue, crew: Readers) -> None:
    gone = films.items[2].path.with_name("gone.mp4")
    items = tuple(replace(i, path=gone) if n == 2 else i for n, i in enumerate(films.items))
    clips = replace(Clips.of(items, RandomClips(frames=2), RandomResizedCrop(16)), damaged="skip")
    loader = Loader(clips, [range(6)], readers=crew)
    (batch,) = loader
    assert len(batch) == 5
    assert [e.path for e in loader.skipped] == [str(gone)]
    with pytest.raises(MediaError, match=r"gone\.mp4"):
        list(Loader(replace(clips, damaged="stop"), [range(6)], readers=crew))
    assert len(list(Loader(clips, [[0]], readers=crew))) == 1  # which can go on


def test_a_bug_comes_through_as_what_it_is(films: Catalogue, crew: Readers) -> None:
    with pytest.raises(KeyError, match="a bug") as found:
        list(Loader(replace(mixed(films), sampler=Faulty()), [[0]], readers=crew))
    assert "in __call__" in "".join(found.value.__notes__)


def test_what_cannot_be_sent_says_so(films: Catalogue, crew: Readers) -> None:
    class Local(Mixed):
        pass

    with pytest.raises(TypeError, match="read in threads"):
        list(Loader(replace(mixed(films), sampler=Local()), [[0]], readers=crew))


def test_a_process_that_is_killed_is_an_error_and_no_hang(films: Catalogue, tmp_path: Path) -> None:
    mark = tmp_path / "asleep"
    before = threading.active_count()

    clips = mixed(films, sampler=Sleepy(mark=str(mark)), damaged="skip")
    with Readers(1, "processes") as readers:
        (process,) = readers._crew._processes  # type: ignore[union-attr]

        def kill() -> None:
            while not mark.exists():
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(ReaderDied, match=r"[35]\.mp4.*by SIGKILL.*memory has run out.*fewer workers"):
            list(Loader(clips, [[3], [5]], readers=readers))
        killer.join()
        with pytest.raises(ReaderDied, match="SIGKILL"):
            next(iter(Loader(clips, [[0]], readers=readers)))
    assert threading.active_count() == before


def test_stopping_early_leaves_no_process_no_thread_and_no_memory(
    films: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks: list[str] = []
    crews: list[Crew] = []
    of, start = Block.of, Crew.__init__

    def spied(size: int) -> Block | None:
        block = of(size)
        assert block is not None
        blocks.append(block.name)
        return block

    def noted(self: Crew, workers: int) -> None:
        crews.append(self)
        start(self, workers)

    monkeypatch.setattr(Block, "of", spied)
    monkeypatch.setattr(Crew, "__init__", noted)
    before = threading.active_count()
    iterator = iter(Loader(mixed(films, reading="processes", workers=1), [[n % 6] for n in range(200)], ahead=4))
    for _ in range(3):
        next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    (crew,) = crews
    assert not any(p.is_alive() for p in crew._processes)
    assert blocks
    for name in blocks:
        with pytest.raises(FileNotFoundError):
            SharedMemory(name)


def test_what_is_sent_comes_back_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = Clip(video=torch.arange(96, dtype=torch.uint8).view(2, 3, 4, 4)[:, :, ::2], times=torch.zeros(2).double())
    sent = {"clip": clip, "one": torch.tensor(5), "none": torch.empty(0), "half": torch.ones(3, dtype=torch.bfloat16)}
    packed = pack(sent)
    block = Block.of(packed.size)
    assert block is not None
    sight = Sight()
    assert not sight.show(packed, None)
    assert sight.show(packed, block.name)
    found = unpack(packed.words, block.copied(packed.size))
    assert not sight.show(pack(torch.zeros(2 * packed.size)), block.name)
    sight.close()
    block.close()
    assert torch.equal(found["clip"].video, clip.video)  # type: ignore[arg-type]
    for name in ("one", "none", "half"):
        assert found[name].dtype == sent[name].dtype  # type: ignore[union-attr]
        assert torch.equal(found[name], sent[name])  # type: ignore[arg-type]


def test_without_shared_memory_examples_come_through_the_line(
    films: Catalogue, crew: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("avssl.data.exchange.os.posix_fallocate", full)
    clips = mixed(films)
    plain = list(Loader(replace(clips, workers=0), [range(6)]))
    with Readers(1, "processes") as readers:
        for _ in range(2):
            assert same(plain, list(Loader(clips, [range(6)], readers=readers)))
        assert all(line._block is None for line in readers._crew._lines)  # type: ignore[union-attr]


def test_auto_takes_processes_where_there_are_many_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, workers, expected in ((2, 2, False), (2, 8, False), (8, 2, False), (8, 4, True), (16, 8, True)):
        monkeypatch.setattr("avssl.data.readers.cores", lambda n=cores: n)
        assert in_processes(workers, "auto") is expected
    assert in_processes(1, "processes")
    assert not in_processes(64, "threads")


def test_frames_on_a_device_are_read_by_threads(films: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avssl.data.readers.device_of", torch.device)
    monkeypatch.setattr("avssl.data.readers.cores", lambda: 64)
    clips = mixed(films, decoding=Decoding(device="cuda"), workers=8, reading="auto")
    assert Readers.of(clips)._crew is None
    with pytest.raises(ValueError, match="'cuda' cannot come from other processes"):
        Readers.of(replace(clips, reading="processes"))


class TestItemsInOtherProcesses:
    def test_a_table_is_mapped_again_and_not_sent(self, films: Catalogue) -> None:
        item = films.items[0]
        sent = pickle.dumps(item)
        assert item.table is not None
        assert bytes(item.table) not in sent
        again = pickle.loads(sent)
        assert again == item
        assert bytes(again.table) == bytes(item.table)

    def test_a_table_whose_file_has_been_replaced_is_sent_or_made_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
        (tmp_path / "films").mkdir()
        write(tmp_path / "films" / "a.mp4", Film(frames=20))
        (item,) = catalogue(tmp_path / "films")
        assert item.table is not None
        table, sent = bytes(item.table), pickle.dumps(item)
        (cache,) = (tmp_path / "cache" / "scan").glob("*.tables")
        other = cache.with_suffix(".new")
        other.write_bytes(cache.read_bytes())
        other.replace(cache)  # as another run does that finds a new file in the folder
        assert pickle.loads(sent).table is None
        assert bytes(pickle.loads(pickle.dumps(item)).table) == table


def test_a_forked_child_opens_files_of_its_own(films: Catalogue) -> None:
    clips = Clips.of(films.items, RandomClips(frames=2))
    want = clips.example(1).clips[0].video
    process = multiprocessing.get_context("fork").Process(target=_finds_the_same, args=(clips, want))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python, that this is no good idea
        process.start()
    process.join(30)
    assert process.exitcode == 0


def _finds_the_same(clips: Clips, want: torch.Tensor) -> None:
    found = clips.example(1).clips[0].video
    os._exit(0 if found is not None and torch.equal(found, want) else 1)
