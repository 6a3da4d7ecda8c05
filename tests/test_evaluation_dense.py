"""The dense and audio-visual measures against brute force, with signals that they must and must not see."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from avssl.evaluation.dense.crossmodal import CrossModal, cross_modal
from avssl.evaluation.dense.localisation import (
    Localisation,
    centre_blob,
    consensus_iou,
    localisation,
    upper_half,
)
from avssl.evaluation.dense.measured import Measured, hit_of_ranked
from avssl.evaluation.dense.overlap import boundary, boundary_f, correct_joints, jaccard, person_size
from avssl.evaluation.dense.propagation import (
    Propagation,
    joint_maps,
    joints_from,
    mask_maps,
    masks_from,
    propagate,
)
from avssl.evaluation.dense.synchrony import Synchrony, sync_curve, synchrony
from avssl.evaluation.dense.tracking import Tracked, joint_scores, mask_scores


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def blobs(count: int, size: tuple[int, int] = (14, 17), seed: int = 0) -> list[np.ndarray]:
    """Masks of discs at random, an empty one and a full one, first and last."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    made = [np.zeros(size, bool)]
    for _ in range(count):
        cy, cx, r = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(1, 6)
        made.append((y - cy) ** 2 + (x - cx) ** 2 <= r**2)
    return [*made, np.ones(size, bool)]


def j_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    p = {tuple(i) for i in np.argwhere(a)}
    q = {tuple(i) for i in np.argwhere(b)}
    return len(p & q) / len(p | q) if p | q else 1.0


def edge_by_hand(m: np.ndarray) -> set[tuple[int, int]]:
    high, wide = m.shape
    found = set()
    for y, x in product(range(high), range(wide)):
        near = [(y + 1, x), (y, x + 1), (y + 1, x + 1)]
        near = [(min(a, high - 1), min(b, wide - 1)) for a, b in near]
        if any(m[y, x] != m[n] for n in near):
            found.add((y, x))
    return found


def f_by_hand(a: np.ndarray, b: np.ndarray, tolerance: float) -> float:
    p, q = edge_by_hand(a), edge_by_hand(b)
    if not p or not q:
        return float(not p and not q)
    reach = math.ceil(tolerance * math.sqrt(a.shape[0] ** 2 + a.shape[1] ** 2))

    def met(those: set[tuple[int, int]], others: set[tuple[int, int]]) -> float:
        near = [any((y - v) ** 2 + (x - u) ** 2 <= reach**2 for v, u in others) for y, x in those]
        return sum(near) / len(near)

    precision, recall = met(p, q), met(q, p)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def test_j_and_f_are_those_of_brute_force() -> None:
    for a, b in product(blobs(5), blobs(4, seed=1)):
        assert jaccard(a, b) == pytest.approx(j_by_hand(a, b), abs=1e-12)
        for tolerance in (0.008, 0.15):
            assert boundary_f(a, b, tolerance=tolerance) == pytest.approx(f_by_hand(a, b, tolerance), abs=1e-12)
    for m in blobs(6, seed=2):
        assert {tuple(i) for i in np.argwhere(boundary(m))} == edge_by_hand(m)


def test_j_and_f_at_the_limits() -> None:
    empty, full, some = blobs(0)[0], blobs(0)[1], blobs(1)[1]
    assert jaccard(empty, empty) == 1
    assert jaccard(empty, full) == 0
    assert jaccard(full, full) == 1
    assert boundary_f(empty, empty) == 1
    assert boundary_f(full, full) == 1
    assert boundary_f(empty, some) == boundary_f(some, empty) == 0
    assert boundary_f(some, some) == 1
    np.testing.assert_allclose(jaccard(np.stack([empty, full]), np.stack([some, full]))[1], 1)
    with pytest.raises(ValueError, match="shape"):
        jaccard(empty, empty[1:])
    with pytest.raises(ValueError, match="tolerance"):
        boundary_f(some, some, tolerance=0)


def test_pck_is_that_of_brute_force_on_the_edge_too(rng: np.random.Generator) -> None:
    truth = rng.uniform(0, 100, size=(4, 15, 2))
    found = truth + rng.normal(0, 12, size=truth.shape)
    found[0, 0] = np.nan
    found[1] = truth[1]
    size = person_size(truth[2])
    found[2, 3] = truth[2, 3] + [0.2 * size, 0]
    for within in (0.1, 0.2):
        got = correct_joints(found, truth, within=within)
        for t, j in product(range(4), range(15)):
            box = truth[t].max(0) - truth[t].min(0)
            away = math.dist(found[t, j], truth[t, j]) if np.isfinite(found[t, j]).all() else math.inf
            near = away <= within * 0.6 * math.hypot(*box)
            if (t, j) != (2, 3):  # exactly on the limit: rounding decides
                assert got[t, j] == near
    assert correct_joints(found, truth, within=0.2)[1].all()
    with pytest.raises(ValueError, match="joints"):
        correct_joints(found[:, :3], truth, within=0.1)


