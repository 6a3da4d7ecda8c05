"""Features on disk: made once, resumed, shared among processes, flat in memory, and never those of something else."""

from __future__ import annotations

import csv
import multiprocessing
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from PIL import Image
from torch import Tensor, nn

from avssl.core import MediaError, Plan
from avssl.data import Clips, Item, View, catalogue
from avssl.data import visit as visit_room
from avssl.encoders import save_encoder, tiny_resnet
from avssl.evaluation import (
    Evaluation,
    FeatureCache,
    Features,
    LinearProbe,
    evaluate_runs,
    extract,
    extract_all,
    mean_colour,
    mean_log_mel,
)
from avssl.evaluation.feature_key import data_key, identity
from avssl.evaluation.feature_store import BLOCK, Store
from avssl.training import Ranks

COLOURS = 16
ITEMS = 2 * BLOCK + 88
VIEW = View(frames=1, size=8)


def pictures(folder: Path, rows: int, colours: int = COLOURS) -> Path:
    """A manifest of many lines on a few pictures of one colour each."""
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(colours):
        Image.new("RGB", (12, 8), (k * 15, 255 - k * 15, 40)).save(folder / f"{k}.png")
    with (folder / "manifest.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["path", "label", "split"])
        out.writerows([f"{n % colours}.png", str(n % 2), "test" if n % 3 == 0 else "train"] for n in range(rows))
    return folder / "manifest.csv"


@pytest.fixture(autouse=True, scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVSSL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Item, ...]:
    return catalogue(pictures(tmp_path_factory.mktemp("many"), ITEMS)).items


@pytest.fixture
def few(tmp_path: Path) -> tuple[Item, ...]:
    return catalogue(pictures(tmp_path / "few", 20)).items


def clips_of(items: Sequence[Item], view: View = VIEW, damaged: str = "skip") -> Clips:
    return Clips.of(items, *view.evaluation(1), workers=0, damaged=damaged)  # type: ignore[arg-type]


def by_hand(items: Sequence[Item]) -> np.ndarray:
    """The mean colour of each item, in 0…1."""
    shown = [int(i.path.stem) * 15 for i in items]
    return np.array([[k, 255 - k, 40] for k in shown], np.float32) / 255


class Counts:
    """Mean colour; notes what it sees, and ends the whole process when it has seen enough."""

    identity = "mean colour"

    def __init__(self, end: int | None = None) -> None:
        self.seen, self.end = 0, end

    def __call__(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        if self.end is not None and self.seen > self.end:
            os.kill(os.getpid(), signal.SIGKILL)
        return x.float().mean(dim=(1, 3, 4)) / 255


def kept(function: Callable[[Tensor], Tensor], clips: Clips, folder: Path, **knobs: object) -> Features:
    return extract(function, clips, progress=False, cache=FeatureCache(folder=folder, **knobs))  # type: ignore[arg-type]


def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr(visit_room, "open_media", opened)


def test_features_come_from_the_cache_mapped_and_nothing_is_decoded(
    many: tuple[Item, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = clips_of(many)
    counts = Counts()
    first = kept(counts, clips, tmp_path)
    assert counts.seen == ITEMS
    np.testing.assert_allclose(first.values, by_hand(many), atol=1e-6)
    assert first.index.tolist() == [i.index for i in many]
    no_decoding(monkeypatch)
    again = kept(counts, clips, tmp_path)
    assert counts.seen == ITEMS
    assert isinstance(again.values, np.memmap)
    np.testing.assert_array_equal(again.values, first.values)
    assert again.values.dtype == np.float32
    (folder,) = tmp_path.iterdir()
    assert sorted(p.name for p in folder.iterdir()) == ["features.json", "index.npy", "values.npy"]
    with pytest.raises(AssertionError, match="was opened"):
        kept(Counts(), clips, tmp_path, use="again")
    with pytest.raises(AssertionError, match="was opened"):
        extract(counts, clips, progress=False)


def test_rows_are_a_view_where_they_lie_together_and_asked_for_by_number() -> None:
    features = Features(values=np.arange(12, dtype=np.float32).reshape(6, 2), index=np.array([9, 4, 7, 1, 3, 0]))
    assert np.shares_memory(features.rows([4, 7, 1]), features.values)
    assert features.rows([4, 7, 1]).tolist() == [[2, 3], [4, 5], [6, 7]]
    assert features.rows([0, 9, 9]).tolist() == [[10, 11], [0, 1], [0, 1]]
    assert features.rows([]).shape == (0, 2)
    with pytest.raises(KeyError, match="no features of 2 items, the first is number 5"):
        features.rows([9, 5, 10])


# --- other processes


def ended(manifest: str, folder: str) -> None:
    torch.set_num_threads(1)
    kept(Counts(end=BLOCK + 100), clips_of(catalogue(Path(manifest)).items), Path(folder))


def share(rank: int, manifest: str, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    counts = Counts()
    clips = clips_of(catalogue(Path(manifest)).items)
    cache = FeatureCache(folder=Path(folder) / "features")
    found = extract(counts, clips, progress=False, cache=cache, ranks=Ranks(rank=rank, world=2))
    np.savez(f"{folder}/{rank}.npz", values=found.values, index=found.index, seen=counts.seen)
    dist.destroy_process_group()


def test_the_killed_are_resumed_and_ranks_share_the_blocks(tmp_path: Path) -> None:
    manifest = pictures(tmp_path / "data", ITEMS)
    items = catalogue(manifest).items
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["avssl.evaluation"])  # importing torch takes longest
    started = [context.Process(target=ended, args=(str(manifest), str(tmp_path / "ended")))]
    started += [context.Process(target=share, args=(rank, str(manifest), str(tmp_path))) for rank in (0, 1)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    assert [p.exitcode for p in started] == [-signal.SIGKILL, 0, 0]

    counts = Counts()
    resumed = kept(counts, clips_of(items), tmp_path / "ended")
    assert counts.seen == ITEMS - BLOCK  # the first block was whole
    np.testing.assert_allclose(resumed.values, by_hand(items), atol=1e-6)

    found = [np.load(tmp_path / f"{rank}.npz") for rank in (0, 1)]
    assert [int(f["seen"]) for f in found] == [BLOCK + 88, BLOCK]
    for f in found:
        np.testing.assert_array_equal(f["values"], resumed.values)
        np.testing.assert_array_equal(f["index"], resumed.index)


# --- damaged files


def test_damaged_files_are_told_again_from_the_cache(
    many: tuple[Item, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two in the first block, all of the second."""
    gone = {3, 200, *range(BLOCK, 2 * BLOCK)}
    items = [replace(i, path=tmp_path / f"gone{n}.png", table=None) if n in gone else i for n, i in enumerate(many)]
    clips = clips_of(items[::-1])  # numbers that descend
    first = kept(Counts(), clips, tmp_path / "cache")
    assert len(first.skipped) == len(gone)
    assert sorted(set(range(ITEMS)) - set(first.index.tolist())) == sorted(gone)
    np.testing.assert_allclose(first.rows([5, 4]), by_hand([many[5], many[4]]), atol=1e-6)
    no_decoding(monkeypatch)
    again = kept(Counts(), clips, tmp_path / "cache")
    assert [str(e) for e in again.skipped] == [str(e) for e in first.skipped]
    assert [Path(e.path).name for e in first.skipped] == [f"gone{n}.png" for n in sorted(gone, reverse=True)]
    with pytest.raises(MediaError, match=f"gone{2 * BLOCK - 1}.png"):
        kept(Counts(), replace(clips, damaged="stop"), tmp_path / "cache")
    nothing = replace(clips, items=tuple(i for i in clips.items if i.index in {3, 200}))
    monkeypatch.undo()
    for _ in range(2):
        with pytest.raises(MediaError, match=r"gone200\.png"):
            kept(Counts(), nothing, tmp_path / "cache")


# --- wrong caches


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def other_header(folder: Path) -> None:
    header = folder / "features.json"
    header.write_text(header.read_text().replace('"rows": 20', '"rows": 19'))


HARM: dict[str, Callable[[Path], None]] = {
    "values cut": lambda f: cut(f / "values.npy"),
    "index cut": lambda f: cut(f / "index.npy"),
    "values gone": lambda f: (f / "values.npy").unlink(),
    "header gone": lambda f: (f / "features.json").unlink(),
    "header cut": lambda f: cut(f / "features.json"),
    "header changed": other_header,
    "header of no sense": lambda f: (f / "features.json").write_text("[1]"),  # type: ignore[dict-item,return-value]
}


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM.keys())
def test_a_wrong_cache_is_made_again(few: tuple[Item, ...], tmp_path: Path, harm: Callable[[Path], None]) -> None:
    counts = Counts()
    kept(counts, clips_of(few), tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    harm(folder)
    again = kept(counts, clips_of(few), tmp_path / "cache")
    assert counts.seen == 40
    np.testing.assert_allclose(again.values, by_hand(few), atol=1e-6)
    kept(counts, clips_of(few), tmp_path / "cache")
    assert counts.seen == 40


def test_a_block_that_is_cut_or_changed_is_not_there(tmp_path: Path) -> None:
    store = Store(tmp_path, items=3)
    store.begin()
    assert not store.has(0)
    block = tmp_path / "block-000000"
    for _ in range(2):
        store.write(0, np.ones((2, 4), np.float32), [5, 7], [(6, MediaError("x", "y", "z"))])
        assert store.has(0)
        content = block.read_bytes()
        block.write_bytes(content[:-1])
        assert not store.has(0)
        block.write_bytes(content[:-1] + b"x")
        assert not store.has(0)
    with pytest.raises(MediaError, match="run it again"):
        store.finish()
    store.write(0, np.ones((2, 4), np.float32), [5, 7], [(6, MediaError("x", "y", "z"))])
    found = store.finish()
    assert found.index.tolist() == [5, 7]
    assert [(i, str(e)) for i, e in found.damaged] == [(6, "x: y; z")]
    found.values[0] = 9  # in memory only
    again = store.opened()
    assert again is not None
    assert again.values.tolist() == [[1] * 4] * 2


def test_what_cannot_be_written_is_told_and_not_kept(
    few: tuple[Item, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    found = kept(mean_colour, clips_of(few), tmp_path / "file" / "cache")
    assert len(found.values) == 20
    assert "choose another folder" in capsys.readouterr().err
    with pytest.raises(MediaError, match="cannot be written"):
        Store(tmp_path / "file", items=1).write(0, np.ones((1, 1)), [0], [])


# --- what features are of


def test_the_key_follows_all_that_features_depend_on_and_no_more(few: tuple[Item, ...]) -> None:
    def key(items: Sequence[Item] = few, view: View = VIEW, **knobs: int) -> str:
        clips = Clips.of(items, *view.evaluation(knobs.get("clips", 1), crops=knobs.get("crops", 1)))
        return data_key(clips, modality="video")

    keys = [key(), key(few[:-1]), key(view=replace(VIEW, size=9)), key(clips=2), key(crops=3)]
    keys.append(data_key(Clips.of(few, *VIEW.evaluation(1), seed=1), modality="video"))
    keys.append(data_key(clips_of(few), modality="sound"))
    keys.append(key([replace(i, path=i.path.parent / ".." / "few" / "other.png") for i in few]))
    assert key([replace(i, label="another") for i in few]) == keys[0]
    os.utime(few[0].path, ns=(1, 1))
    keys.append(key())
    few[0].path.unlink()
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_a_network_is_told_by_its_weights_and_its_kind() -> None:
    network = tiny_resnet(width=8)
    told = [identity(network), identity(tiny_resnet(width=8)), identity(tiny_resnet(width=8, norm="group"))]
    next(iter(network.net.buffers())).add_(1)
    told += [identity(network), identity(mean_colour), identity(Counts())]
    told += [identity(mean_log_mel(8000)), identity(mean_log_mel(16000))]
    assert len(set(told)) == len(told)
    assert identity(network.eval()) == told[3]
    assert identity(mean_log_mel(8000)) == told[-2]


@dataclass(frozen=True)
class Wraps:
    network: nn.Module


@dataclass(frozen=True)
class Calls:
    call: Callable[[Tensor], Tensor]


class Unnamed:
    others = 0

    def unfit(self, info: object) -> str:
        return ""

    def at(self, epoch: int) -> Unnamed:
        return self

    def __call__(self, info: object, rng: object) -> Plan:
        raise NotImplementedError


def test_what_cannot_be_told_from_others_is_refused(few: tuple[Item, ...], tmp_path: Path) -> None:
    for function in (lambda x: x, nn.Linear(1, 1), Calls(lambda x: x)):
        with pytest.raises(ValueError, match="cannot be cached"):
            kept(function, clips_of(few), tmp_path)
    with pytest.raises(ValueError, match="make it a dataclass"):
        data_key(replace(clips_of(few), sampler=Unnamed()), modality="video")  # type: ignore[arg-type]
    twice = replace(clips_of(few), items=(few[0], few[0]))
    with pytest.raises(ValueError, match="the same number"):
        kept(mean_colour, twice, tmp_path)


def test_only_what_is_missing_is_made(few: tuple[Item, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, other, counts = tiny_resnet(width=8), tiny_resnet(width=8), Counts()
    cache = FeatureCache(folder=tmp_path / "cache")
    extract_all({"a": one, "b": counts}, clips_of(few), progress=False, cache=cache)
    found = extract_all({"a": one, "b": counts, "c": other}, clips_of(few), progress=False, cache=cache)
    assert counts.seen == 20
    plain = extract_all({"a": one, "c": other}, clips_of(few), progress=False)
    for name in plain:
        np.testing.assert_allclose(found[name].values, plain[name].values, rtol=1e-5, atol=1e-6)


def test_half_of_the_room_by_choice(few: tuple[Item, ...], tmp_path: Path) -> None:
    kept(mean_colour, clips_of(few), tmp_path / "full")
    half = kept(mean_colour, clips_of(few), tmp_path / "half", dtype="float16")
    assert half.values.dtype == np.float16
    assert half.rows(half.index.tolist()).dtype == np.float32
    np.testing.assert_allclose(half.values[:, :3], by_hand(few), atol=1e-3)
    sizes = [next(p for p in (tmp_path / n).rglob("values.npy")).stat().st_size - 128 for n in ("full", "half")]
    assert sizes == [20 * 6 * 4, 20 * 6 * 2]
    with pytest.raises(ValueError, match="7e\\+04 is beyond float16"):
        Store(tmp_path, items=1, dtype="float16").write(0, np.full((1, 1), 7e4, np.float32), [0], [])


# --- memory


def anonymous() -> int:
    """Memory of this process that is no file's, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


class Wide:
    """Many numbers of each clip; notes how much memory there is in use."""

    identity = "wide"

    def __init__(self) -> None:
        self.used: list[int] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.used.append(anonymous())
        return (x.float().mean(dim=(1, 3, 4)) / 255).repeat(1, 4096)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_features_need_no_memory_of_their_size(tmp_path: Path) -> None:
    """tools/bench_extract.py --items 100000 does it with as many."""
    blocks = 10
    items = catalogue(pictures(tmp_path / "data", blocks * BLOCK, colours=1)).items
    wide = Wide()
    found = kept(wide, clips_of(items), tmp_path / "cache")
    size = found.values.nbytes
    assert size == blocks * BLOCK * 12288 * 4
    assert max(wide.used) - wide.used[0] < size / blocks * 4  # a block, its copy, and what the allocator holds back
    before = anonymous()
    assert np.shares_memory(found.rows(found.index.tolist()), found.values)
    assert found.values[:, 0].max() == pytest.approx(0, abs=1e-6)
    assert anonymous() - before < size / 10


# --- evaluations


def test_three_crops_along_the_longer_side_are_averaged(tmp_path: Path) -> None:
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, :8, 0], wide[:, 8:16, 1], wide[:, 16:, 2] = 255, 255, 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    (item,) = catalogue(tmp_path).items
    for sides, crops in ((("red", "green", "blue"), 3), (("green",), 1)):
        sampler, transform = replace(VIEW, size=7).evaluation(1, crops=crops)
        found = extract(mean_colour, Clips.of([item], sampler, transform, workers=0), progress=False)
        expected = [("red" in sides) / crops, 1 / crops, ("blue" in sides) / crops]
        np.testing.assert_allclose(found.values[0, :3], expected, atol=0.06)
    with pytest.raises(ValueError, match="crops 2"):
        Evaluation(crops=2)


def test_a_second_evaluation_of_a_run_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = pictures(tmp_path / "data", 24, colours=12)
    run = tmp_path / "run"
    torch.manual_seed(7)  # not that of random init
    save_encoder(tiny_resnet(width=8), run / "encoder.safetensors")
    choice = Evaluation(
        protocols=("linear", "knn", "retrieval", "coclr", "layers", "attentive", "vote"),
        windows=2,
        clips=1,
        crops=3,
        linear=LinearProbe(costs=(0.1,)),
        workers=0,
        cache=FeatureCache(folder=tmp_path / "cache"),
    )

    def scores() -> list[object]:
        view = {"frames": 1, "size": 8}
        return list(evaluate_runs([run], data=manifest, choice=choice, view=view, progress=False)[0])

    first = scores()
    strips = np.load(run / "neighbours.npz")["strips"]
    with monkeypatch.context() as patch:
        no_decoding(patch)
        assert scores() == first
    np.testing.assert_array_equal(np.load(run / "neighbours.npz")["strips"], strips)
    assert len([p for p in (tmp_path / "cache").iterdir() if p.name != "strips"]) == 20  # of random init and naive, too
    shutil.rmtree(tmp_path / "cache" / "strips")
    with monkeypatch.context() as patch:
        no_decoding(patch)
        with pytest.raises(AssertionError, match="was opened"):
            scores()
