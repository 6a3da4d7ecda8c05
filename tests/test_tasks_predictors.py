"""DPC and CPC: which truth each guess is about, which negatives there are, worlds that can be foreseen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from avssl.core import Clip, Example
from avssl.encoders import ConvGRU, Encoder, MaskedRows, tiny_resnet, tiny_sound
from avssl.tasks import (
    Foresee,
    Foreseen,
    Momentum,
    OneByOne,
    Patches,
    Predictor,
    StepsAhead,
    among_all,
    blocks,
    over_time,
)


def of(*clips: Clip) -> Example:
    return Example(clips=clips, labels={}, parameters={}, index=torch.arange(clips[0].leading[0]))


def foreseen(examples: int, guesses: int, places: int, seed: int = 0) -> Foreseen:
    rng = torch.Generator().manual_seed(seed)
    return Foreseen(
        guess=torch.randn(examples, guesses, 5, generator=rng),
        truth=torch.randn(examples, places, 5, generator=rng),
        copied=torch.randn(examples, guesses, 5, generator=rng),
        place=torch.randint(0, places, (guesses,), generator=rng),
        seen=torch.tensor([0, 1, 2, 3][:guesses]),
    )


def test_the_contest_against_loops() -> None:
    f = foreseen(3, 4, 6)
    assert f.place is not None
    assert f.copied is not None
    assert f.seen is not None
    terms, first, copies = [], [], []
    for b in range(3):
        for p in range(4):
            scores = {(e, q): float(f.guess[b, p] @ f.truth[e, q]) for e in range(3) for q in range(6)}
            own = (b, int(f.place[p]))
            terms.append(math.log(sum(math.exp(s) for s in scores.values())) - scores[own])
            first.append(max(scores, key=lambda k: scores[k]) == own)
            far = {(e, q): float((f.copied[b, p] - f.truth[e, q]).norm()) for e, q in scores}
            del far[b, int(f.seen[p])]
            copies.append(min(far, key=lambda k: far[k]) == own)
    found = among_all(f)
    assert float(found["loss"]) == pytest.approx(sum(terms) / 12, rel=1e-5)
    assert float(found["accuracy"]) == pytest.approx(sum(first) / 12)
    assert float(found["copied"]) == pytest.approx(sum(copies) / 12)


def test_places_are_compared_in_full_precision_where_networks_are_not() -> None:
    f = foreseen(3, 4, 6)
    large = replace(f, guess=20 * f.guess)
    with torch.autocast("cpu", torch.bfloat16):
        found = among_all(large)["loss"]
    torch.testing.assert_close(found, among_all(large)["loss"])


def grid_of_numbers(encoder: Encoder, batch: Example) -> Tensor:
    """Features that tell their own example, step, row and column, (B, 5, 4, 2, 3)."""
    axes = torch.meshgrid(*(torch.arange(float(n)) for n in (len(batch), 5, 2, 3)), indexing="ij")
    return torch.stack(axes, dim=2)


def plain(predictor: StepsAhead | OneByOne) -> Predictor:
    """The predictor with a neck that changes nothing."""
    with torch.no_grad():
        nn.init.eye_(predictor.neck.weight[..., 0, 0])
        predictor.neck.bias.zero_()  # type: ignore[union-attr]
    return predictor


def test_dense_negatives_are_spatial_temporal_and_easy() -> None:
    predictor = plain(OneByOne(4, grid=grid_of_numbers, context=ConvGRU(4), ahead=2))
    encoder = tiny_resnet(width=8)
    found = predictor(encoder, encoder, of(Clip(video=torch.zeros(2, 1, 3, 8, 8))))
    assert found.guess.shape == found.truth.shape == (2, 12, 4)
    assert found.place is None  # each guess is about the truth at its own place
    wanted = [[1.0, step, row, column] for step in (3, 4) for row in (0, 1) for column in (0, 1, 2)]
    assert found.truth[1].tolist() == wanted
    assert found.copied is not None
    assert found.copied[1].tolist() == [[1.0, 2.0, *place[2:]] for place in wanted]


def test_guesses_steps_ahead_are_about_the_same_place_so_many_steps_on() -> None:
    predictor = plain(StepsAhead(4, grid=grid_of_numbers, context=ConvGRU(4), steps=(2, 4, 7)))
    encoder = tiny_resnet(width=8)
    found = predictor(encoder, encoder, of(Clip(video=torch.zeros(2, 1, 3, 8, 8))))
    assert found.truth.shape == (2, 30, 4)  # every place of the grid is one candidate
    assert found.guess.shape == (2, 3 * 6 + 1 * 6, 4)  # rows 0 to 2 two ahead, row 0 four ahead, none seven ahead
    assert found.place is not None
    assert found.copied is not None
    assert found.seen is not None
    assert torch.equal(found.truth[:, found.seen], found.copied)
    ahead = found.truth[:, found.place] - found.copied
    assert ahead[:, :, [0, 2, 3]].abs().max() == 0
    assert ahead[0, :, 1].tolist() == [2.0] * 18 + [4.0] * 6
    with torch.autocast("cpu", torch.bfloat16):  # several ranks fail where a layer has no gradient
        loss = among_all(predictor(encoder, encoder, of(Clip(video=torch.zeros(2, 1, 3, 8, 8)))))["loss"]
    loss.backward()
    assert [bool(p.grad is not None) for p in predictor.next.parameters()] == [True] * 6


def test_a_slow_copy_tells_the_truth_without_gradients() -> None:
    encoder, batch = tiny_resnet(width=8), of(*[Clip(video=torch.rand(2, 1, 3, 16, 16)) for _ in range(3)])
    for predictor in (
        OneByOne(64, grid=blocks, context=ConvGRU(4), ahead=1),
        StepsAhead(64, grid=blocks, context=ConvGRU(4), steps=(1,)),
    ):
        task = Foresee(encoder, predictor, contest=among_all, target=Momentum(0.5))
        assert task.slow is not None
        aim = task.slow.copy
        assert isinstance(aim, Encoder)
        with torch.autocast("cpu", torch.bfloat16):
            loss = task(batch)["loss"]
        loss.backward()
        assert all(p.grad is not None for p in (*encoder.parameters(), *predictor.parameters()))
        assert not predictor(encoder, aim, batch).truth.requires_grad
        assert predictor(encoder, encoder, batch).truth.requires_grad


def test_patches_are_cut_row_by_row() -> None:
    encoder = tiny_resnet(width=8, norm="group")
    video = torch.rand(2, 2, 3, 20, 24)
    grid = Patches(side=8, stride=4)(encoder, of(Clip(video=video)))
    assert grid.shape == (2, 4, 64, 1, 5)
    with torch.no_grad():
        alone = encoder(video[1:, :, :, 8:16, 12:20])
    torch.testing.assert_close(grid[1, 2, :, 0, 3], alone[0], rtol=1e-4, atol=1e-5)


def tasks() -> dict[str, tuple[Foresee, Example, int]]:
    """DPC and CPC on noise, with the number of places of an example that may be the right one."""
    video, sound = tiny_resnet(width=8, norm="group"), tiny_sound(width=8, norm="group")
    clips = [Clip(video=torch.rand(3, 2, 3, 16, 16)) for _ in range(5)]
    dpc = OneByOne(64, grid=blocks, context=ConvGRU(16), ahead=3)
    rows = StepsAhead(64, grid=Patches(side=8, stride=4), context=MaskedRows(16), steps=(2, 3))
    heard = StepsAhead(64, grid=over_time, context=ConvGRU(16), steps=(1, 2))
    return {
        "dpc": (Foresee(video, dpc, contest=among_all), of(*clips), 3 * 2 * 2),
        "cpc of pictures": (
            Foresee(video, rows, contest=among_all),
            of(Clip(video=torch.rand(3, 1, 3, 24, 24))),
            5 * 5,
        ),
        "cpc of sound": (Foresee(sound, heard, contest=among_all), of(Clip(audio=torch.randn(3, 1, 8000))), 7),
    }


def test_losses_start_at_the_logarithm_of_the_candidates_and_reach_the_encoder() -> None:
    for name, (task, batch, places) in tasks().items():
        out = task(batch)
        assert float(out["loss"].detach()) == pytest.approx(math.log(3 * places), abs=0.02), name
        assert out["spread"] > 0
        task.zero_grad()
        out["loss"].backward()
        first = next(task.encoder.parameters())
        assert first.grad is not None
        assert first.grad.abs().max() > 0, name


STEPS = 7


def colours(encoder: Encoder, batch: Example) -> Tensor:
    """The mean colours of a clip's frames as its sequence: a world in which there is nothing to encode."""
    video = batch.clips[0].video
    assert video is not None
    return 8 * video.mean(dim=(3, 4))[..., None, None] - 4


