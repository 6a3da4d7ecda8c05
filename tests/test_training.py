"""The training loop: bit-identical for any number of workers, exact resume from any step, ranks that equal one."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch

from avssl.core import Example, MediaError
from avssl.data import Clips, catalogue, epoch_order
from avssl.encoders import EachHead, Encoder, Projector, load_encoder, tiny_r2plus1d
from avssl.losses import InfoNCE
from avssl.media.toybox import Toybox, make_toybox
from avssl.samplers import Pace, RandomClips
from avssl.tasks import Classify, Contrast, Momentum, Queue, SlowCopy, Task
from avssl.training import Run, Train, fit, start
from avssl.training.optimisers import Optimisers
from avssl.training.schedules import rate
from avssl.transforms import ColourJitter, RandomCrop

TESTS = Path(__file__).parent


@pytest.fixture(scope="module")
def toybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 training clips and 8 test clips of 2 s."""
    return make_toybox(Toybox(train=24, test=8, seconds=2.0, size=48), tmp_path_factory.mktemp("toybox"))


@dataclass(frozen=True, kw_only=True)
class Config:
    train: Train


def pace_clips(toybox: Path, workers: int = 2) -> Clips:
    transform = RandomCrop(32, short_side=40) | ColourJitter(scope="frame")
    items = catalogue(toybox).where(split="train").items
    return Clips.of(items, Pace(frames=4, paces=(1, 2, 4)), transform, workers=workers)


def pace_task() -> Task:
    encoder = tiny_r2plus1d(width=8)
    return Classify(encoder, EachHead(encoder.dim, 3, dropout=0.2), label="pace")


def moco_clips(toybox: Path) -> Clips:
    items = catalogue(toybox).where(split="train").items
    return Clips.of(items, RandomClips(n=2, frames=4), RandomCrop(32, short_side=40))


def repeated_clips(toybox: Path) -> Clips:
    return replace(pace_clips(toybox), repeats=2)


def moco_task() -> Task:
    encoder = tiny_r2plus1d(width=8)
    projector = Projector(encoder.dim, 16)
    memory, slow = Queue(24, dim=16, with_batch=True), Momentum(0.9)
    return Contrast(encoder, projector, criterion=InfoNCE(0.2), negatives=memory, target=slow)


def begin(out: Path, **knobs: Any) -> Run:
    train = Train(out=out, batch_size=8, epochs=3, device="cpu", probe_every=0)
    return start(Config(train=replace(train, **knobs)))


def lines(folder: Path, kind: str = "step") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [f for f in found if f["kind"] == kind]


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(int(f["step"]), float(f["loss"])) for f in lines(folder)]


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_encoder(run.folder / "encoder.safetensors").state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_a_run_leaves_what_it_promises(toybox: Path, tmp_path: Path) -> None:
    run = fit(begin(tmp_path / "run"), pace_task(), pace_clips(toybox))
    assert [s for s, _ in losses(run.folder)] == list(range(9))
    (first, *_) = lines(run.folder)
    assert {"epoch", "lr", "accuracy", "clips_per_second", "waiting", "seconds"} <= first.keys()
    assert 0 <= first["waiting"] <= 1
    times = lines(run.folder, "time")
    assert [(t["step"], t["epoch"], t["examples"]) for t in times] == [(2, 0, 24), (5, 1, 24), (8, 2, 24)]
    for t in times:
        assert min(t[f"{n}_seconds"] for n in ("waiting", "transform", "step", "decode", "convert")) > 0
        assert t["sound_seconds"] < t["decode_seconds"]  # there is none
    draws = json.loads((run.folder / "draws.json").read_text())
    assert len(draws) == 8
    assert all((run.folder / d["file"]).exists() for d in draws)
    assert json.loads((run.folder / "config.json").read_text())["train"]["batch_size"] == 8


def test_the_same_losses_to_the_bit_for_any_number_of_workers(toybox: Path, tmp_path: Path) -> None:
    runs = [fit(begin(tmp_path / str(w)), pace_task(), pace_clips(toybox, workers=w)) for w in (0, 1, 4)]
    runs.append(fit(begin(tmp_path / "p"), pace_task(), replace(pace_clips(toybox), reading="processes")))
    assert multiprocessing.active_children() == []
    assert losses(runs[0].folder) == losses(runs[1].folder) == losses(runs[2].folder) == losses(runs[3].folder)
    assert same(weights(runs[0]), weights(runs[2]))
    other = fit(begin(tmp_path / "other", seed=1), pace_task(), pace_clips(toybox))
    assert losses(other.folder) != losses(runs[0].folder)


