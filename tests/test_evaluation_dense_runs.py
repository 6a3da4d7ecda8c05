"""The dense and audio-visual protocols from files to scores: a toybox, made-up DAVIS and JHMDB trees, and runs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torch import Tensor

from avssl.core import Clip, Example, MediaError, MediaInfo, generator
from avssl.data import Catalogue, Data, View, catalogue, collate
from avssl.data.offsets import offset_clips
from avssl.data.truth import boxes_map, has_boxes, joints_of, masks_of, sounding_at
from avssl.data.whole import whole_video
from avssl.encoders import Encoder, FusionHead, Projector, save_encoder, tiny_r2plus1d, tiny_resnet, tiny_sound
from avssl.evaluation import Score, Unscorable, read_scores, transfer_dense, write_scores
from avssl.evaluation.dense.audiovisual import BLOB, FOREIGN, Lagged, lagged, located, timed
from avssl.evaluation.dense.choice import Dense
from avssl.evaluation.dense.localisation import Localisation
from avssl.evaluation.dense.pair import Matching, Pair, load_fusion, load_pair
from avssl.evaluation.dense.propagation import Propagation
from avssl.evaluation.dense.runs import evaluate_dense
from avssl.evaluation.dense.synchrony import Synchrony
from avssl.evaluation.dense.tracking import COPY, Tracking, carry_joints, carry_masks, feature_maps, fine_tap
from avssl.media.toybox import Toybox, make_toybox, masks, truth
from avssl.samplers import SoundOffsets
from avssl.tasks import Classify, Contrast, synchronised
from avssl.training import Ranks, Run, Train
from avssl.training.checkpoint import save
from avssl.training.optimisers import Optimisers

TOYBOX = Toybox(train=0, test=6, seconds=2.0, fps=8, sample_rate=8000, size=32, motions=("bounce", "zigzag", "static"))
VIEW = View(frames=4, size=24, sound=0.5, sample_rate=8000)
QUICK = Tracking(places=8, propagation=Propagation(context=3))
FINE = Tracking(propagation=Propagation(context=3))


@pytest.fixture(scope="module")
def toybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_toybox(TOYBOX, root=tmp_path_factory.mktemp("toybox"))


@pytest.fixture(scope="module")
def everything(toybox: Path) -> Catalogue:
    return catalogue(toybox)


def run_in(folder: Path) -> Run:
    """A run that keeps its checkpoints in a folder."""
    run = Run(folder=folder, device=torch.device("cpu"), ranks=Ranks(), train=Train())
    run.checkpoints.mkdir()
    return run


def pair_of(seed: int = 0) -> Pair:
    torch.manual_seed(seed)
    video, sound = tiny_r2plus1d(width=8), tiny_sound(width=8, sample_rate=8000)
    return Pair(
        {"video": video, "sound": sound},
        {"video": Projector(video.dim, 16), "sound": Projector(sound.dim, 16, layers=1)},
    )


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of a picture."""
    with Image.open(path) as picture:
        return picture.size


def test_the_masks_of_a_toybox_are_where_its_things_are(everything: Catalogue) -> None:
    for item in everything:
        known, found = truth(item.path), masks(item.path)
        assert found.shape == (16, 32, 32)
        assert set(np.unique(found)) == {0, 1}
        for mask, place in zip(found, known.position, strict=True):
            y, x = np.argwhere(mask).mean(axis=0) + 0.5
            assert np.abs(np.array([x, y]) / 32 - place).max() < 0.06
    with pytest.raises(MediaError, match="no clip of a toybox"):
        masks(Path("elsewhere.mp4"))


def test_a_mask_covers_what_moves_in_the_decoded_frames(everything: Catalogue) -> None:
    item = next(i for i in everything if i.label == "static")
    video, mask = whole_video(item).float(), masks_of(item)
    assert video.shape == (16, 3, 32, 32)
    inside, ring = mask[0].astype(bool), np.zeros((32, 32), bool)
    ring[1:-1, 1:-1] = ~inside[1:-1, 1:-1]
    colours = video[0].permute(1, 2, 0).numpy()
    assert np.linalg.norm(colours[inside].mean(0) - colours[ring].mean(0)) > 20