def carried_by_hand(x: np.ndarray, first: np.ndarray, choice: Propagation) -> np.ndarray:
    """Labels place by place, all candidates in one list."""
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    frames, _, high, wide = x.shape
    out = np.zeros((frames, *first.shape))
    out[0] = first
    for t, y, u in product(range(1, frames), range(high), range(wide)):
        candidates = [(0, v, w) for v, w in product(range(high), range(wide))]
        for s in range(t - choice.context, t):
            candidates += [
                (max(s, 0), v, w)
                for v, w in product(range(high), range(wide))
                if math.hypot(v - y, w - u) < choice.radius
            ]
        affinity = [x[t, :, y, u] @ x[s, :, v, w] - 1e-6 * ((v - y) ** 2 + (w - u) ** 2) for s, v, w in candidates]
        best = np.argsort(affinity)[::-1][: choice.top_k]
        weight = np.exp(np.array(affinity)[best] / choice.temperature)
        labels = np.array([out[s, :, v, w] for s, v, w in (candidates[i] for i in best)])
        out[t, :, y, u] = (weight[:, None] * labels).sum(0) / weight.sum()
    return out


@pytest.mark.parametrize(
    "choice",
    [
        Propagation(context=3, top_k=4, radius=2.5),
        Propagation(context=0, top_k=2),
        Propagation(context=1, top_k=500, radius=1.0, temperature=1.0),
    ],
)
def test_propagation_is_that_of_brute_force(choice: Propagation, rng: np.random.Generator) -> None:
    x, first = rng.normal(size=(3, 5, 9, 10)), rng.uniform(size=(3, 9, 10))
    got = propagate(torch.from_numpy(x), torch.from_numpy(first), choice=choice)
    np.testing.assert_allclose(got.numpy(), carried_by_hand(x, first, choice), atol=2e-4)


def moving(frames: int = 8, side: int = 16) -> tuple[torch.Tensor, np.ndarray]:
    """Two squares that move over a ground, as features that tell each of the three, and their masks."""
    truth = np.zeros((frames, side, side), np.uint8)
    for t in range(frames):
        truth[t, 2:6, t : t + 4] = 1
        truth[t, 9 : 9 + 4, side - 5 - t : side - 1 - t] = 2
    return torch.eye(3)[torch.from_numpy(truth).long()].permute(0, 3, 1, 2), truth


def carried(features: torch.Tensor, truth: np.ndarray) -> np.ndarray:
    first = mask_maps(torch.from_numpy(truth[0]), int(truth.max()), features.shape[2:])
    return masks_from(propagate(features, first), truth.shape[1:]).numpy()


def test_features_that_tell_things_apart_carry_masks_perfectly() -> None:
    features, truth = moving()
    found = carried(features, truth)
    np.testing.assert_array_equal(found, truth)
    measured, groups = mask_scores([Tracked(name="a", truth=truth, found=found)])
    assert groups == ("a", "a")
    assert all((v == 1).all() for v in measured.values.values())


def test_constant_features_copy_the_first_frame() -> None:
    features, truth = moving()
    copy = np.repeat(truth[:1], len(truth), axis=0)
    constant = torch.randn(64)[None, :, None, None].expand(len(truth), -1, *features.shape[2:])
    found = carried(constant, truth)
    np.testing.assert_array_equal(found, copy)
    measured, _ = mask_scores([Tracked(name="a", truth=truth, found=found)])
    by_hand = [[j_by_hand(copy[t] == k, truth[t] == k) for t in range(1, len(truth) - 1)] for k in (1, 2)]
    np.testing.assert_allclose(measured.values["J mean"], np.mean(by_hand, axis=1))
    np.testing.assert_allclose(measured.values["J recall"], np.mean(np.array(by_hand) > 0.5, axis=1))


def test_random_features_carry_less_than_a_copy_of_what_stays() -> None:
    _, truth = moving()
    still = np.repeat(truth[:1], len(truth), axis=0)
    found = carried(torch.randn(len(truth), 8, *truth.shape[1:]), still)
    assert mask_scores([Tracked(name="a", truth=still, found=found)])[0].values["J mean"].mean() < 0.5


