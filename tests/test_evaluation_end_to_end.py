"""From files to scores: extraction, the live probe, whole evaluations, run folders and the tool, on a small toybox."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avssl.core import MediaError
from avssl.data import Catalogue, Clips, Data, Item, View, catalogue, collate
from avssl.encoders import Encoder, fingerprint, reinitialised, save_encoder, sound_vgg, tiny_r2plus1d
from avssl.evaluation import (
    AttentiveProbe,
    Evaluation,
    FeatureCache,
    Findings,
    Fractions,
    Labelled,
    LinearProbe,
    LinearSVM,
    ManyLabelProbe,
    NearestNeighbours,
    Probe,
    Retrieval,
    SGDProbe,
    Split,
    Unscorable,
    evaluate,
    evaluate_runs,
    extract,
    extract_all,
    load_head,
    load_trained,
    mean_colour,
    probes,
    read_scores,
    transfer,
)
from avssl.evaluation import probe as probe_room
from avssl.evaluation.windows import Window, together
from avssl.media.toybox import Toybox, make_toybox
from avssl.training import Ranks, Run, Train

VIEW = View(frames=4, step=2, size=24, sound=0.5, sample_rate=8000)
TOYBOX = Toybox(
    train=20,
    test=10,
    seconds=1.0,
    sample_rate=8000,
    size=32,
    motions=("bounce", "slow_orbit", "grow", "static", "swing"),
)
QUICK = LinearProbe(costs=(0.1,))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Networks this small lose time by more threads, most of all where tests run beside one another."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def toybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toybox(TOYBOX, root=tmp_path_factory.mktemp("toybox"))


@pytest.fixture(scope="module")
def everything(toybox: Path) -> Catalogue:
    return catalogue(toybox)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    torch.manual_seed(0)
    return tiny_r2plus1d(width=8)


def clips_of(items: Sequence[Item], n: int = 2, modality: str = "video") -> Clips:
    sampler, transform = VIEW.evaluation(n, modality=modality)
    return Clips.of(items, sampler, transform, workers=0)


def test_features_are_the_mean_over_the_clips_in_eval_mode(everything: Catalogue, encoder: Encoder) -> None:
    clips = clips_of(everything.items[:5])
    found = extract(encoder, clips, batch_size=2, progress=False)
    assert found.values.dtype == np.float32
    assert found.index.tolist() == [i.index for i in everything.items[:5]]
    for position, row in enumerate(found.values):
        example = collate([clips.example(position)])
        assert clips.transform is not None
        example = clips.transform.apply(example)
        encoder.eval()
        with torch.no_grad():
            one = torch.stack([encoder(c.video)[0] for c in example.clips if c.video is not None])
        assert len(one) == 2
        np.testing.assert_allclose(row, one.mean(dim=0).numpy(), rtol=1e-4, atol=1e-5)


def test_extraction_leaves_every_module_and_statistic_as_it_was(everything: Catalogue) -> None:
    network = tiny_r2plus1d(width=8)
    network.train()
    children = list(network.children())
    children[0].eval()  # a frozen part of a network in training
    modes = [m.training for m in network.modules()]
    before = {k: v.clone() for k, v in network.state_dict().items()}
    extract(network, clips_of(everything.items[:2]), progress=False)
    assert [m.training for m in network.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_an_encoder_that_fails_is_put_back_in_its_mode(everything: Catalogue) -> None:
    class Breaks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("broken")

    network = Breaks().train()
    with pytest.raises(RuntimeError, match="broken"):
        extract(network, clips_of(everything.items[:2]), progress=False)
    assert network.training


def test_several_encoders_share_a_pass_and_batches_do_not_matter(everything: Catalogue, encoder: Encoder) -> None:
    clips = clips_of(everything.items[:5])
    both = extract_all({"a": encoder, "b": mean_colour}, clips, batch_size=3, progress=False)
    np.testing.assert_allclose(both["b"].values, extract(mean_colour, clips, batch_size=5, progress=False).values)
    alone = extract(encoder, clips, batch_size=5, progress=False).values
    np.testing.assert_allclose(both["a"].values, alone, rtol=1e-4, atol=1e-5)


def test_a_missing_modality_and_a_feature_that_is_no_vector_are_named(everything: Catalogue) -> None:
    clips = clips_of(everything.items[:2])
    with pytest.raises(ValueError, match="hold no sound"):
        extract(mean_colour, clips, modality="sound", progress=False)
    with pytest.raises(ValueError, match=r"an encoder gives \(B, D\)"):
        extract(lambda x: x.float(), clips, progress=False)


def test_every_floor_stands_beside_the_encoder_and_all_is_repeatable_and_written(
    everything: Catalogue, encoder: Encoder, tmp_path: Path
) -> None:
    choice = Evaluation(clips=1, linear=QUICK, probe_seeds=(0, 1), workers=0)
    findings = evaluate({"video": encoder}, everything.items, view=VIEW, choice=choice, progress=False)
    names = {s.encoder for s in findings.scores}
    assert names == {"pretrained", "random init", "mean colour", "frame difference"}
    assert {(s.protocol, s.metric) for s in findings.scores} == {
        ("linear probe", "top-1"),
        ("kNN", "top-1"),
        ("retrieval", "R@1"),
        ("retrieval", "R@5"),
        ("retrieval", "R@10"),
    }
    assert {s.seed for s in findings.scores if s.encoder == "random init"} == {0, 1}
    assert all(s.low <= s.value <= s.high for s in findings.scores)
    assert {(s.n_train, s.n_test) for s in findings.scores} == {(20, 10)}
    # the same question once more gives the same answers
    again = evaluate({"video": encoder}, everything.items, view=VIEW, choice=choice, progress=False)
    assert again.scores == findings.scores
    findings.write(tmp_path, command="c", data="d", hardware="h")
    assert read_scores(tmp_path / "scores.json") == list(findings.scores)
    confusion = json.loads((tmp_path / "confusion.json").read_text())
    assert confusion["labels"] == sorted(TOYBOX.motions)
    assert np.array(confusion["matrix"]).sum(axis=1).tolist() == [2] * 5
    strips = np.load(tmp_path / "neighbours.npz")["strips"]
    words = json.loads((tmp_path / "neighbours.json").read_text())
    assert (strips.dtype, strips.shape) == (np.uint8, (8, 6, 4, 24, 24, 3))
    assert np.array(words["labels"]).shape == np.array(words["paths"]).shape == (8, 6)
    where = {str(i.path): i for i in everything}
    assert all(where[row[0]].split == "test" for row in words["paths"])
    assert all(where[p].split == "train" for row in words["paths"] for p in row[1:])
    assert all(
        where[p].label == label
        for paths, labels in zip(words["paths"], words["labels"], strict=True)
        for p, label in zip(paths, labels, strict=True)
    )


def test_sound_is_evaluated_beside_its_own_floor(everything: Catalogue) -> None:
    torch.manual_seed(0)
    choice = Evaluation(label=("timbre",), clips=2, linear=QUICK, workers=0)
    findings = evaluate(
        {"sound": sound_vgg(sample_rate=8000)}, everything.items, view=VIEW, choice=choice, progress=False
    )
    assert {s.encoder for s in findings.scores} == {"pretrained", "random init", "mean log-mel"}
    assert all(s.protocol.endswith(" on sound") for s in findings.scores)
    assert findings.neighbours is None


def test_folds_test_every_item_once(everything: Catalogue, encoder: Encoder) -> None:
    columns = [{**i.columns, "fold": str(n // 5 % 3)} for n, i in enumerate(everything)]
    items = [replace(i, columns=c, group="") for i, c in zip(everything, columns, strict=True)]
    split = Split(folds="fold")
    choice = Evaluation(
        label=("appearance",),
        clips=1,
        split=split,
        linear=QUICK,
        neighbours=NearestNeighbours(k=(1,)),
        retrieval=Retrieval(ranks=(1,)),
        baselines=False,
        workers=0,
    )
    findings = evaluate({"video": encoder}, items, view=VIEW, choice=choice, progress=False)
    knn, retrieved = (next(s for s in findings.scores if s.protocol == p) for p in ("kNN", "retrieval"))
    assert knn.n_test == 30
    assert knn.n_train == 20
    assert set(knn.found) == {"fold 0", "fold 1", "fold 2", "mean class accuracy", "answers"}
    assert knn.value == pytest.approx(np.mean([knn.found[f"fold {n}"]["top-1"] for n in range(3)]))
    assert knn.value == retrieved.value  # the nearest one decides both


def test_leaks_are_found_before_anything_is_decoded(everything: Catalogue, encoder: Encoder) -> None:
    items = [replace(i, group="same", path=Path("nowhere.mp4")) for i in everything]
    with pytest.raises(Unscorable, match="share 1 groups: same"):
        evaluate({"video": encoder}, items, view=VIEW, choice=Evaluation(), progress=False)


# --- the live probe


def test_the_probe_never_sees_the_test_split_and_decodes_once(
    everything: Catalogue, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = [i for i in everything if i.split == "train"]
    probe = Probe(train, view=VIEW, labels={"motion": "label", "appearance": "appearance"}, limit=16, workers=0)
    assert len(probe.items) == 16
    assert {i.split for i in probe.items} == {"train"}
    groups = [{i.group for i, f in zip(probe.items, probe.fits, strict=True) if f == side} for side in (True, False)]
    assert not groups[0] & groups[1]
    generator = torch.get_rng_state()
    first = probe({"video": encoder})
    assert torch.equal(torch.get_rng_state(), generator)
    assert [name for name, _ in first] == [
        "motion linear-probe",
        "appearance linear-probe",
        "effective rank",
        "deviation",
        "uniformity",
        "alignment",
    ]
    assert all(0 <= value <= 1 for _, value in first[:2])

    def decode(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(Clips, "example", decode)
    assert probe({"video": encoder}) == first


def test_the_probe_finds_what_the_encoder_says_and_only_that(everything: Catalogue) -> None:
    """An encoder that is told the label in the first pixel reaches 1; one that says noise stays near chance."""
    train = [replace(i, group="") for i in everything]
    probe = Probe(train, view=VIEW, labels={"motion": "label"}, workers=0)
    classes = sorted(TOYBOX.motions)
    said = {i.index: float(classes.index(i.label)) for i in train}
    clips = clips_of(probe.items)
    shown = {clips.example(p).clips[0].video.sum().item(): i.index for p, i in enumerate(clips.items)}  # type: ignore[union-attr]

    class Tells(nn.Module):
        modality = "video"

        def forward(self, x: Tensor) -> Tensor:
            numbers = [said.get(shown.get(v.sum().item(), -1), -1.0) for v in x]
            return nn.functional.one_hot(torch.tensor(numbers).long() + 1, 6).float()

    assert probe({"video": Tells()})[0][1] == 1.0  # type: ignore[dict-item]


def test_a_collapse_is_told_once_and_the_health_of_the_features_is_logged(
    everything: Catalogue, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    probe = Probe(everything.items, view=VIEW, labels={"motion": "label"}, workers=0)
    before = dict(probe({"video": encoder, "ema": encoder}))
    assert capsys.readouterr().err == ""
    assert 1 < before["effective rank"] == before["effective rank (ema)"]
    assert 0 < before["alignment"] < 4
    collapsed = tiny_r2plus1d(width=8)
    with torch.no_grad():
        for m in list(collapsed.modules()):
            if isinstance(m, nn.BatchNorm3d):
                m.weight.mul_(1e-6)
                m.bias.fill_(1.0)
    after = dict(probe({"video": collapsed}))
    assert after["deviation"] < 0.1 * before["deviation"]
    assert "Collapse of the video encoder: all items have nearly the same" in capsys.readouterr().err
    assert dict(probe({"video": collapsed})) == after
    assert capsys.readouterr().err == ""


def test_the_toybox_is_probed_for_motion_and_appearance_and_other_data_for_their_label(
    toybox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = probes(Data(root=toybox, workers=0), VIEW)
    assert [p.labels for p in other] == [{"label": "label"}]
    monkeypatch.setattr(Data, "source", lambda self: toybox)  # the same files, as those of no root
    own = probes(Data(workers=0), replace(VIEW, sound=None))
    assert [p.labels for p in own] == [{"motion": "label", "appearance": "appearance"}]
    assert {i.split for p in own for i in p.items} == {"train"}


def unlabelled(toybox: Path, manifest: Path) -> Path:
    """A manifest of some files of the toybox, with nothing but their paths."""
    with (toybox / "manifest.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))[:3]
    with manifest.open("w", newline="") as f:
        csv.writer(f).writerows([["path"], *([toybox / r["path"]] for r in rows)])
    return manifest


def test_data_without_labels_have_no_probe(toybox: Path, tmp_path: Path) -> None:
    assert probes(Data(root=unlabelled(toybox, tmp_path / "plain.csv"), workers=0), VIEW) == []


def test_a_probe_on_classes_that_cannot_be_parted_is_refused(everything: Catalogue) -> None:
    with pytest.raises(Unscorable, match="fewer than 2 classes lie on both sides"):
        Probe([replace(i, group=i.label) for i in everything], view=VIEW, labels={"motion": "label"})


def test_labels_that_allow_no_probe_do_not_end_a_run(
    everything: Catalogue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grouped = replace(everything, items=tuple(replace(i, group=i.label) for i in everything))
    monkeypatch.setattr(Data, "catalogue", lambda self: grouped)
    assert probes(Data(root=Path("anywhere")), VIEW) == []
    assert "No probes during pretraining: probe 'label': fewer than 2 classes" in capsys.readouterr().err


def test_of_very_many_classes_the_probe_draws_some(everything: Catalogue) -> None:
    (first, *_) = everything.items
    many = [replace(first, index=n, label=f"class {n % 400}", group="", split="train") for n in range(4000)]
    probe = Probe(many, view=VIEW, labels={"label": "label"}, limit=256)
    counts = Counter(i.label for i in probe.items)
    assert (len(counts), set(counts.values())) == (64, {4})


def test_clips_too_many_to_keep_are_decoded_again(
    everything: Catalogue, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = [i for i in everything if i.split == "train"]
    kept = Probe(train, view=VIEW, labels={"motion": "label"}, workers=0)({"video": encoder})
    monkeypatch.setattr(probe_room, "KEPT_BYTES", 1000)
    probe = Probe(train, view=VIEW, labels={"motion": "label"}, workers=0)
    assert probe({"video": encoder}) == probe({"video": encoder}) == kept
    assert not probe._decoded


# --- damaged files


@pytest.fixture
def hurt(toybox: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the toybox in which a test file is damaged behind its first frames, which a scan does not see."""
    copy = tmp_path / "copy"
    shutil.copytree(toybox, copy)
    path = next(i.path for i in catalogue(copy) if i.split == "test")
    data = bytearray(path.read_bytes())
    start = data.find(b"mdat") + 4
    data[start + 1500 : start + 6000] = bytes(4500)
    path.write_bytes(data)
    return copy, path