def test_the_box_of_what_sounds_is_that_of_the_mask(everything: Catalogue) -> None:
    item = everything.items[0]
    assert has_boxes(item)
    found, mask = sounding_at(item, 1.05), masks_of(item)[8]
    assert found[mask > 0].min() == 1
    ys, xs = np.nonzero(mask)
    assert found.sum() == (ys.max() - ys.min() + 1) * (xs.max() - xs.min() + 1)


def test_boxes_of_a_column_make_maps_as_vggss_and_flickr_have_them(everything: Catalogue) -> None:
    from dataclasses import replace

    boxes = np.array([[0, 0, 0.5, 0.5], [0.25, 0.25, 1.5, 1]])
    once, twice = boxes_map(boxes, (8, 8)), boxes_map(boxes, (8, 8), several=True)
    assert once.sum() == 16 + 36 - 4
    assert (twice == 1).sum() == 4
    assert (twice == 0.5).sum() == 44
    item = replace(everything.items[0], columns={"boxes": "0 0 0.5 0.5; 0.25 0.25 1.5 1", "annotators": "3"})
    assert sounding_at(item, 0.0).max() == 1
    assert sounding_at(item, 0.0).min() == 0
    with pytest.raises(MediaError, match="cannot be understood"):
        sounding_at(replace(item, columns={"boxes": "1 2 3"}), 0.0)


def test_lags_are_cut_where_they_say_and_inside_the_sound() -> None:
    info = MediaInfo(
        duration=4.0, fps=25, frames=100, height=8, width=8, sample_rate=8000, channels=1, sound_duration=4.0
    )
    sampler = SoundOffsets(frames=10, sound=0.8, n=3, lags=(-0.8, 0.0, 0.4))
    plan = sampler(info, generator(0))
    assert len(plan.spans) == 3 * 4
    starts = []
    for k in range(0, 12, 4):
        frames, sounds = plan.spans[k], plan.spans[k + 1 : k + 4]
        assert len(frames.times) == 10
        assert frames.sound is None
        begin = frames.times[0] - 0.02
        starts.append(begin)
        for span, lag in zip(sounds, sampler.lags, strict=True):
            assert span.sound is not None
            assert not span.times
            assert span.sound.start == pytest.approx(begin + lag)
            assert span.sound.start >= 0
            assert span.sound.start + 0.8 <= 4.0 + 1e-9
    assert starts == pytest.approx([0.8, 1.8, 2.8])  # of 4 s, 0.8 go before, and 0.4 + 0.8 are heard after
    assert "too short" not in sampler.unfit(info)
    short = MediaInfo(
        duration=1.5, fps=25, frames=37, height=8, width=8, sample_rate=8000, channels=1, sound_duration=1.5
    )
    assert "2 s" in sampler.unfit(short)
    assert "no moving frames" in sampler.unfit(MediaInfo(duration=3, sample_rate=8000, channels=1, sound_duration=3))
    with pytest.raises(ValueError, match="lags"):
        SoundOffsets(lags=())


def test_windows_leave_no_seams_in_the_maps_of_a_network_that_sees_motion() -> None:
    torch.manual_seed(0)
    encoder = tiny_r2plus1d(width=8)
    still = torch.rand(1, 3, 24, 24).expand(21, -1, -1, -1)
    maps = feature_maps(encoder, still, tap="stage2", window=16)
    assert maps.shape[0] == 21
    # two blocks and the stem look three frames around, the margin is four
    assert (maps - maps[:1]).abs().max() < 1e-5
    frames = tiny_resnet(width=8)
    moving = torch.rand(5, 3, 24, 24)
    with torch.inference_mode():
        whole = frames.eval().features(moving[None], ("stage1",))["stage1"][0].transpose(0, 1)
    torch.testing.assert_close(feature_maps(frames, moving, tap="stage1", window=2), whole, rtol=1e-4, atol=1e-5)


def test_the_stage_is_the_last_that_is_fine_enough() -> None:
    encoder = tiny_r2plus1d(width=8)  # shrinks 2, 4, 8, 16 and 16 times
    assert fine_tap(encoder, (480, 854)) == "stage2"
    assert fine_tap(encoder, (128, 128)) == "stage1"
    assert fine_tap(encoder, (64, 64)) == "stem"
    assert fine_tap(encoder, (16, 16)) == "stem"