def test_masks_become_shares_of_places_and_back() -> None:
    _, truth = moving(side=16)
    maps = mask_maps(torch.from_numpy(truth[0]), 2, (8, 8))
    assert maps.shape == (3, 8, 8)
    np.testing.assert_allclose(maps.sum(0).numpy(), 1, atol=1e-6)
    back = masks_from(maps[None], (16, 16))[0].numpy()
    assert (back == truth[0]).mean() > 0.9
    assert masks_from(torch.full((1, 3, 2, 2), 1 / 3), (4, 4)).max() == 0  # of equals, the lowest


def test_a_video_of_one_object_of_one_frame_pair_counts_its_last_frame() -> None:
    truth = np.zeros((2, 4, 4), np.uint8)
    truth[:, 1:3, 1:3] = 5
    measured, _ = mask_scores([Tracked(name="a", truth=truth, found=np.zeros_like(truth))])
    assert len(measured.values["J mean"]) == 1
    assert measured.values["J mean"][0] == 0
    with pytest.raises(ValueError, match="no video"):
        mask_scores([])


def test_propagation_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="shape"):
        propagate(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 5))
    with pytest.raises(ValueError, match="radius"):
        Propagation(radius=0)


def test_joints_survive_their_maps_and_move_with_features() -> None:
    joints = torch.tensor([[3.0, 5.0], [7.0, 2.0]])
    maps = joint_maps(joints, (9, 12))
    assert (joints_from(maps[None])[0] - joints).abs().max() < 0.2
    assert torch.isnan(joints_from(torch.zeros(1, 1, 4, 4))).all()
    # every place has a feature of its own, and all move by one place to the right each frame
    own = torch.eye(108).reshape(108, 9, 12)
    features = torch.stack([own.roll(t, dims=2) for t in range(4)])
    found = joints_from(propagate(features, maps, choice=Propagation(top_k=1)))
    for t in range(4):
        moved = joints + torch.tensor([t, 0.0])
        assert (found[t] - moved).abs().max() < 0.2
    truth = torch.stack([joints + torch.tensor([t, 0.0]) for t in range(4)]).numpy()
    measured, groups = joint_scores([Tracked(name="v", truth=truth, found=found.numpy())])
    assert set(measured.values) == {"PCK@0.1", "PCK@0.2"}
    assert measured.values["PCK@0.2"].tolist() == [1, 1, 1]
    assert groups == ("v",) * 3


def ciou_by_hand(predicted: np.ndarray, truth: np.ndarray) -> float:
    above = below = 0.0
    for y, x in np.ndindex(truth.shape):
        above += truth[y, x] if predicted[y, x] else 0
        below += truth[y, x] + (1 if predicted[y, x] and truth[y, x] == 0 else 0)
    return above / below if below else 1.0


