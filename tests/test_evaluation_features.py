"""Retrieval by name, several k, few labels, layers, scaling and the health of features: against brute force."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.neighbors import NearestNeighbors as Reference
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.encoders import Encoder, alexnet, c3d, fingerprint, sound_vgg, tiny_r2plus1d, tiny_resnet
from avssl.encoders.base import ClipEncoder, Origin, Trunk
from avssl.evaluation import (
    COCLR,
    SELAVI,
    VCOP,
    Fractions,
    Health,
    Labelled,
    Layers,
    LinearProbe,
    NearestNeighbours,
    Pooled,
    Pooling,
    Retrieval,
    Tokens,
    Unscorable,
    affinity,
    alignment,
    collapsed,
    effective_rank,
    fraction,
    health,
    linear_cka,
    linear_probe,
    nearest,
    nearest_neighbours,
    pooled_to,
    representation_similarity,
    rescale,
    retrieval,
    uniformity,
    with_fractions,
)
from avssl.evaluation.layers import grid_within


def part(seed: int, items: int, size: int = 5, classes: int = 3) -> Labelled:
    rng = np.random.default_rng(seed)
    return Labelled(values=2 + rng.normal(size=(items, size)), labels=rng.permutation(np.arange(items) % classes))


# --- retrieval and kNN


@pytest.mark.parametrize("choice", [VCOP, COCLR, SELAVI, Retrieval()], ids=lambda c: c.protocol)
def test_each_named_retrieval_is_brute_force_of_its_own_distance(choice: Retrieval) -> None:
    gallery, queries = part(0, 60), part(1, 25)
    found = retrieval(gallery, queries, choice=choice)
    g, q = gallery.values, queries.values
    if choice is COCLR:
        g, q = g - g.mean(axis=0), q - q.mean(axis=0)
    if choice is SELAVI:
        wanted = Reference(n_neighbors=50).fit(g).kneighbors(q, return_distance=False)  # as its code: Euclidean
    else:
        cosine = [[a @ b / np.sqrt((a @ a) * (b @ b)) for b in g] for a in q]
        wanted = np.argsort(-np.array(cosine), axis=1, kind="stable")
    assert found.neighbours is not None
    for k in choice.ranks:
        assert found.neighbours[:, :k].tolist() == wanted[:, :k].tolist()
        hits = [t in gallery.labels[row[:k]] for t, row in zip(queries.labels, wanted, strict=True)]
        assert found.correct[f"R@{k}"].tolist() == hits
    assert found.settings["distance"] == choice.distance


def test_the_named_retrievals_differ_in_their_answers() -> None:
    gallery, queries = part(2, 60), part(3, 25)
    near = [retrieval(gallery, queries, choice=c).neighbours for c in (VCOP, COCLR, SELAVI)]
    assert len({str(n) for n in near}) == 3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_euclidean_neighbours_are_brute_force_with_ties_to_the_lower_position(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    gallery = rng.integers(-2, 3, size=(9, 2)).astype(np.float32)
    queries = rng.integers(-2, 3, size=(4, 2)).astype(np.float32)
    positions, _ = nearest(queries, gallery, k=k, distance="euclidean")
    for q, query in enumerate(queries):
        wanted = sorted((int(((row - query) ** 2).sum()), p) for p, row in enumerate(gallery))[:k]
        assert positions[q].tolist() == [p for _, p in wanted]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_several_k_vote_as_brute_force_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(-1, 2, size=(14, 2)).astype(np.float64)  # few directions: many ties
    labels = np.append(np.arange(3), rng.integers(0, 3, size=9))
    train, test = Labelled(values=values[:12], labels=labels), Labelled(values=values[12:], labels=np.array([0, 1]))
    choice = NearestNeighbours(k=(1, 4, 200))
    found = nearest_neighbours(train, test, choice=choice)
    assert list(found.correct) == ["top-1 of 1", "top-1 of 4", "top-1 of 200"]
    for k in choice.k:
        for n, query in enumerate(test.values):
            cosines = []
            for row in train.values:
                length = np.sqrt((row @ row) * (query @ query))
                cosines.append(round(row @ query / length, 6) if length else 0.0)
            near = sorted(range(12), key=lambda p: (-cosines[p], p))[:k]
            votes = [sum(np.exp(cosines[p] / 0.07) for p in near if labels[p] == c) for c in range(3)]
            said = next(c for c in range(3) if votes[c] >= max(votes) * (1 - 1e-9))
            assert found.correct[f"top-1 of {k}"][n] == (said == test.labels[n])


def test_a_vote_of_far_neighbours_at_a_low_temperature_is_still_a_vote() -> None:
    train = Labelled(values=np.array([[-1.0, 0.0], [-1.0, 0.0], [-1.0, 0.1]]), labels=np.array([0, 1, 1]))
    test = Labelled(values=np.array([[1.0, 0.0]]), labels=np.array([1]))
    found = nearest_neighbours(train, test, choice=NearestNeighbours(k=(3,), temperature=0.001))
    assert found.correct["top-1"].tolist() == [1.0]


# --- few labels


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.sampled_from([0.01, 0.05, 0.1, 0.2, 0.5]), st.booleans())
def test_a_share_keeps_every_class_and_parts_no_group(seed: int, share: float, mixed: bool) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat([0, 1, 2], [100, 40, 3]))
    group = rng.integers(20, size=143) if mixed else labels * 50 + rng.integers(8, size=143)
    train = Labelled(values=rng.normal(size=(143, 2)), labels=labels, groups=tuple(f"g{g}" for g in group))
    try:
        taken = fraction(train, share=share, seed=seed)
    except Unscorable:
        assume(False)
    assert set(labels[taken]) == {0, 1, 2}
    left = np.setdiff1d(np.arange(143), taken)
    assert len(left)
    assert not set(group[taken]) & set(group[left])
    for k, count in enumerate(np.bincount(labels)):
        assert (labels[taken] == k).sum() >= max(1, round(share * count))
    assert taken.tolist() == fraction(train, share=share, seed=seed).tolist()


def test_without_groups_a_share_is_exact_in_every_class_and_nested() -> None:
    labels = np.repeat([0, 1, 2], [100, 40, 3])
    train = Labelled(values=np.zeros((143, 1)), labels=labels)
    draws = {share: set(fraction(train, share=share, seed=3).tolist()) for share in (0.01, 0.1, 0.2, 1.0)}
    assert [Counter(labels[[*d]]) for d in draws.values()] == [
        {0: 1, 1: 1, 2: 1},
        {0: 10, 1: 4, 2: 1},
        {0: 20, 1: 8, 2: 1},
        {0: 100, 1: 40, 2: 3},
    ]
    assert draws[0.01] < draws[0.1] < draws[0.2] < draws[1.0]
    assert draws[0.1] != set(fraction(train, share=0.1, seed=4).tolist())


def test_a_share_for_which_all_groups_are_needed_is_refused() -> None:
    labels = np.repeat([0, 1], 10)
    train = Labelled(values=np.zeros((20, 1)), labels=labels, groups=tuple("ab"[k] for k in labels))
    with pytest.raises(Unscorable, match=r"10% of 20 items cannot be drawn.*all 2 groups"):
        fraction(train, share=0.1, seed=0)
    assert len(fraction(train, share=1.0, seed=0)) == 20


def test_a_probe_of_few_labels_is_that_of_the_drawn_part() -> None:
    train, test = part(4, 90), part(5, 30)
    choice = Fractions(shares=(0.1, 1.0))
    probe = LinearProbe(costs=(1.0,))
    found = with_fractions(lambda a, b, s: linear_probe(a, b, choice=probe, seed=s), train, test, choice=choice)
    assert list(found) == [(0.1, 0), (0.1, 1), (0.1, 2), (1.0, 0)]
    alone = linear_probe(train.where(fraction(train, share=0.1, seed=2)), test, choice=probe)
    assert found[0.1, 2].predictions.tolist() == alone.predictions.tolist()


def test_items_without_a_group_are_groups_of_their_own() -> None:
    groups = tuple("a" if n < 10 else "" for n in range(40))
    train = Labelled(values=np.zeros((40, 1)), labels=np.arange(40) % 2, groups=groups)
    sizes = {len(fraction(train, share=0.05, seed=s)) for s in range(20)}
    assert 2 in sizes
    assert all(len({*range(10)} & {*fraction(train, share=0.05, seed=s).tolist()}) in {0, 10} for s in range(20))


# --- layers


def test_the_features_of_the_retrievals_are_those_of_the_papers() -> None:
    y = torch.rand(2, 512, 2, 7, 7)
    assert VCOP.pooling(y).shape == (2, 9216)
    torch.testing.assert_close(VCOP.pooling(y), F.max_pool3d(y, (1, 2, 2)).flatten(1))
    torch.testing.assert_close(COCLR.pooling(y), y.mean(dim=(2, 3, 4)))
    flat = F.max_pool3d(y, 2).flatten(1)
    torch.testing.assert_close(SELAVI.pooling(y), flat / flat.norm(dim=1, keepdim=True))
    assert VCOP.pooling(y[:, :, :1, :1, :1]).shape == (2, 512)  # a small map is one place
    torch.testing.assert_close(SELAVI.pooling(y[:, :, 0]), F.normalize(F.max_pool2d(y[:, :, 0], 2).flatten(1)))


@given(st.tuples(st.integers(1, 30), st.integers(1, 30)), st.integers(1, 200))
def test_a_grid_is_as_fine_as_it_may_be_and_keeps_its_proportions(size: tuple[int, int], most: int) -> None:
    grid = grid_within(size, most)
    assert 1 <= grid[0] * grid[1] <= most
    assert all(1 <= g <= s for g, s in zip(grid, size, strict=True))
    if size[0] * size[1] <= most:
        assert grid == size
    elif min(grid) > 1:
        assert (grid[0] + 1) * (grid[1] + 1) > most
        assert abs(grid[0] / size[0] - grid[1] / size[1]) <= 1 / min(size) + 1e-9


def test_alexnet_is_pooled_to_the_sizes_of_the_literature() -> None:
    sizes = {64: 27, 192: 13, 384: 13, 256: 13}  # channels and sides of the convolutions
    found = {c: pooled_to(torch.rand(1, c, 1, n, n)).shape[1] for c, n in sizes.items()}
    assert all(7600 < f <= 9000 for f in found.values())
    y = torch.rand(1, 4, 3, 6, 6)
    torch.testing.assert_close(pooled_to(y, 36), F.adaptive_avg_pool2d(y.mean(dim=2), 3).flatten(1))
    torch.testing.assert_close(pooled_to(y, 36, kind="max"), F.adaptive_max_pool2d(y.amax(dim=2), 3).flatten(1))


@pytest.mark.parametrize(
    "encoder", [tiny_r2plus1d(width=8), tiny_resnet(width=8), sound_vgg(sample_rate=8000, width=8)]
)
def test_layers_are_pooled_in_one_pass_and_parted_again(encoder: Encoder) -> None:
    x = torch.rand(2, 1, 4000) if encoder.modality == "sound" else torch.rand(2, 4, 3, 24, 24)
    layers = Layers(encoder.eval(), torch.zeros_like(x[:1]), most=50)
    with torch.no_grad():
        parts = layers.parted(layers(x).numpy())
        assert tuple(parts) == encoder.taps
        for tap, values in parts.items():
            y = encoder.features(x, (tap,))[tap]
            assert values.shape[1] <= max(50, y.shape[1])
            np.testing.assert_allclose(values, pooled_to(y, 50).numpy(), rtol=1e-5)
            one = Pooled(encoder, Pooling(tap=tap))(x)
            torch.testing.assert_close(one, y.flatten(2).mean(dim=2))
        tokens = Tokens(encoder)
        found = tokens.parted(tokens(x).numpy())
        torch.testing.assert_close(torch.from_numpy(found).mean(dim=1), encoder(x))
        few = Tokens(encoder, most=2)
        assert few.parted(few(x).numpy()).shape[1] <= 2
    with pytest.raises(ValueError, match="for layers of sizes"):
        layers.parted(np.zeros((1, 3)))


def test_a_fingerprint_changes_with_any_number_and_not_with_a_copy() -> None:
    torch.manual_seed(0)
    first = tiny_resnet(width=8)
    second = tiny_resnet(width=8)
    assert fingerprint(first) != fingerprint(second)
    second.load_state_dict(first.state_dict())
    assert fingerprint(first) == fingerprint(second)
    next(second.parameters()).data.view(-1)[0] += 1e-6
    assert fingerprint(first) != fingerprint(second)


# --- scaling


def a_chain() -> ClipEncoder:
    """Convolutions with biases and no normalisation, badly scaled."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv3d(3, 8, 3),
        nn.ReLU(),
        nn.MaxPool3d((1, 2, 2)),
        nn.Conv3d(8, 6, 3, padding=1),
        nn.ReLU(),
        nn.Conv3d(6, 4, 1),
    )
    with torch.no_grad():
        net[0].weight.mul_(30)
        net[3].weight.mul_(0.01)
        net[5].weight.mul_(7)
    trunk = Trunk(net=net, stages={"a": tuple(str(n) for n in range(6))}, dim=4)
    return ClipEncoder(trunk, origin=Origin(constructor="a chain", arguments={}))