class Stopped(Exception):
    """The power went out."""


def dying(after_step: Any, *, after: int) -> Any:
    """A step that fails in the middle, when the optimiser has moved already and the slow copy has not."""
    done = 0

    def step(self: Task, progress: float) -> None:
        nonlocal done
        if done == after:
            raise Stopped
        done += 1
        after_step(self, progress)

    return step


@pytest.mark.parametrize("stop", [1, 4])
@pytest.mark.parametrize("method", ["pace", "moco", "repeated"])
def test_resuming_equals_never_stopping(
    toybox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, stop: int
) -> None:
    make_task, make_clips = (moco_task, moco_clips) if method == "moco" else (pace_task, pace_clips)
    if method == "repeated":
        make_clips = repeated_clips
    whole = fit(begin(tmp_path / "whole"), make_task(), make_clips(toybox))

    with monkeypatch.context() as patch:
        kind = type(make_task())
        patch.setattr(kind, "after_step", dying(kind.after_step, after=stop))
        with pytest.raises(Stopped):
            fit(begin(tmp_path / "cut", checkpoint_every=1), make_task(), make_clips(toybox))
    resumed = fit(begin(tmp_path / "cut", checkpoint_every=1, resume=True), make_task(), make_clips(toybox))
    assert losses(resumed.folder) == losses(whole.folder)
    assert same(weights(resumed), weights(whole))