def test_ciou_and_auc_are_those_of_brute_force(rng: np.random.Generator) -> None:
    from sklearn.metrics import auc

    side, count = 8, 12
    truths = [rng.choice([0, 0, 0.5, 1.0], size=(side, side)) for _ in range(count)]
    truths[0] = np.ones((side, side))
    maps = [rng.normal(size=(side, side)) for _ in range(count)]
    maps[1] = np.zeros((side, side))  # all ties
    maps[2] = truths[2].copy()
    measured = localisation(maps, truths, choice=Localisation(side=side))
    overlaps = []
    for m, t in zip(maps, truths, strict=True):
        half = m > np.sort(m.flatten())[side * side // 2]
        assert consensus_iou(half, t) == pytest.approx(ciou_by_hand(half, t))
        overlaps.append(ciou_by_hand(half, t))
    assert measured.values["cIoU@0.5"].mean() == pytest.approx(np.mean(np.array(overlaps) >= 0.5))
    curve = [np.mean(np.array(overlaps) >= 0.05 * k - 1e-9) for k in range(21)]
    assert measured.values["AUC"].mean() == pytest.approx(auc(np.linspace(0, 1, 21), curve))
    fitted = []
    for m, t in zip(maps, truths, strict=True):
        count = int((t > 0).sum())
        order = np.sort(m.flatten())[::-1]
        chosen = m > (order[count] if count < m.size else -np.inf)
        fitted.append(ciou_by_hand(chosen, t))
    assert measured.values["adaptive cIoU@0.5"].mean() == pytest.approx(np.mean(np.array(fitted) >= 0.5))
    assert measured.found["mean adaptive cIoU"] == pytest.approx(np.mean(fitted))
    where = [np.unravel_index(m.argmax(), m.shape) for m in maps]
    hits = [float(t[w] > 0) for t, w in zip(truths, where, strict=True)]
    hits[1] = float((truths[1] > 0).mean())  # all ties
    hits[2] = 1.0
    assert measured.values["pointing"].tolist() == pytest.approx(hits)
    assert not upper_half(maps[1]).any()
    assert consensus_iou(np.zeros((2, 2)), np.zeros((2, 2))) == 1


def box(side: int, top: int, left: int, size: int) -> np.ndarray:
    truth = np.zeros((side, side), np.float32)
    truth[top : top + size, left : left + size] = 1
    return truth


def test_maps_that_know_the_place_beat_the_blob_off_centre_only() -> None:
    choice = Localisation(side=32)
    middle, corner = [box(32, 6, 6, 20)] * 3, [box(32, 0, 0, 18)] * 3
    blob = [centre_blob(32, 32)] * 3
    assert localisation(blob, middle, choice=choice).values["cIoU@0.5"].mean() == 1
    assert localisation(blob, corner, choice=choice).values["cIoU@0.5"].mean() == 0
    knows = [np.where(t > 0, 1.0, 0.0) + 0.01 * centre_blob(32, 32) for t in corner]
    assert localisation(knows, corner, choice=choice).values["cIoU@0.5"].mean() == 1
    chance = localisation(knows, corner, choice=choice).chance
    assert chance["cIoU@0.5"] == 0
    assert 0 < chance["AUC"] < 0.4
    with pytest.raises(ValueError, match="finite"):
        localisation([np.full((2, 2), np.nan)], corner[:1])


def test_the_chance_of_localisation_is_what_noise_reaches(rng: np.random.Generator) -> None:
    truths = [box(32, 2, 3, 26)] * 300
    noise = [rng.normal(size=(32, 32)) for _ in truths]
    measured = localisation(noise, truths, choice=Localisation(side=32))
    for metric, off in {"AUC": 0.03, "adaptive AUC": 0.03, "pointing": 0.1}.items():
        assert measured.values[metric].mean() == pytest.approx(measured.chance[metric], abs=off)


def test_what_is_small_is_out_of_reach_of_half_a_frame_only() -> None:
    truths = [box(32, 3, 4, 6), box(32, 20, 8, 7)]
    measured = localisation([t + 0.01 * centre_blob(32, 32) for t in truths], truths, choice=Localisation(side=32))
    assert measured.values["cIoU@0.5"].tolist() == [0, 0]
    assert measured.values["adaptive cIoU@0.5"].tolist() == [1, 1]
    assert measured.values["pointing"].tolist() == [1, 1]
    assert measured.chance["pointing"] == pytest.approx((36 + 49) / 2 / 32**2)


def test_hits_with_ties_are_those_of_all_orders() -> None:
    scores = np.array([[1, 1, 0, 2], [0, 0, 0, 0], [3, 1, 2, 0], [1, 1, 1, 5]], float)
    truth = np.array([1, 2, 0, 3])
    np.testing.assert_allclose(hit_of_ranked(scores, truth, k=1), [0, 0.25, 1, 1])
    np.testing.assert_allclose(hit_of_ranked(scores, truth, k=2), [0.5, 0.5, 1, 1])
    np.testing.assert_allclose(hit_of_ranked(scores, truth, k=4), 1)


def test_cross_modal_retrieval_is_that_of_brute_force(rng: np.random.Generator) -> None:
    video = rng.normal(size=(30, 6))
    sound = video + rng.normal(0, 1.0, size=video.shape)
    measured = cross_modal(video, sound)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    for way, (asked, gallery) in {"V→S": (video, sound), "S→V": (sound, video)}.items():
        for k in (1, 5, 10):
            hits = [i in sorted(range(30), key=lambda j, q=q: -cosine(q, gallery[j]))[:k] for i, q in enumerate(asked)]
            np.testing.assert_array_equal(measured.values[f"{way} R@{k}"], hits)
            assert measured.chance[f"{way} R@{k}"] == pytest.approx(k / 30)


def test_cross_modal_retrieval_at_its_ends(rng: np.random.Generator) -> None:
    video = rng.normal(size=(200, 16))
    perfect = cross_modal(video, 3 * video)
    assert all((v == 1).all() for v in perfect.values.values())
    assert perfect.found["V→S median rank"] == 1
    for blind in (cross_modal(np.ones_like(video), video), cross_modal(np.ones_like(video), np.zeros_like(video))):
        for metric, value in blind.values.items():
            if metric.startswith("V→S"):
                assert value.mean() == pytest.approx(blind.chance[metric])
    foreign = cross_modal(video, rng.normal(size=video.shape))
    for metric, value in foreign.values.items():
        share = foreign.chance[metric]
        assert abs(value.mean() - share) < 4 * math.sqrt(share * (1 - share) / 200)
    with pytest.raises(ValueError, match="M ≥ 2"):
        cross_modal(video[:1], video[:1])
    with pytest.raises(ValueError, match="gallery of 2"):
        cross_modal(video[:2], video[:2], choice=CrossModal(ranks=(2, 5)))
    with pytest.raises(ValueError, match="finite"):
        cross_modal(video, np.full_like(video, np.nan))


LAGS = np.array(Synchrony().lags)


def test_synchrony_is_that_of_brute_force(rng: np.random.Generator) -> None:
    assert LAGS.tolist() == pytest.approx([-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1])
    scores = rng.normal(size=(50, 11)) + 2 * np.exp(-((LAGS / 0.3) ** 2))
    measured = synchrony(scores, LAGS)
    np.testing.assert_array_equal(
        measured.values["lag 0 first"], [max(range(11), key=list(s).__getitem__) == 5 for s in scores]
    )
    np.testing.assert_array_equal(
        measured.values["lag within 0.2 s"], [4 <= max(range(11), key=list(s).__getitem__) <= 6 for s in scores]
    )
    told = [np.mean([float(s[5] > s[k]) for k in range(11) if k != 5]) for s in scores]
    np.testing.assert_allclose(measured.values["told apart"], told)
    curve = sync_curve(scores, LAGS)
    np.testing.assert_allclose(
        curve.told, [np.mean([0.5 * (s[5] >= s[k]) + 0.5 * (s[5] > s[k]) for s in scores]) for k in range(11)]
    )
    np.testing.assert_allclose(curve.first, np.bincount(scores.argmax(1), minlength=11) / 50)
    assert (curve.low <= curve.told + 1e-9).all()
    assert (curve.high >= curve.told - 1e-9).all()
    assert curve.first.argmax() == curve.score.argmax() == 5


def test_synchrony_of_what_tells_nothing_is_at_chance(rng: np.random.Generator) -> None:
    constant = synchrony(np.zeros((7, 11)), LAGS)
    for metric, value in constant.values.items():
        assert value.mean() == pytest.approx(constant.chance[metric])
    np.testing.assert_allclose(sync_curve(np.zeros((7, 11)), LAGS).told, 0.5)
    np.testing.assert_allclose(sync_curve(np.zeros((7, 11)), LAGS).first, 1 / 11)
    noise = synchrony(rng.normal(size=(600, 11)), LAGS)
    for metric, value in noise.values.items():
        assert abs(value.mean() - noise.chance[metric]) < 4 * value.std() / math.sqrt(600)
    perfect = synchrony(-np.abs(LAGS)[None].repeat(2, 0), LAGS)
    assert all((v == 1).all() for v in perfect.values.values())


@pytest.mark.parametrize(
    ("scores", "lags", "said"),
    [
        (np.zeros((0, 3)), [-1, 0, 1], "M ≥ 1"),
        (np.zeros((2, 3)), [-1, 1, 2], "exactly one"),
        (np.full((2, 3), np.nan), [-1, 0, 1], "finite"),
        (np.zeros((2, 1)), [0], "O ≥ 2"),
    ],
)
def test_synchrony_refuses_what_means_nothing(scores: np.ndarray, lags: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        synchrony(scores, np.array(lags, float))


def test_scores_carry_interval_chance_and_settings() -> None:
    measured = Measured(values={"R@1": np.array([1.0, 0, 0, 1])}, chance={"R@1": 0.25}, settings={"gallery": 4})
    (score,) = measured.scores(encoder="pretrained", protocol="cross-modal retrieval", label="item", seed=3)
    assert (score.value, score.chance, score.n_test, score.seed) == (0.5, 0.25, 4, 3)
    assert score.low < 0.5 < score.high
    assert score.settings == {"gallery": 4}
    with pytest.raises(ValueError, match="shapes"):
        Measured(values={"a": np.zeros(2), "b": np.zeros(3)}, chance={"a": 0, "b": 0})
    with pytest.raises(ValueError, match="chance"):
        Measured(values={"a": np.zeros(2)}, chance={})