def responses(encoder: Encoder, kind: type[nn.Module], x: Tensor) -> list[Tensor]:
    """What each layer of a kind gives, channels first."""
    found: list[Tensor] = []
    hooks = [
        m.register_forward_hook(lambda m, i, o: found.append(o.transpose(0, 1).flatten(1).clone()))
        for m in encoder.modules()
        if isinstance(m, kind)
    ]
    with torch.no_grad():
        encoder.eval()(x)
    for h in hooks:
        h.remove()
    return found


def clips(seed: int = 0) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.rand(4, 8, 3, 16, 16, generator=rng) for _ in range(2)]


def test_per_channel_every_response_has_mean_0_and_deviation_1() -> None:
    encoder = a_chain()
    rescale(encoder, clips(), per="channel")
    for y in responses(encoder, nn.Conv3d, torch.cat(clips())):
        torch.testing.assert_close(y.mean(dim=1), torch.zeros(len(y)), atol=1e-4, rtol=0)
        torch.testing.assert_close(y.std(dim=1, unbiased=False), torch.ones(len(y)), atol=1e-3, rtol=0)


def test_per_channel_the_normalisations_take_over_and_their_statistics_are_renewed() -> None:
    torch.manual_seed(0)
    encoder = c3d(width=4).train()
    rescale(encoder, clips(), per="channel")
    assert encoder.training
    for y in responses(encoder, nn.BatchNorm3d, torch.cat(clips())):
        alive = y.std(dim=1) > 0
        assert alive.any()
        torch.testing.assert_close(y[alive].mean(dim=1), torch.zeros(int(alive.sum())), atol=1e-3, rtol=0)
        torch.testing.assert_close(y[alive].std(dim=1, unbiased=False), torch.ones(int(alive.sum())), atol=1e-2, rtol=0)