def test_a_run_that_is_killed_resumes_as_if_never_stopped(tmp_path: Path) -> None:
    flags = ["--frames", "4", "--size", "32", "--data.toybox.train", "24", "--data.toybox.test", "12"]
    flags += ["--data.toybox.seconds", "2", "--train.batch-size", "8", "--train.epochs", "4"]
    flags += ["--train.checkpoint-every", "2", "--train.device", "cpu", "--train.probe-every", "0"]
    command = [sys.executable, str(TESTS.parent / "recipes" / "pace.py"), *flags, "--train.out"]
    environment = os.environ | {"AVSSL_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], env=environment, check=True, capture_output=True)
    process = subprocess.Popen(
        [*command, str(tmp_path / "cut")], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    metrics = tmp_path / "cut" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_text().count("\n") >= 5):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    subprocess.run(
        [*command, str(tmp_path / "cut"), "--train.resume"], env=environment, check=True, capture_output=True
    )
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_two_ranks_equal_one(toybox: Path, tmp_path: Path) -> None:
    script = str(TESTS / "ranks_script.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "AVSSL_CACHE": str(tmp_path / "cache")}
    one = [sys.executable, script, str(toybox), str(tmp_path / "one")]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two = [*launcher, script, str(toybox), str(tmp_path / "two")]
    for command in (one, two):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    a, b = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(a) == 6
    assert [s for s, _ in a] == [s for s, _ in b]
    for (_, x), (_, y) in zip(a, b, strict=True):
        assert x == pytest.approx(y, abs=1e-5)
    probes = [{f["name"]: f["value"] for f in lines(tmp_path / n, "probe")} for n in ("one", "two")]
    assert probes[0].keys() == {"held-out loss", "held-out accuracy", "held-out spread"}
    for name in ("held-out loss", "held-out accuracy"):  # the spread is that of a rank's own examples
        assert probes[0][name] == pytest.approx(probes[1][name], abs=1e-5)
    first, second = (load_encoder(tmp_path / n / "encoder.safetensors").state_dict() for n in ("one", "two"))
    for name in first:
        assert torch.allclose(first[name], second[name], atol=1e-5), name


def test_two_ranks_skip_a_damaged_file_and_resume_as_if_never_stopped(toybox: Path, tmp_path: Path) -> None:
    script = str(TESTS / "ranks_resume_script.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "AVSSL_CACHE": str(tmp_path / "cache")}
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launcher, script, str(toybox), str(tmp_path)], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert losses(whole) == losses(cut)
    first, second = (load_encoder(f / "encoder.safetensors").state_dict() for f in (whole, cut))
    assert same(first, second), "the running statistics are not those of the first rank"
    for folder in (whole, cut):  # whichever rank met it, once an epoch
        assert [Path(e["path"]).name for e in lines(folder, "event")] == ["gone.mp4"] * 2


def test_a_file_damaged_since_the_scan_is_told_and_left_out(
    toybox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = pace_clips(toybox)
    order = epoch_order(len(clips), seed=0, epoch=0)
    gone = clips.items[order[4]]  # in the first batch, and among the examples that are drawn to be shown
    items = tuple(replace(i, path=i.path.with_name("gone.mp4")) if i == gone else i for i in clips.items)
    run = fit(begin(tmp_path / "run", epochs=2), pace_task(), replace(clips, items=items, damaged="skip"))
    events = lines(run.folder, "event")
    assert [(Path(e["path"]).name, e["what"]) for e in events] == [("gone.mp4", "skipped")] * 2
    assert events[0]["step"] == 0
    assert len(losses(run.folder)) == 6
    assert "gone.mp4" in capsys.readouterr().err
    assert len(json.loads((run.folder / "draws.json").read_text())) == 7
    fit(begin(tmp_path / "run", epochs=2, resume=True), pace_task(), replace(clips, items=items, damaged="skip"))
    assert lines(run.folder, "event") == events


def test_an_epoch_that_was_saved_but_not_probed_is_probed_when_resumed(toybox: Path, tmp_path: Path) -> None:
    asked = 0

    def dies(encoders: Any) -> list[tuple[str, float]]:
        nonlocal asked
        asked += 1
        if asked == 2:  # the first time is before the first step
            raise Stopped
        return []

    knobs = {"checkpoint_every": 3, "probe_every": 1, "epochs": 1}  # an epoch has 3 steps
    with pytest.raises(Stopped):
        fit(begin(tmp_path / "run", **knobs), pace_task(), pace_clips(toybox), probes=[dies])
    run = begin(tmp_path / "run", **knobs, resume=True)
    fit(run, pace_task(), pace_clips(toybox), probes=[lambda encoders: [("answer", 42.0)]])
    assert [(f["step"], f["value"]) for f in lines(run.folder, "probe")] == [(0, 42.0), (3, 42.0)]
    assert [s for s, _ in losses(run.folder)] == [0, 1, 2]


def test_a_stopped_run_leaves_no_reading_thread(toybox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    monkeypatch.setattr(Classify, "after_step", dying(Classify.after_step, after=0))
    with pytest.raises(Stopped) as stopped:
        fit(begin(tmp_path / "run"), pace_task(), pace_clips(toybox))
    assert threading.active_count() == before  # while the traceback still holds the loop's frames
    assert stopped.tb is not None


def test_resuming_a_finished_run_changes_nothing(toybox: Path, tmp_path: Path) -> None:
    run = fit(begin(tmp_path / "run", probe_every=1), pace_task(), pace_clips(toybox))
    told, found = run.metrics.read_text(), weights(run)
    fit(begin(tmp_path / "run", probe_every=1, resume=True), pace_task(), pace_clips(toybox))
    assert run.metrics.read_text() == told
    assert same(weights(run), found)


def test_resuming_an_empty_folder_starts_from_the_beginning(toybox: Path, tmp_path: Path) -> None:
    run = fit(begin(tmp_path / "new", resume=True), pace_task(), pace_clips(toybox))
    assert [s for s, _ in losses(run.folder)] == list(range(9))


def test_resuming_with_other_choices_tells_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin(tmp_path / "run")
    begin(tmp_path / "run", resume=True, checkpoint_every=5)
    assert capsys.readouterr().err == ""
    begin(tmp_path / "run", resume=True, lr=0.5)
    said = capsys.readouterr().err
    assert "--train.lr: 0.001 → 0.5" in said
    assert said.count("--") == 1


def test_runs_that_start_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda form: "then")
    folders = [start(Config(train=Train(device="cpu"))).folder for _ in range(3)]
    assert len(set(folders)) == 3


class TestLoggers:
    @pytest.mark.parametrize("name", ["wandb", "trackio"])
    def test_steps_and_probes_reach_a_logger_which_is_then_finished(
        self, toybox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        library = MagicMock()
        monkeypatch.setitem(sys.modules, name, library)
        knobs = {"epochs": 1, "probe_every": 1, "loggers": (name,)}
        fit(begin(tmp_path / "run", **knobs), pace_task(), pace_clips(toybox), probes=[lambda e: [("answer", 42.0)]])
        assert library.init.call_args.kwargs["config"]["train"]["batch_size"] == 8
        logged = [(c.kwargs["step"], c.args[0]) for c in library.log.call_args_list]
        assert [s for s, _ in logged] == [0, 0, 1, 2, 3]
        assert logged[0][1] == {"probe/answer": 42.0}  # before the first step
        assert logged[1][1]["loss"] == losses(tmp_path / "run")[0][1]
        assert logged[-1][1] == {"probe/answer": 42.0}
        library.finish.assert_called_once_with()

    def test_tensorboard_is_closed_so_that_its_last_lines_are_written(
        self, toybox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        library = MagicMock()
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", library)
        fit(begin(tmp_path / "run", epochs=1, loggers=("tensorboard",)), pace_task(), pace_clips(toybox))
        writer = library.SummaryWriter.return_value
        assert ("loss", losses(tmp_path / "run")[2][1], 2) in [c.args for c in writer.add_scalar.call_args_list]
        assert writer.method_calls[-1][0] == "close"

    def test_a_logger_that_is_not_installed_is_an_error_with_a_remedy(
        self, toybox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "wandb", None)
        with pytest.raises(ModuleNotFoundError, match=r"avssl\[wandb\]"):
            fit(begin(tmp_path / "run", loggers=("wandb",)), pace_task(), pace_clips(toybox))


def test_micro_batches_add_up_to_the_batch(toybox: Path, tmp_path: Path) -> None:
    def task() -> Task:
        encoder = tiny_r2plus1d(width=8, norm="group")
        return Classify(encoder, EachHead(encoder.dim, 3), label="pace")

    whole = fit(begin(tmp_path / "1"), task(), pace_clips(toybox))
    parts = fit(begin(tmp_path / "4", accumulate=4), task(), pace_clips(toybox))
    for (_, x), (_, y) in zip(losses(whole.folder), losses(parts.folder), strict=True):
        assert x == pytest.approx(y, abs=1e-4)


class TestWeightsFromElsewhere:
    def test_a_run_starts_from_the_encoders_of_another(self, toybox: Path, tmp_path: Path) -> None:
        first = fit(begin(tmp_path / "first", epochs=1), pace_task(), pace_clips(toybox))
        for init in (first.folder, first.folder / "encoder.safetensors"):
            task = moco_task()
            run = fit(begin(tmp_path / f"from {init.name}", epochs=0, init=init), task, moco_clips(toybox))
            assert same(weights(run), weights(first))
            assert isinstance(task, Contrast)
            assert isinstance(task.target, SlowCopy)
            assert same(task.target.copy.state_dict(), task.online.state_dict())  # the slow copy starts there, too

    def test_a_resumed_run_goes_on_from_its_own(self, toybox: Path, tmp_path: Path) -> None:
        first = fit(begin(tmp_path / "first", epochs=1), pace_task(), pace_clips(toybox))
        knobs = {"init": first.folder, "epochs": 2}
        whole = fit(begin(tmp_path / "whole", **knobs), pace_task(), pace_clips(toybox))
        fit(begin(tmp_path / "cut", **knobs | {"epochs": 1}, schedule="constant"), pace_task(), pace_clips(toybox))
        resumed = fit(
            begin(tmp_path / "cut", **knobs, resume=True, schedule="constant"), pace_task(), pace_clips(toybox)
        )
        assert losses(whole.folder)[0] == losses(resumed.folder)[0]
        assert len(losses(resumed.folder)) == 6
        assert not same(weights(resumed), weights(first))

    def test_what_does_not_fit_or_is_not_there_is_named(self, toybox: Path, tmp_path: Path) -> None:
        first = fit(begin(tmp_path / "first", epochs=0), pace_task(), pace_clips(toybox))
        wider = tiny_r2plus1d(width=16)
        task = Classify(wider, EachHead(wider.dim, 3), label="pace")
        with pytest.raises(ValueError, match="does not fit"):
            fit(begin(tmp_path / "wider", init=first.folder), task, pace_clips(toybox))
        with pytest.raises(MediaError, match=r"no encoder\.safetensors in it"):
            fit(begin(tmp_path / "none", init=tmp_path), pace_task(), pace_clips(toybox))


def test_held_out_items_are_measured_and_not_trained_on(toybox: Path, tmp_path: Path) -> None:
    clips = pace_clips(toybox)
    test = Clips.of(catalogue(toybox).where(split="test").items, clips.sampler, clips.transform)
    alone = fit(begin(tmp_path / "alone"), pace_task(), clips)
    both = fit(begin(tmp_path / "both", probe_every=1), pace_task(), replace(clips, held_out=test))
    assert losses(alone.folder) == losses(both.folder)
    found = lines(both.folder, "probe")
    assert {f["name"] for f in found} == {"held-out loss", "held-out accuracy"}
    assert [(f["step"], f["epoch"]) for f in found[::2]] == [(0, 0), (3, 0), (6, 1), (9, 2)]


def test_a_probe_sees_the_encoders_and_changes_nothing(toybox: Path, tmp_path: Path) -> None:
    def probe(encoders: Any) -> list[tuple[str, float]]:
        assert isinstance(encoders["video"], Encoder)
        assert not encoders["video"].training
        torch.rand(3)
        return [("answer", 42.0)]

    plain = fit(begin(tmp_path / "plain"), pace_task(), pace_clips(toybox))
    probed = fit(begin(tmp_path / "probed", probe_every=2), pace_task(), pace_clips(toybox), probes=[probe])
    assert losses(plain.folder) == losses(probed.folder)
    assert [(f["step"], f["value"]) for f in lines(probed.folder, "probe")] == [(0, 42.0), (6, 42.0), (9, 42.0)]


def test_going_on_with_other_data_is_told(toybox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = pace_clips(toybox)
    fit(begin(tmp_path / "run", epochs=1), pace_task(), clips)
    fit(begin(tmp_path / "run", epochs=2, resume=True), pace_task(), clips)
    assert "other data" not in capsys.readouterr().err
    fit(begin(tmp_path / "run", epochs=3, resume=True), pace_task(), replace(clips, items=clips.items[:-2]))
    told = capsys.readouterr().err
    assert "goes on with other data than it began with: 24 items" in told
    assert "22 items" in told


class Diverging(Classify):
    """A task whose loss is not a number."""

    def forward(self, batch: Example) -> dict[str, torch.Tensor]:
        out = super().forward(batch)
        return out | {"loss": out["loss"] * float("nan")}


def test_a_loss_that_is_no_number_stops_the_run(toybox: Path, tmp_path: Path) -> None:
    encoder = tiny_r2plus1d(width=8)
    task = Diverging(encoder, EachHead(encoder.dim, 3), label="pace")
    with pytest.raises(FloatingPointError, match="step 0 is nan"):
        fit(begin(tmp_path / "run"), task, pace_clips(toybox))


def test_too_few_items_for_a_batch_are_an_error_with_a_remedy(toybox: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"24 items do not fill one batch of 64.*--train\.batch-size"):
        fit(begin(tmp_path / "run", batch_size=64), pace_task(), pace_clips(toybox))


def test_each_of_several_examples_of_an_item_is_a_part_of_the_batch(toybox: Path, tmp_path: Path) -> None:
    clips = replace(pace_clips(toybox), repeats=4)
    run = fit(begin(tmp_path / "run", epochs=1), pace_task(), clips)
    assert [s for s, _ in losses(run.folder)] == list(range(12))  # 24 items × 4 examples in batches of 8
    with pytest.raises(ValueError, match=r"4 examples of a visit.*--data\.repeats"):
        fit(begin(tmp_path / "parts", accumulate=4), pace_task(), clips)


def test_a_run_folder_is_never_overwritten(toybox: Path, tmp_path: Path) -> None:
    fit(begin(tmp_path / "run"), pace_task(), pace_clips(toybox))
    with pytest.raises(ValueError, match="already holds a run"):
        begin(tmp_path / "run")


def test_no_epochs_still_show_what_is_drawn(toybox: Path, tmp_path: Path) -> None:
    run = fit(begin(tmp_path / "run", epochs=0), pace_task(), pace_clips(toybox))
    assert (run.folder / "draws.json").exists()
    assert lines(run.folder) == []


class TestSchedules:
    def test_warm_up_rises_to_the_rate_and_cosine_falls_to_zero(self) -> None:
        train = Train(epochs=10, warmup=2, lr=0.4)
        assert [rate(train, e) for e in (0, 1, 2, 6, 10)] == pytest.approx([0, 0.2, 0.4, 0.2, 0])

    def test_steps_multiply_at_the_milestones(self) -> None:
        train = Train(epochs=10, lr=1.0, schedule="steps", milestones=(3, 6), gamma=0.1)
        assert [rate(train, e) for e in (0, 2.9, 3, 6)] == pytest.approx([1, 1, 0.1, 0.01])

    def test_constant_stays(self) -> None:
        assert rate(Train(schedule="constant", lr=0.3), 12.3) == 0.3


def test_norms_and_biases_have_no_decay() -> None:
    (found,) = Optimisers(pace_task(), Train(weight_decay=0.1)).members
    for group in found.param_groups:
        for p in group["params"]:
            assert (group["weight_decay"] == 0) == (p.ndim < 2)
    assert {g["weight_decay"] for g in found.param_groups} == {0.0, 0.1}


@pytest.mark.parametrize(
    "knobs",
    [
        {"lr": 0.0},
        {"batch_size": 0},
        {"batch_size": 8, "accumulate": 3},
        {"epochs": -1},
        {"warmup": -1},
        {"probe_every": -1},
        {"resume": True},
    ],
)
def test_choices_that_make_no_sense_are_errors(knobs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="train: "):
        Train(**knobs)