def test_masks_are_carried_through_a_file_beside_a_copy(everything: Catalogue) -> None:
    encoder = tiny_r2plus1d(width=8)
    video, found = carry_masks(everything.items[0], {("own", 0): encoder}, choice=QUICK, frames=5)
    assert video.shape == (5, 32, 32, 3)
    assert set(found) == {("own", 0), COPY}
    for tracked in found.values():
        assert tracked.found.shape == tracked.truth.shape == (5, 32, 32)
        np.testing.assert_array_equal(tracked.found[0], tracked.truth[0])
    np.testing.assert_array_equal(found[COPY].found[4], found[COPY].truth[0])


def davis(root: Path, names: tuple[str, ...] = ("bear", "car")) -> Path:
    """A tree in the official form: squares that move, one of them two."""
    for name in names:
        for part in ("JPEGImages", "Annotations"):
            (root / part / "480p" / name).mkdir(parents=True)
        for t in range(4):
            mask = np.zeros((32, 40), np.uint8)
            mask[8:20, 4 + 4 * t : 16 + 4 * t] = 1
            if name == "car":
                mask[22:30, 2:10] = 2
            frame = np.full((32, 40, 3), 60, np.uint8)
            frame[mask == 1], frame[mask == 2] = (250, 40, 40), (40, 40, 250)
            Image.fromarray(frame).save(root / "JPEGImages" / "480p" / name / f"{t:05}.jpg", quality=95)
            Image.fromarray(mask).save(root / "Annotations" / "480p" / name / f"{t:05}.png")
    lists = root / "ImageSets" / "2017"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("")
    (lists / "val.txt").write_text("\n".join(names) + "\n")
    return root


def weights(folder: Path, encoder: Encoder) -> Path:
    path = folder / "encoder.safetensors"
    save_encoder(encoder, path)
    (folder / "config.json").write_text(json.dumps({"view": {"frames": 4, "size": 24}}))
    return folder


def test_a_run_on_a_tree_of_davis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    davis(tmp_path / "DAVIS")
    (tmp_path / "run").mkdir()
    run = weights(tmp_path / "run", tiny_resnet(width=8))
    found = evaluate_dense(run, data=Path(f"davis2017:{tmp_path / 'DAVIS'}"), choice=Dense(tracking=FINE))
    by = {(s.encoder, s.metric): s for s in found}
    assert {s.protocol for s in found} == {"label propagation"}
    assert by["identity", "J mean"].n_test == 3
    # the squares of 12 × 12 move by 4 pixels a frame; frames 1 and 2 of four count
    moved = (8 / 16 + 4 / 20) / 2
    assert by["identity", "J mean"].value == pytest.approx((2 * moved + 1) / 3)
    assert by["random init", "J mean"].value > by["identity", "J mean"].value  # pure colours are easily followed
    assert by["pretrained", "J mean"].settings["top_k"] == 10
    assert read_scores(run / "dense" / "scores.json") == found
    assert size_of(run / "dense" / "masks.png")[0] > 200
    with pytest.raises(Unscorable, match="joints: no item has a column"):
        evaluate_dense(run, data=Path(f"davis2017:{tmp_path / 'DAVIS'}"), choice=Dense(protocols=("joints",)))
    (tmp_path / "DAVIS" / "Annotations" / "480p" / "bear" / "00003.png").unlink()
    fewer = evaluate_dense(run, data=Path(f"davis2017:{tmp_path / 'DAVIS'}"), choice=Dense(tracking=FINE))
    assert {s.n_test for s in fewer} == {2}  # the damaged one is left out
    with pytest.raises(MediaError, match="3 masks for 4 frames"):
        evaluate_dense(run, data=Path(f"davis2017:{tmp_path / 'DAVIS'}"), choice=Dense(tracking=FINE, damaged="stop"))