@pytest.mark.parametrize("normed", [False, True])
def test_per_layer_the_function_is_kept_up_to_a_factor(normed: bool) -> None:
    encoder = c3d(width=4) if normed else a_chain()
    if normed:
        for m in encoder.modules():
            if isinstance(m, nn.BatchNorm3d):
                m.weight.data.uniform_(0.1, 3)
                m.bias.data.normal_()
    other = clips(1)[0]
    with torch.no_grad():
        before = encoder.eval()(other)
        factors = rescale(encoder, clips())
        after = encoder(other)
    assert len(factors) == (8 if normed else 3)
    assert max(abs(np.log(factors))) > 0.3
    scale = (after * before).sum() / before.square().sum()
    torch.testing.assert_close(after, scale * before, rtol=1e-3, atol=1e-4 * float(after.abs().max()))
    kind = nn.BatchNorm3d if normed else nn.Conv3d
    for y in responses(encoder, kind, torch.cat(clips())):
        assert y.std(dim=1, unbiased=False).mean().item() == pytest.approx(1, abs=1e-2)


def test_per_layer_a_network_that_does_not_allow_it_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    encoder = tiny_resnet(width=8)
    for m in encoder.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.weight.data.uniform_(0.1, 3)
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    with pytest.raises(ValueError, match="no chain of layers"):
        rescale(encoder, [torch.rand(4, 1, 3, 32, 32)])
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_per_layer_alexnet_of_the_papers_keeps_its_features() -> None:
    torch.manual_seed(0)
    encoder = alexnet(norm="local", width=0.1, last="pool5")
    x = torch.rand(2, 1, 3, 96, 96)
    with torch.no_grad():
        before = encoder.eval()(x)
        factors = rescale(encoder, [x])
        after = encoder(x)
    assert len(factors) == 5
    scale = (after * before).sum() / before.square().sum()
    assert (after - scale * before).norm() < 1e-2 * after.norm()