def turning(n: int, rng: torch.Generator, *, shuffled: bool) -> Example:
    """Clips whose colour goes round, one way or the other, at a pace of their own."""
    start = torch.rand(n, 1, generator=rng)
    pace = (0.08 + 0.12 * torch.rand(n, 1, generator=rng)) * (2 * torch.randint(0, 2, (n, 1), generator=rng) - 1)
    phase = 2 * math.pi * (start + pace * torch.arange(STEPS))
    if shuffled:
        phase = phase.gather(1, torch.rand(n, STEPS, generator=rng).argsort(dim=1))
    colour = torch.stack((phase.cos(), phase.sin(), torch.zeros_like(phase)), dim=2) / 2 + 0.5
    return of(Clip(video=colour[..., None, None].expand(-1, -1, -1, 2, 2)))


def learnt(predictor: Predictor, *, shuffled: bool, steps: int = 80) -> dict[str, float]:
    """Loss and metrics on clips that were not trained on."""
    task = Foresee(tiny_resnet(width=8), predictor, contest=among_all)
    optimiser = torch.optim.Adam(predictor.parameters(), lr=1e-2)
    rng = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimiser.zero_grad()
        task(turning(8, rng, shuffled=shuffled))["loss"].backward()
        optimiser.step()
    with torch.no_grad():
        held_out = [task(turning(4, rng, shuffled=shuffled)) for _ in range(30)]
    return {name: sum(float(out[name]) for out in held_out) / 30 for name in ("loss", "accuracy", "copied")}