def test_joints_are_carried_in_pixels_of_the_file(everything: Catalogue, tmp_path: Path) -> None:
    from dataclasses import replace

    item = next(i for i in everything if i.label == "static")
    still = np.stack([np.linspace(4, 28, 15), np.linspace(6, 20, 15)], axis=1)
    savemat(tmp_path / "joint_positions.mat", {"pos_img": np.repeat((still + 1)[None], 6, axis=0).transpose(2, 1, 0)})
    item = replace(item, columns={"joints": str(tmp_path / "joint_positions.mat")})
    np.testing.assert_allclose(joints_of(item)[3], still)
    found = carry_joints(
        item, {("own", 0): tiny_resnet(width=8)}, choice=Tracking(joints_side=64, propagation=Propagation(context=2))
    )
    assert np.abs(found[COPY].found - found[COPY].truth).max() == 0
    # the first frame only passed through the maps: a joint is met to half a place, one pixel of the file here
    assert np.abs(found["own", 0].found[0] - still).max() < 1


def test_pairs_embed_alike_whichever_way_they_are_asked(everything: Catalogue) -> None:
    pair = pair_of()
    video, sound = torch.rand(3, 4, 3, 24, 24), torch.randn(3, 1, 4000)
    own = pair.embed("video", video)
    torch.testing.assert_close(own.norm(dim=1), torch.ones(3))
    maps = pair.maps(video, sound)
    assert maps.shape == (3, 1, 2, 2)
    assert maps.abs().max() <= 1 + 1e-6
    again = pair.fresh(5)
    other = again.embed("video", video)
    assert not torch.allclose(own, other)
    torch.testing.assert_close(other, pair.fresh(5).embed("video", video))


def test_projectors_come_back_from_a_checkpoint(tmp_path: Path) -> None:
    pair = pair_of()
    encoders = {"video": pair.encoder("video"), "sound": pair.encoder("sound")}
    video, sound = encoders["video"], encoders["sound"]
    projectors = pair.projectors
    task = Contrast(video, projectors["video"], sound=sound, sound_projector=projectors["sound"], policy=synchronised())
    save(run_in(tmp_path), task, Optimisers(task, Train(optimizer="sgd")), step=3)
    loaded = load_pair({"video": video, "sound": sound}, tmp_path)
    x, heard = torch.rand(2, 4, 3, 24, 24), torch.randn(2, 1, 4000)
    torch.testing.assert_close(loaded.embed("video", x), pair.embed("video", x))
    torch.testing.assert_close(loaded.embed("sound", heard), pair.embed("sound", heard))
    with pytest.raises(MediaError, match="no checkpoint"):
        load_pair({"video": video, "sound": sound}, tmp_path / "elsewhere")


def test_scores_at_lags_are_those_of_each_clip_by_itself(everything: Catalogue) -> None:
    sync = Synchrony(reach=0.5, steps=2, clips=2)
    pairs = {("own", 0): pair_of(), ("random init", 1): pair_of(1)}
    clips = offset_clips(everything.items, VIEW, lags=sync.lags, clips=2, workers=0)
    found = lagged(pairs, clips, n=2, batch_size=4)
    assert {k: v.shape for k, v in found.scores.items()} == dict.fromkeys((*pairs, FOREIGN), (6, 2, 5))
    assert clips.transform is not None
    example = clips.transform.apply(collate([clips.example(3), clips.example(4)]))
    frames, sounds = example.clips[6].video, [c.audio for c in example.clips[7:12]]
    assert frames is not None
    own, at_lags = pairs["own", 0], torch.stack([s for s in sounds if s is not None], dim=1)
    heard = torch.stack([own.embed("sound", at_lags[:, k]) for k in range(5)], dim=1)
    by_hand = (own.embed("video", frames)[:, None] * heard).sum(dim=2)
    np.testing.assert_allclose(found.scores["own", 0][3:5, 1], by_hand, atol=1e-5)
    # the frames of item 3 beside the sound of item 4, across the end of a batch
    swapped = (own.embed("video", frames)[:1, None] * heard[1:]).sum(dim=2)
    np.testing.assert_allclose(found.scores[FOREIGN][4, 1], swapped[0], atol=1e-5)
    measured, curve, groups = timed(found, ("own", 0), {i.index: i.group for i in everything}, choice=sync)
    assert len(groups) == 12
    assert curve.told[2] == 0.5
    assert measured.chance["lag 0 first"] == pytest.approx(0.2)