def test_no_batches_and_no_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="no batches"):
        rescale(a_chain(), [])


# --- health


def test_similarity_is_spearmans_of_the_dissimilarities() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20, 6))
    b = a @ rng.normal(size=(6, 9)) + rng.normal(size=(20, 9))
    rows = [[1 - np.corrcoef(x[i], x[j])[0, 1] for i in range(20) for j in range(i)] for x in (a, b)]
    assert representation_similarity(a, b) == pytest.approx(spearmanr(*rows).statistic, abs=1e-9)
    assert representation_similarity(a, a) == pytest.approx(1)
    with pytest.raises(ValueError, match="do not vary"):
        representation_similarity(a, np.ones((20, 3)))
    with pytest.raises(ValueError, match="same items"):
        linear_cka(a, b[:19])


@pytest.mark.parametrize("size", [3, 40])
def test_linear_cka_is_the_alignment_of_the_centred_kernels(size: int) -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(20, 5)) + 3
    b = np.tanh(a @ rng.normal(size=(5, size)))
    centre = np.eye(20) - 1 / 20
    k, m = (centre @ x @ x.T @ centre for x in (a, b))
    wanted = np.trace(k @ m) / np.sqrt(np.trace(k @ k) * np.trace(m @ m))
    assert linear_cka(a, b) == pytest.approx(wanted, abs=1e-9)
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    assert linear_cka(7 * a @ turn - 2, a) == pytest.approx(1, abs=1e-9)
    names, table = affinity({"a": a, "b": b, "c": a})
    assert names == ("a", "b", "c")
    np.testing.assert_allclose(table, [[1, wanted, 1], [wanted, 1, wanted], [1, wanted, 1]], atol=1e-9)