def test_damaged_files_are_left_out_of_all_that_is_compared_and_counted(
    hurt: tuple[Path, Path], encoder: Encoder
) -> None:
    folder, path = hurt
    choice = Evaluation(clips=4, linear=QUICK, workers=0)
    items = catalogue(folder).items
    assert len(items) == 30
    findings = evaluate({"video": encoder}, items, view=VIEW, choice=choice, progress=False)
    assert {(s.n_train, s.n_test, s.settings["damaged"]) for s in findings.scores} == {(20, 9, 1)}
    assert [e.path for e in findings.left_out] == [str(path)]
    with pytest.raises(MediaError, match=path.name):
        evaluate({"video": encoder}, items, view=VIEW, choice=replace(choice, damaged="stop"), progress=False)


def test_what_the_cache_lacks_is_left_out_of_all_that_is_compared(
    hurt: tuple[Path, Path], toybox: Path, encoder: Encoder, tmp_path: Path
) -> None:
    folder, path = hurt
    cache = FeatureCache(folder=tmp_path / "features")
    choice = Evaluation(clips=4, protocols=("knn",), workers=0, cache=cache)
    items, stamp = catalogue(folder).items, path.stat()
    evaluate({"video": encoder}, items, view=VIEW, choice=choice, progress=False)
    # as after a disk that failed for a moment: random init and the naive rules are in the cache, another encoder is not
    shutil.copyfile(toybox / path.relative_to(folder), path)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    other = {"video": reinitialised(encoder, 99)}
    findings = evaluate(other, items, view=VIEW, choice=choice, progress=False)
    assert {(s.n_train, s.n_test, s.settings["damaged"]) for s in findings.scores} == {(20, 9, 1)}