PLANTED: dict[str, tuple[Callable[[], Predictor], int]] = {
    "dpc": (lambda: OneByOne(3, grid=colours, context=ConvGRU(16), ahead=3), 3),
    "cpc recurrent": (lambda: StepsAhead(3, grid=colours, context=ConvGRU(16), steps=(2, 3)), STEPS),
    "cpc masked": (lambda: StepsAhead(3, grid=colours, context=MaskedRows(16, blocks=3), steps=(2, 3)), STEPS),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_comes_next_is_foreseen_where_it_can_be(name: str) -> None:
    make, places = PLANTED[name]
    torch.manual_seed(0)
    signal = learnt(make(), shuffled=False)
    torch.manual_seed(0)
    null = learnt(make(), shuffled=True)
    assert signal["accuracy"] > 2 * max(signal["copied"], null["accuracy"])
    assert signal["loss"] < null["loss"] - 0.4
    assert null["loss"] == pytest.approx(math.log(4 * places), abs=0.1)


def test_errors_name_the_value() -> None:
    encoder = tiny_resnet(width=8)
    short = of(*[Clip(video=torch.zeros(2, 1, 3, 8, 8)) for _ in range(3)])
    with pytest.raises(ValueError, match="sequence of 3, of which 3"):
        OneByOne(64, grid=blocks, context=ConvGRU(4), ahead=3)(encoder, encoder, short)
    with pytest.raises(ValueError, match="1 clips"):
        blocks(encoder, of(Clip(video=torch.zeros(2, 1, 3, 8, 8))))
    with pytest.raises(ValueError, match="8, 8"):
        Patches(side=16, stride=8)(encoder, short)
    with pytest.raises(ValueError, match="stride 9"):
        Patches(side=8, stride=9)
    with pytest.raises(ValueError, match=r"steps \(0, 1\)"):
        StepsAhead(64, grid=blocks, context=ConvGRU(4), steps=(0, 1))
    with pytest.raises(ValueError, match="guesses 5 ahead"):
        StepsAhead(64, grid=blocks, context=ConvGRU(4), steps=(5, 6))(encoder, encoder, short)