def test_a_pair_that_hears_what_it_sees_finds_every_lag(everything: Catalogue) -> None:
    """The planted signal: sound and frames that both tell the instant, so that only lag 0 fits."""

    class Clock(Matching):
        def matched(self, video: Tensor, sounds: Tensor) -> Tensor:
            seen = video.float().mean(dim=(1, 2, 3, 4))
            return -(sounds.mean(dim=(2, 3)) - seen[:, None]).abs()

        def fresh(self, seed: int) -> Self:
            return self

    clock, instants = Clock(), torch.linspace(0, 1, 7)
    video = instants.view(7, 1, 1, 1, 1).expand(7, 2, 3, 4, 4)
    lags = torch.tensor([-0.5, 0.0, 0.5])
    sounds = (instants[:, None] + lags).view(7, 3, 1, 1).expand(7, 3, 1, 10)
    found = Lagged(scores={("clock", 0): clock.matched(video, sounds)[:, None].numpy()}, index=np.arange(7))
    measured, curve, _ = timed(found, ("clock", 0), {}, choice=Synchrony(reach=0.5, steps=1))
    assert all((v == 1).all() for v in measured.values.values())
    assert curve.first.tolist() == [0, 1, 0]


def test_a_head_over_time_comes_back_and_scores_lags(tmp_path: Path) -> None:
    video, sound = tiny_r2plus1d(width=8), tiny_sound(width=8, sample_rate=8000)
    head = FusionHead(video.dim, sound.dim, width=16, layers=2, kernel=5)
    task = Classify(video, head, label="in_sync", sound=sound)
    save(run_in(tmp_path), task, Optimisers(task, Train(optimizer="sgd")), step=2)
    loaded = load_fusion({"video": video, "sound": sound}, tmp_path)
    clips = [torch.rand(2, 4, 3, 24, 24), torch.randn(2, 3, 1, 4000)]
    scores = loaded.matched(*clips)
    task.eval()
    with torch.inference_mode():
        for k in range(3):
            one = Example(
                clips=(Clip(video=clips[0], audio=clips[1][:, k]),), labels={}, parameters={}, index=torch.arange(2)
            )
            logits = task.logits(one)[:, 0]
            torch.testing.assert_close(scores[:, k], logits[:, 1] - logits[:, 0], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(loaded.fresh(1).matched(*clips), scores)
    with pytest.raises(MediaError, match="no embeddings"):
        load_pair({"video": video, "sound": sound}, tmp_path)
    with pytest.raises(MediaError, match="only encoders of video"):
        load_fusion({"video": video}, tmp_path)


def test_located_truth_is_cropped_as_the_frames_are(everything: Catalogue) -> None:
    clips = offset_clips(everything.items, VIEW, workers=0)
    found = located({("random init", 0): pair_of()}, clips, batch_size=4)
    assert len(found.frames) == len(found.truths) == len(found.maps["random init", 0])
    for frame, place in zip(found.frames, found.truths, strict=True):
        assert frame.shape == (24, 24, 3)
        assert place.shape == (28, 28)  # of 32 pixels, 24 of 27 are kept
        assert 0 < place.mean() < 1


def test_maps_that_follow_what_sticks_out_point_at_the_thing(everything: Catalogue) -> None:
    class Contrasts(Pair):
        def maps(self, video: Tensor, sound: Tensor) -> Tensor:
            x = video.float()
            away = (x - x.flatten(3).median(dim=3).values[..., None, None]).norm(dim=2)
            return torch.nn.functional.avg_pool2d(away, 3, stride=1, padding=1)

    own = pair_of()
    sticks_out = Contrasts(
        {"video": own.encoder("video"), "sound": own.encoder("sound")},
        {"video": Projector(64, 16), "sound": Projector(64, 16)},
    )
    clips = offset_clips(everything.items, VIEW, workers=0)
    found = located({("sticks out", 0): sticks_out}, clips).measured(choice=Localisation(side=56))
    pointing = {key: m.values["pointing"].mean() for key, m in found.items()}
    assert pointing["sticks out", 0] > max(pointing[BLOB], 0.6)


def test_joints_of_a_manifest_are_scored(everything: Catalogue, tmp_path: Path) -> None:
    still = np.stack([np.linspace(4, 28, 15), np.linspace(6, 20, 15)], axis=1)
    savemat(tmp_path / "joints.mat", {"pos_img": np.repeat((still + 1)[None], 4, axis=0).transpose(2, 1, 0)})
    clip = next(i for i in everything if i.label == "static").path
    (tmp_path / "clips.csv").write_text(f"path,joints\n{clip},{tmp_path / 'joints.mat'}\n")
    run = weights(tmp_path, tiny_resnet(width=8))
    choice = Dense(protocols=("joints",), tracking=Tracking(joints_side=32, propagation=Propagation(context=1)))
    found = evaluate_dense(run, data=tmp_path / "clips.csv", choice=choice)
    assert {s.metric for s in found} == {"PCK@0.1", "PCK@0.2"}
    assert {s.value for s in found if s.encoder == "identity"} == {1.0}
    assert {s.n_test for s in found} == {3}  # frames but the first


def test_a_run_of_a_pair_on_the_toybox(toybox: Path, tmp_path: Path) -> None:
    pair = pair_of()
    video, sound = pair.encoder("video"), pair.encoder("sound")
    task = Contrast(
        video, pair.projectors["video"], sound=sound, sound_projector=pair.projectors["sound"], policy=synchronised()
    )
    save(run_in(tmp_path), task, Optimisers(task, Train(optimizer="sgd")), step=1)
    save_encoder(video, tmp_path / "encoder.safetensors")
    save_encoder(sound, tmp_path / "sound_encoder.safetensors")
    view = {"frames": 4, "size": 24, "sound": 0.5, "sample_rate": 8000}
    (tmp_path / "config.json").write_text(json.dumps({"view": view}))
    choice = Dense(tracking=QUICK, frames=4, videos=3, sync=Synchrony(reach=0.5, steps=1), workers=0, pictures=2)
    found = evaluate_dense(tmp_path, data=toybox, choice=choice)
    assert list(dict.fromkeys(s.protocol for s in found)) == [
        "label propagation",
        "sound localisation",
        "synchrony",
        "cross-modal retrieval",
    ]
    encoders = {(s.protocol, s.encoder) for s in found}
    assert ("sound localisation", "centre blob") in encoders
    assert ("synchrony", "others' frames") in encoders
    assert ("cross-modal retrieval", "random init") in encoders
    for name in ("masks.png", "localisation.png", "synchrony.png"):
        assert size_of(tmp_path / "dense" / name)[1] > 100
    curve = json.loads((tmp_path / "dense" / "synchrony.json").read_text())
    assert curve["pretrained"]["lags"] == [-0.5, 0, 0.5]


def test_dense_scores_of_a_run_stand_beside_those_of_its_transfer(
    toybox: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = replace(run_in(tmp_path), train=Train(seed=3))
    save_encoder(tiny_resnet(width=8), tmp_path / "encoder.safetensors")
    transferred = Score(
        encoder="pretrained",
        protocol="linear probe",
        metric="top-1",
        label="label",
        value=0.5,
        low=0.4,
        high=0.6,
        interval="95 %",
        n_train=10,
        n_test=10,
        chance=0.1,
    )
    write_scores([transferred], tmp_path / "scores.json", command="before")
    choice = Dense(protocols=("masks",), videos=2, frames=3, tracking=QUICK)
    for _ in range(2):  # as of a run that is resumed
        transfer_dense(run, Data(root=toybox), choice)
    first, *rest = read_scores(tmp_path / "scores.json")
    assert first == transferred
    assert {s.encoder for s in rest} == {"pretrained", "random init", "identity"}
    assert {s.protocol for s in rest} == {"label propagation"}
    assert len(rest) == len({(s.encoder, s.metric) for s in rest})
    assert {s.seed for s in rest if s.encoder == "random init"} == {3}
    assert json.loads((tmp_path / "scores.json").read_text())["command"] == "before"
    assert (tmp_path / "dense" / "masks.png").exists()
    assert "J&F" in capsys.readouterr().out

    (tmp_path / "pictures").mkdir()
    for k in range(2):
        Image.fromarray(np.full((32, 32, 3), 40 * k, np.uint8)).save(tmp_path / "pictures" / f"{k}.png")
    transfer_dense(run, Data(root=tmp_path / "pictures"), choice)
    assert "No dense scores: masks: no item has" in " ".join(capsys.readouterr().out.split())
    assert read_scores(tmp_path / "scores.json") == [first, *rest]