def test_the_probe_leaves_damaged_files_out(hurt: tuple[Path, Path], encoder: Encoder) -> None:
    folder, path = hurt
    items = [replace(i, group="") for i in catalogue(folder) if i.split == "test"]
    probe = Probe(items, view=VIEW, labels={"motion": "label"}, clips=4, workers=0)
    (_, value), *_ = probe({"video": encoder})
    assert 0 <= value <= 1
    assert {int(i) for b in probe._decoded["video"] for i in b.index} == {i.index for i in items if i.path != path}


# --- run folders and the tool


def a_run(folder: Path, toybox: Path, seed: int) -> Path:
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    save_encoder(tiny_r2plus1d(width=8), folder / "encoder.safetensors")
    config = {
        "view": {"frames": 4, "step": 2, "size": 24},
        "data": {"root": str(toybox), "splits": ["train"], "toybox": {}},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_run_folder_tells_its_encoder_view_and_data(toybox: Path, tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", toybox, 0)
    trained = load_trained(run)
    assert (trained.folder, list(trained.encoders)) == (run, ["video"])
    assert trained.view == View(frames=4, step=2, size=24)
    assert trained.data.source() == toybox
    single = load_trained(run / "encoder.safetensors")
    assert single.folder == run / "encoder-evaluation"
    assert single.view == trained.view
    with pytest.raises(MediaError, match="no encoder"):
        load_trained(tmp_path)


def test_no_run_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no run to evaluate"):
        evaluate_runs([], choice=Evaluation())


def test_the_tool_scores_several_runs(toybox: Path, tmp_path: Path) -> None:
    runs = [a_run(tmp_path / f"run{n}", toybox, n) for n in range(2)]
    tool = Path(__file__).parent.parent / "tools" / "evaluate.py"
    flags = [
        "--label",
        "label",
        "appearance",
        "--clips",
        "1",
        "--workers",
        "0",
        "--device",
        "cpu",
        "--linear.costs",
        "0.1",
    ]
    done = subprocess.run(
        [sys.executable, str(tool), *map(str, runs), *flags],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "120", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    for wanted in ("pretrained", "random", "mean colour", "±", "chance", "appearance"):
        assert wanted in done.stdout
    scores = [read_scores(r / "scores.json") for r in runs]
    assert [{s.seed for s in of_run if s.encoder == "random init"} for of_run in scores] == [{0}, {1}]
    assert {s.label for of_run in scores for s in of_run} == {"label", "appearance"}


def the_run(folder: Path) -> Run:
    folder.mkdir()
    return Run(folder=folder, train=Train(seed=3), device=torch.device("cpu"), ranks=Ranks())


def test_a_recipe_ends_with_scores(toybox: Path, tmp_path: Path, encoder: Encoder) -> None:
    run = the_run(tmp_path / "run")
    assert transfer(run, {"video": encoder}, Data(root=toybox, workers=0), VIEW) is run
    scores = read_scores(run.folder / "scores.json")
    assert {s.label for s in scores} == {"label"}
    assert {s.seed for s in scores if s.encoder == "random init"} == {3}
    assert (run.folder / "neighbours.npz").exists()


def test_a_recipe_on_data_without_labels_ends_well_and_says_so(
    toybox: Path, tmp_path: Path, encoder: Encoder, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = unlabelled(toybox, tmp_path / "plain.csv")
    run = the_run(tmp_path / "run")
    transfer(run, {"video": encoder}, Data(root=plain, workers=0), VIEW)
    assert "has no labels" in capsys.readouterr().out
    assert list(run.folder.iterdir()) == []


def test_a_leak_is_told_after_training_and_what_was_learnt_stays(
    toybox: Path, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = replace(catalogue(toybox), items=tuple(replace(i, group="same") for i in catalogue(toybox)))
    monkeypatch.setattr(Data, "catalogue", lambda self: shared)
    run = the_run(tmp_path / "run")
    assert transfer(run, {"video": encoder}, Data(root=toybox, workers=0), VIEW) is run
    assert "this is a leak" in capsys.readouterr().out
    assert not (run.folder / "scores.json").exists()


def test_val_stands_in_where_there_is_no_test(
    toybox: Path, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed = [replace(i, split="val" if i.split == "test" else i.split) for i in catalogue(toybox)]
    monkeypatch.setattr(Data, "catalogue", lambda self: replace(catalogue(toybox), items=tuple(renamed)))
    run = the_run(tmp_path / "run")
    transfer(run, {"video": encoder}, Data(root=toybox, workers=0), VIEW)
    assert {s.n_test for s in read_scores(run.folder / "scores.json")} == {10}


@pytest.mark.parametrize("flags", [["nowhere"], ["RUN", "--label", "nothing"]])
def test_the_tool_says_what_is_wrong_without_a_traceback(flags: list[str], toybox: Path, tmp_path: Path) -> None:
    run = a_run(tmp_path / "run", toybox, 0)
    tool = Path(__file__).parent.parent / "tools" / "evaluate.py"
    command = [sys.executable, str(tool), *(f.replace("RUN", str(run)) for f in flags)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert ("no encoder" if flags == ["nowhere"] else "no item has a 'nothing'") in done.stderr


# --- protocols by choice


EVERY = Evaluation(
    protocols=(
        "linear",
        "knn",
        "retrieval",
        "vcop",
        "coclr",
        "selavi",
        "sgd",
        "svm",
        "vote",
        "layers",
        "attentive",
        "fractions",
    ),
    clips=2,
    linear=replace(QUICK, tops=(1, 2)),
    neighbours=NearestNeighbours(k=(1, 10, 200)),
    sgd=SGDProbe(rates=(0.1,), decays=(1e-3,), epochs=5),
    svm=LinearSVM(costs=(1.0,)),
    windows=3,
    layers=200,
    attentive=AttentiveProbe(epochs=2),
    fractions=Fractions(shares=(0.3, 1.0)),
    workers=0,
)


@pytest.fixture(scope="module")
def every(everything: Catalogue, encoder: Encoder) -> Findings:
    items = [replace(i, group="") for i in everything]  # every other item is of the same group here
    return evaluate({"video": encoder}, items, view=VIEW, choice=EVERY, progress=False)


def test_every_protocol_is_scored_under_its_own_name_beside_random_init(every: Findings, encoder: Encoder) -> None:
    wanted = {
        "linear probe": {"top-1", "top-2"},
        "kNN": {"top-1 of 1", "top-1 of 10", "top-1 of 200"},
        "retrieval": {"R@1", "R@5", "R@10"},
        "retrieval (vcop)": {"R@1", "R@5", "R@10", "R@20"},
        "retrieval (coclr)": {"R@1", "R@5", "R@10", "R@20"},
        "retrieval (selavi)": {"R@1", "R@5", "R@10", "R@20"},
        "linear SVM": {"top-1"},
        "linear SVM, voted": {"top-1"},
        "linear probe, SGD": {"top-1"},
        "attentive probe": {"top-1"},
        "linear probe, 30 % of labels": {"top-1", "top-2"},
        "linear probe, 100 % of labels": {"top-1", "top-2"},
    } | {f"linear probe of {tap}": {"top-1", "top-2"} for tap in encoder.taps}
    for name in ("pretrained", "random init"):
        found: dict[str, set[str]] = {}
        for s in every.scores:
            if s.encoder == name:
                found.setdefault(s.protocol, set()).add(s.metric)
        assert found == wanted
    naive = {s.protocol for s in every.scores if s.encoder == "mean colour"}
    assert naive == {p for p in wanted if p != "attentive probe" and not p.startswith("linear probe of")}
    few = [s for s in every.scores if s.protocol == "linear probe, 30 % of labels" and s.metric == "top-1"]
    assert [s.seed for s in few if s.encoder == "pretrained"] == [0, 1, 2]
    assert {s.n_train for s in few} == {5}  # round(0.3 · 4) of each of five motions
    clips = {s.protocol: s.settings["clips"] for s in every.scores}
    assert (clips["linear probe"], clips["retrieval (vcop)"], clips["retrieval (coclr)"]) == (2, 10, 10)
    whole = {(s.encoder, s.protocol): s.value for s in every.scores if s.metric == "top-1"}
    assert whole["pretrained", "linear probe"] == whole["pretrained", "linear probe, 100 % of labels"]


def test_heads_are_kept_and_answer_again(
    every: Findings, everything: Catalogue, encoder: Encoder, tmp_path: Path
) -> None:
    every.write(tmp_path)
    files = sorted(p.name for p in (tmp_path / "heads").iterdir())
    taps = [f"video-linear-probe-of-{tap}-label.safetensors" for tap in encoder.taps]
    assert files == sorted(
        taps
        + [
            f"video-{p}-label.safetensors"
            for p in ("linear-probe", "linear-probe-SGD", "linear-SVM", "linear-SVM-voted", "attentive-probe")
        ]
    )
    head = load_head(tmp_path / "heads" / "video-linear-probe-label.safetensors")
    assert head.card.encoder == fingerprint(encoder)
    assert head.card.about["clips"] == 2
    test = [i for i in everything if i.split == "test"]
    said = head.predict(extract(encoder, clips_of(test), progress=False).values)
    value = next(s.value for s in every.scores if (s.encoder, s.protocol) == ("pretrained", "linear probe"))
    assert np.mean([a == i.label for a, i in zip(said, test, strict=True)]) == pytest.approx(value)
    confusion = json.loads((tmp_path / "confusion.json").read_text())
    assert np.mean(confusion["class accuracy"]) == pytest.approx(value)


def test_windows_are_the_clips_of_the_mean_one_by_one(everything: Catalogue, encoder: Encoder) -> None:
    clips = clips_of(everything.items[:6], 3)
    alone = [
        extract(encoder, replace(clips, sampler=Window(sampler=clips.sampler, index=n)), progress=False).values
        for n in range(3)
    ]
    np.testing.assert_allclose(
        np.mean(alone, axis=0), extract(encoder, clips, progress=False).values, rtol=1e-4, atol=1e-5
    )
    assert np.abs(alone[0] - alone[2]).max() > 1e-3
    parts = [Labelled(values=v, labels=np.arange(6) % 2, groups=("a", "a", "", "b", "", "")) for v in alone]
    windows, item = together(parts)
    assert item.tolist() == [*range(6)] * 3
    assert windows.groups == ("a", "a", "item 2", "b", "item 4", "item 5") * 3
    assert np.array_equal(windows.values[item == 4], np.stack([v[4] for v in alone]))
    assert np.array_equal(windows.labels, item % 2)


@pytest.mark.parametrize("split", [Split(), Split(folds="fold")])
def test_several_labels_are_scored_by_mean_average_precision(
    everything: Catalogue, encoder: Encoder, split: Split
) -> None:
    items = [
        replace(
            i,
            group="",
            columns={**i.columns, "labels": f"{i.label};{i.columns['appearance']}", "fold": str(n // 5 % 2)},
        )
        for n, i in enumerate(everything)
    ]
    choice = Evaluation(
        label=(),
        many_labels=("labels",),
        protocols=("linear", "svm"),
        many=ManyLabelProbe(costs=(0.1,)),
        svm=LinearSVM(costs=(1.0,)),
        clips=1,
        split=split,
        baselines=False,
        workers=0,
    )
    findings = evaluate({"video": encoder}, items, view=VIEW, choice=choice, progress=False)
    assert {(s.protocol, s.metric) for s in findings.scores} == {
        ("linear probe, BCE", "mAP"),
        ("linear probe, BCE", "mean AUC"),
        ("linear SVM", "mAP 11-point"),
        ("linear SVM", "mean AUC"),
    }
    assert all(0 < s.chance < 1 and s.low < s.high for s in findings.scores)
    assert {s.interval for s in findings.scores} == (
        {"mean ± standard deviation over 2 folds"} if split.folds else {"95 %, bootstrap over test items"}
    )
    assert (findings.classes, findings.neighbours) == ((), None)
    assert len(findings.heads) == (4 if split.folds else 2)


def test_a_share_that_cannot_be_drawn_is_told_before_anything_is_decoded(
    everything: Catalogue, encoder: Encoder
) -> None:
    items = [replace(i, group=f"{i.split} {i.label}", path=Path(f"nowhere{n}")) for n, i in enumerate(everything)]
    choice = Evaluation(protocols=("fractions",), fractions=Fractions(shares=(0.1,)))
    with pytest.raises(Unscorable, match="10% of 20 items cannot be drawn"):
        evaluate({"video": encoder}, items, view=VIEW, choice=choice, progress=False)


def test_what_is_chosen_inside_training_keeps_the_persons_apart_who_are_left_out(
    everything: Catalogue, encoder: Encoder
) -> None:
    # each person shows every motion twice
    persons = [{**i.columns, "person": f"p{n // 10}"} for n, i in enumerate(everything)]
    items = [replace(i, columns=c, group="") for i, c in zip(everything, persons, strict=True)]
    choice = Evaluation(
        protocols=("linear",),
        split=Split(group="person"),
        clips=1,
        linear=LinearProbe(costs=(0.1, 1.0), draws=1),
        baselines=False,
        workers=0,
    )
    (score,) = evaluate({"video": encoder}, items, view=VIEW, choice=choice, progress=False).scores
    assert all("groups" in score.found[f"person p{n}"]["C chosen"] for n in range(3))