def test_effective_rank_counts_directions() -> None:
    rng = np.random.default_rng(2)
    wide, _ = np.linalg.qr(rng.normal(size=(40, 6)) - rng.normal(size=(40, 6)).mean(axis=0))
    wide = np.linalg.qr(wide - wide.mean(axis=0))[0]
    assert effective_rank(wide) == pytest.approx(6, abs=1e-6)
    assert effective_rank(wide[:, :1] @ np.ones((1, 6)) + 100) == pytest.approx(1, abs=1e-3)
    assert effective_rank(np.full((10, 4), 0.1, np.float32)) == 0
    shares = np.array([4.0, 1.0]) / 5
    assert effective_rank(wide[:, :2] * [4, 1]) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), abs=1e-6)


def test_alignment_and_uniformity_are_brute_force() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 12, 4))
    x, y = a / np.linalg.norm(a, axis=1, keepdims=True), b / np.linalg.norm(b, axis=1, keepdims=True)
    assert alignment(a, b) == pytest.approx(np.mean([((p - q) ** 2).sum() for p, q in zip(x, y, strict=True)]))
    pairs = [np.exp(-2 * ((x[i] - x[j]) ** 2).sum()) for i in range(12) for j in range(i)]
    assert uniformity(a) == pytest.approx(np.log(np.mean(pairs)))
    assert alignment(a, 5 * a) == pytest.approx(0)
    assert uniformity(np.ones((5, 3))) == pytest.approx(0)


def test_collapse_is_told_and_health_is_not() -> None:
    rng = np.random.default_rng(4)
    good = rng.normal(size=(200, 32)) + 0.5
    fine = health(good, (good, good))
    assert fine.alignment == pytest.approx(0)
    assert collapsed(fine) is collapsed(fine, fine) is None
    point = health(np.ones((200, 32)) + 1e-6 * rng.normal(size=(200, 32)))
    assert "nearly the same" in (collapsed(point) or "")
    line = health(good[:, :1] * np.ones((1, 32)) + 0.001 * rng.normal(size=(200, 32)))
    assert "few directions" in (collapsed(line) or "")
    fewer = Health(effective_rank=fine.effective_rank / 5, deviation=fine.deviation, uniformity=-1.0)
    assert collapsed(fewer) is None
    assert "few directions" in (collapsed(fewer, fine) or "")
