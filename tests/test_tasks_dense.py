"""Restoring of colours, holes, motion and masks: formulas, worlds in which the answer is planted, and the adversary."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_training import Stopped, begin, dying, losses, same, weights
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Clip, Example, MediaInfo, Plan, Span, generator
from avssl.data import Clips, catalogue
from avssl.encoders import ChannelwiseFull, Encoder, Judge, UpDecoder, tiny_r2plus1d, tiny_resnet
from avssl.losses import bins_in_gamut, lab_to_rgb, spread_over_bins
from avssl.samplers import RandomClips
from avssl.tasks import (
    Adversary,
    Colouring,
    FlowAhead,
    Inpainting,
    Puzzle,
    Rebalanced,
    Restore,
    Things,
    by_inpainting,
    by_masks,
    by_motion,
)
from avssl.training import Train, fit, task_state
from avssl.training.optimisers import Optimisers
from avssl.transforms import Holes


def batch_of(video: Tensor, **parameters: Tensor) -> Example:
    return Example(clips=(Clip(video=video),), labels={}, parameters=parameters, index=torch.arange(len(video)))


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def trained(task: Restore, batches: Callable[[int], Example], steps: int) -> dict[str, float]:
    """The numbers of the last of some steps."""
    optimisers = Optimisers(task, Train(lr=5e-3))
    for step in range(steps):
        optimisers.zero_grad()
        found = task(batches(step))
        found["loss"].backward()
        optimisers.step()
    return {name: float(value.detach()) for name, value in found.items()}


# --- decoder ---


@pytest.mark.parametrize(
    ("make", "frames", "knobs", "shape"),
    [
        (tiny_resnet, 1, {"size": (12, 12)}, (1, 12, 12)),
        (tiny_resnet, 3, {"size": (33, 20), "taps": ("stem", "stage2", "stage4")}, (3, 33, 20)),
        (tiny_r2plus1d, 8, {"size": (16, 16), "taps": ("stage4", "stage1")}, (8, 16, 16)),
        (tiny_r2plus1d, 8, {"when": "last", "full": True}, (1, 2, 2)),
    ],
)
def test_answers_have_the_size_that_is_asked_for(
    make: Any, frames: int, knobs: dict[str, Any], shape: tuple[int, ...]
) -> None:
    encoder: Encoder = make(width=8, norm="group")
    decoder = UpDecoder(encoder, 5, shown=(frames, 32, 32), width=16, **knobs)
    shown = noise(2, frames, 3, 32, 32)
    answer = decoder(encoder, shown)
    assert answer.shape == (2, 5, *shape)
    torch.testing.assert_close(decoder(encoder, shown[1:]), answer[1:], rtol=1e-4, atol=1e-5)
    answer.square().mean().backward()
    assert all(p.grad is not None for p in [*encoder.parameters(), *decoder.parameters()])


def test_a_tap_that_the_encoder_lacks_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"taps \['stem', 'stage9'\]: must be one or more of"):
        UpDecoder(tiny_resnet(width=8), 5, shown=(1, 16, 16), taps=("stem", "stage9"))


def test_every_place_learns_of_every_other_of_its_channel() -> None:
    layer = ChannelwiseFull(3, 4)
    nn.init.eye_(layer.mix.weight.view(3, 3).data)
    x = noise(1, 3, 2, 2).requires_grad_()
    layer.weight.data.abs_()
    layer(x)[0, 1, 0, 0].backward()
    assert x.grad is not None
    assert (x.grad[0, 1] != 0).all()
    assert not x.grad[0, [0, 2]].any()


# --- colours ---


def test_bins_are_those_of_eight_bit_colours() -> None:
    assert [len(bins_in_gamut(s)) for s in (10, 20)] == [261, 76]
    assert {(0.0, 0.0), (80.0, 70.0), (80.0, -110.0)} <= {tuple(b) for b in bins_in_gamut(10).tolist()}
    with pytest.raises(ValueError, match="spacing 0"):
        bins_in_gamut(0)


def test_a_colour_is_spread_over_its_five_nearest_bins() -> None:
    ab, bins = np.array([12.0, -31.0]), bins_in_gamut(10).numpy()
    far = ((bins - ab) ** 2).sum(axis=1)
    wanted = np.zeros(len(bins))
    wanted[np.argsort(far)[:5]] = np.exp(-np.sort(far)[:5] / 50)
    found = spread_over_bins(torch.from_numpy(ab).view(1, 2, 1, 1), bins_in_gamut(10)).flatten()
    np.testing.assert_allclose(found, wanted / wanted.sum(), atol=1e-6)


def test_the_encoder_sees_lightness_only() -> None:
    lab = torch.stack((noise(2, 1, 8, 8) * 20 + 50, *(noise(2, 2, 1, 8, 8, seed=1) * 30 - 15)), dim=2)
    other = torch.cat((lab[:, :, :1], -lab[:, :, 1:]), dim=2)
    one, two = (Colouring(shrink=2)(batch_of(lab_to_rgb(x))) for x in (lab, other))
    assert one.shown.shape == (2, 1, 1, 8, 8)
    torch.testing.assert_close(one.shown, two.shown, atol=1e-4, rtol=0)
    assert (one.target - two.target).abs().max() > 0.5
    assert one.target.shape == (2, 261, 1, 4, 4)
    torch.testing.assert_close(one.target.sum(dim=1), torch.ones(2, 1, 4, 4))


def test_pictures_without_colour_count_nothing() -> None:
    grey = noise(1, 1, 1, 8, 8).expand(1, 1, 3, 8, 8)
    puzzle = Colouring()(batch_of(torch.cat((grey, noise(1, 1, 3, 8, 8)))))
    assert puzzle.weight is not None
    assert puzzle.weight.flatten(1).amax(dim=1).tolist() == [0, 1]


def test_rare_colours_count_more_as_in_equation_4() -> None:
    target = torch.zeros(1, 4, 1, 2, 5)
    for place, kind in enumerate([0] * 6 + [1] * 3 + [2]):
        target[0, kind, 0, place // 5, place % 5] = 1
    answer = noise(1, 4, 1, 2, 5)
    measure = Rebalanced(4)
    assert measure.weights().tolist() == [1, 1, 1, 1]
    found = measure(answer, Puzzle(shown=answer, target=target))
    p = np.array([0.6, 0.3, 0.1, 0])
    w = 1 / (0.5 * p + 0.5 / 4)
    w /= (p * w).sum()
    np.testing.assert_allclose(measure.weights(), w, rtol=1e-5)
    kinds = target.argmax(dim=1)
    each = F.cross_entropy(answer, kinds, reduction="none")
    each_w = torch.tensor(w, dtype=torch.float32)[kinds]
    torch.testing.assert_close(found["loss"], (each * each_w).sum() / each_w.sum())
    # the best answer that is alike everywhere
    best = torch.tensor(p * w).log().float().clamp(min=-50)[None, :, None, None, None].expand_as(target)
    measure.eval()
    torch.testing.assert_close(measure(best, Puzzle(shown=answer, target=target))["loss"], found["constant"])
    assert measure.seen.sum() == pytest.approx(1)  # only training adds to it
    assert "seen" in measure.state_dict()


def test_colours_that_lightness_tells_are_learned() -> None:
    dark = noise(8, 1, 1, 4, 4).gt(0.5).float().repeat_interleave(4, -1).repeat_interleave(4, -2)
    lab = torch.cat((50 + 20 * dark, 40 - 80 * dark, 20 * torch.ones_like(dark)), dim=2)
    riddle, encoder = Colouring(spacing=20), tiny_resnet(width=8)
    decoder = UpDecoder(encoder, riddle.classes, shown=(1, 16, 16), size=(4, 4), taps=encoder.taps, width=16)
    nn.init.zeros_(decoder.answer.weight)
    nn.init.constant_(decoder.answer.get_parameter("bias"), 0)
    task, batch = Restore(encoder, decoder, riddle=riddle, measure=Rebalanced(76)), batch_of(lab_to_rgb(lab))
    assert float(task(batch)["loss"].detach()) == pytest.approx(math.log(76), rel=1e-4)
    found = trained(task, lambda _: batch, 40)
    assert found["loss"] < found["constant"] - 0.3
    assert found["accuracy"] > 0.9


# --- holes ---


@pytest.mark.parametrize("place", ["centre", "blocks"])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.6])
def test_holes_lie_inside_and_cover_no_more_than_their_share(place: Any, share: float) -> None:
    plan, info = Plan(spans=(Span(times=(0.0,)),) * 2), MediaInfo(duration=0, frames=1, height=8, width=8)
    for seed in range(20):
        boxes = Holes(place=place, share=share).draw(plan, info, generator(seed)).parameters["holes.boxes"]
        assert boxes.shape == (2, 1 if place == "centre" else 4, 4)
        assert (boxes >= 0).all()
        assert (boxes[..., :2] + boxes[..., 2:] <= 1 + 1e-6).all()
        area = (boxes[..., 2] * boxes[..., 3]).sum(axis=1)
        assert (area <= share + 1e-6).all()
        assert area.min() >= (share if place == "centre" else share / 4) - 1e-6


def test_what_is_behind_a_hole_is_asked_for_and_not_shown() -> None:
    video = noise(2, 3, 3, 16, 16)
    hidden = video.clone()
    hidden[..., 6:10, 6:10] = 0.9
    box = {"holes.boxes": torch.tensor([0.25, 0.25, 0.5, 0.5]).expand(2, 1, 1, 4)}
    riddle = Inpainting(overlap=2, fill=(0.5, 0.5, 0.5))
    one, two = riddle(batch_of(video, **box)), riddle(batch_of(hidden, **box))
    assert torch.equal(one.shown, two.shown)
    assert (one.shown[..., 6:10, 6:10] == 0.5).all()
    assert torch.equal(one.shown[..., :6, :], video[..., :6, :])
    torch.testing.assert_close(one.target, (2 * (video - 0.5)).transpose(1, 2)[..., 4:12, 4:12])
    assert one.weight is not None
    assert one.weight[0, 0, 0].sum() == 16 + 10 * (64 - 16)
    everywhere = Inpainting(window=None)(batch_of(video, **box))
    assert everywhere.weight is not None
    assert everywhere.weight[0, 0, 0].sum() == 64
    assert everywhere.target.shape == (2, 3, 3, 16, 16)


def test_inpainting_is_a_mean_of_squares_beside_that_of_one_colour() -> None:
    answer, target, weight = noise(2, 3, 1, 4, 4), noise(2, 3, 1, 4, 4, seed=1), noise(2, 1, 1, 4, 4, seed=2)
    found = by_inpainting(answer, Puzzle(shown=target, target=target, weight=weight))
    a, t, w = (x.numpy() for x in (answer, target, weight.expand_as(target)))
    mean = np.average(t, axis=(0, 2, 3, 4), weights=w)[:, None, None, None]
    assert float(found["loss"]) == pytest.approx(np.average((a - t) ** 2, weights=w), rel=1e-5)
    assert float(found["mean_fill"]) == pytest.approx(np.average((t - mean) ** 2, weights=w), rel=1e-5)


def ramps(count: int, side: int) -> Tensor:
    """Pictures whose light goes from one level to another across, so that what is hidden can be told."""
    ends = noise(2, count, 1, 3, 1, 1)
    return (ends[0] + (ends[1] - ends[0]) * torch.linspace(0, 1, side)).expand(count, 1, 3, side, side)


def centred(video: Tensor) -> Example:
    return batch_of(video, **{"holes.boxes": torch.tensor([0.25, 0.25, 0.5, 0.5]).expand(len(video), 1, 1, 4)})


def context_task(weight: float | None, *, side: int = 16, norm: Any = "batch") -> Restore:
    torch.manual_seed(0)
    encoder = tiny_resnet(width=8, norm=norm)
    riddle = Inpainting(overlap=1)
    size = riddle.size(side)
    decoder = UpDecoder(encoder, 3, shown=(1, side, side), size=size, width=16, full=True)
    adversary = None if weight is None else Adversary(Judge(size=size, width=8), weight=weight, lr_scale=0.1)
    return Restore(encoder, decoder, riddle=riddle, measure=by_inpainting, adversary=adversary)


@pytest.mark.parametrize("weight", [None, 0.01])
def test_a_hole_in_a_ramp_is_filled_better_than_with_one_colour(weight: float | None) -> None:
    found = trained(context_task(weight), lambda _: centred(ramps(16, 16)), 40)
    assert found.get("restoring", found["loss"]) < 0.3 * found["mean_fill"]
    assert weight is None or found["judge_accuracy"] < 0.95, "the judge is not always right"


# --- the adversary ---


def gradients(loss: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def test_each_side_has_its_own_gradient_of_the_one_loss() -> None:
    adversary = Adversary(nn.Sequential(nn.Flatten(), nn.Linear(48, 1), nn.Flatten(0)), weight=0.25)
    made, true = noise(3, 3, 1, 4, 4).requires_grad_(), noise(3, 3, 1, 4, 4, seed=1)
    restoring = (made - true).square().mean()
    found = adversary(restoring, made, true)
    judge = list(adversary.judge.parameters())

    def logits(x: Tensor) -> Tensor:
        flat: Tensor = adversary.judge(x.transpose(1, 2).flatten(0, 1))
        return flat

    ones, zeros = torch.ones(3), torch.zeros(3)
    bce = F.binary_cross_entropy_with_logits
    judging = (bce(logits(true), ones) + bce(logits(made), zeros)) / 2
    fooling = bce(logits(made), ones)
    torch.testing.assert_close(found["judging"], judging.detach())
    torch.testing.assert_close(found["fooling"], fooling.detach())
    for a, b in zip(gradients(found["loss"], judge), gradients(judging, judge), strict=True):
        torch.testing.assert_close(a, b)
    maker: Any = [made]
    torch.testing.assert_close(gradients(found["loss"], maker), gradients(0.75 * restoring + 0.25 * fooling, maker))
    assert gradients(fooling, judge)[0].abs().max() > 1e-3  # so that its absence says something


def test_the_judge_has_an_optimiser_of_its_own() -> None:
    task = context_task(0.01)
    optimisers = Optimisers(task, Train(optimizer="adamw", lr=2e-3))
    optimisers.set_rate(2e-3)
    ours, theirs = optimisers.members
    assert (type(ours), type(theirs)) == (torch.optim.AdamW, torch.optim.Adam)
    assert isinstance(task.adversary, Adversary)
    judged = {id(p) for p in task.adversary.parameters()}
    groups = [(g, {id(p) for p in g["params"]}) for m in optimisers.members for g in m.param_groups]
    assert [g["lr"] for g, ids in groups if ids <= judged] == pytest.approx([2e-4, 2e-4])
    assert {g["betas"] for g, ids in groups if ids <= judged} == {(0.5, 0.999)}
    assert sum(len(ids) for _, ids in groups) == len(list(task.parameters()))
    with pytest.raises(ValueError, match="weight 0"):
        Adversary(nn.Identity(), weight=0)


@pytest.mark.parametrize("method", ["holes", "colours"])
def test_resuming_equals_never_stopping(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(16):
        pixels = (noise(5, 5, 3, seed=n).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).resize((16, 16)).save(folder / f"{n}.png")
    transform = Holes() if method == "holes" else None
    clips = Clips.of(catalogue(folder).items, RandomClips(frames=1), transform, workers=0)

    def make() -> Restore:
        if method == "holes":
            return context_task(0.01)
        encoder = tiny_resnet(width=8)
        decoder = UpDecoder(encoder, 76, shown=(1, 16, 16), size=(4, 4), width=8)
        return Restore(encoder, decoder, riddle=Colouring(spacing=20), measure=Rebalanced(76))

    whole = fit(begin(tmp_path / "whole"), make(), clips)
    with monkeypatch.context() as patch:
        patch.setattr(Restore, "after_step", dying(Restore.after_step, after=3))
        with pytest.raises(Stopped):
            fit(begin(tmp_path / "cut", checkpoint_every=1), make(), clips)
    resumed = fit(begin(tmp_path / "cut", checkpoint_every=1, resume=True), make(), clips)
    assert losses(resumed.folder) == losses(whole.folder)
    assert same(weights(resumed), weights(whole))
    part = {"holes": "adversary.judge.", "colours": "measure."}[method]
    kept, wanted = task_state(resumed.folder, part), task_state(whole.folder, part)
    assert kept
    assert same(kept, wanted)


# --- motion ---


def gliding(ways: Tensor, frames: int, side: int, seed: int = 0) -> Tensor:
    """Clips (B, T, 3, H, W) of textures that glide by `ways` (B, 2), pixels a frame."""
    rows = [noise(1, 3, side // 2, side // 2, seed=seed + n) for n in range(len(ways))]
    wide = [F.interpolate(x, scale_factor=4, mode="bicubic")[0] for x in rows]
    clips = []
    for texture, (x, y) in zip(wide, ways.tolist(), strict=True):
        corner = side // 2
        places = [(corner - int(t * y), corner - int(t * x)) for t in range(frames)]
        clips.append(torch.stack([texture[:, r : r + side, c : c + side] for r, c in places]))
    return torch.stack(clips)


def test_flow_ahead_tells_where_things_go_and_shows_what_was() -> None:
    clips = gliding(torch.tensor([[2, 0], [0, 2], [-2, 0], [0, -2], [0, 0]]), 3, 24)
    puzzle = FlowAhead(directions=4, speeds=(2 / 24,))(batch_of(clips))
    assert torch.equal(puzzle.shown, clips[:, :2])
    assert puzzle.target[:, 0].flatten(1).mode(dim=1).values.tolist() == [1, 2, 3, 4, 0]
    with pytest.raises(ValueError, match="2 or more"):
        FlowAhead()(batch_of(clips[:, :1]))


def test_what_moves_counts_as_much_as_what_does_not() -> None:
    target = torch.tensor([0, 0, 0, 0, 0, 0, 2, 1]).view(1, 1, 2, 4)
    answer = noise(1, 3, 1, 2, 4)
    answer[:, 0] += 10
    found = by_motion(answer, Puzzle(shown=answer, target=target))
    each = F.cross_entropy(answer, target, reduction="none").flatten()
    torch.testing.assert_close(found["loss"], (each[:6].mean() + each[6:].mean()) / 2)
    told = {name: float(found[name]) for name in ("accuracy", "always_still", "moving_accuracy", "still_accuracy")}
    assert told == {"accuracy": 0.75, "always_still": 0.75, "moving_accuracy": 0, "still_accuracy": 1}
    none = by_motion(torch.zeros(1, 3, 1, 2, 4), Puzzle(shown=answer, target=target))
    assert float(none["loss"]) == pytest.approx(math.log(3))


@pytest.mark.parametrize("frozen", [False, True])
def test_motion_is_told_from_what_came_before_and_not_from_one_frame(frozen: bool) -> None:
    ways = torch.tensor([[2, 0], [-2, 0]]).repeat(4, 1)
    flow = FlowAhead(directions=2, speeds=(2 / 24,), shrink=6)
    # textures that are brighter to the right, so that what goes left grows brighter
    ramp = torch.linspace(0, 1, 24 + 16)

    def clips(step: int) -> Example:
        video = 0.3 * gliding(ways, 5, 24, seed=100 * step)
        for clip, (x, _) in zip(video, ways.tolist(), strict=True):
            for t, frame in enumerate(clip):
                frame += ramp[8 - t * x : 32 - t * x]
        return batch_of(video)

    def riddle(batch: Example) -> Puzzle:
        puzzle = flow(batch)
        return replace(puzzle, shown=puzzle.shown[:, :1].expand_as(puzzle.shown)) if frozen else puzzle

    encoder = tiny_r2plus1d(width=8)
    decoder = UpDecoder(encoder, 3, shown=(4, 24, 24), size=(4, 4), width=16, when="last")
    found = trained(Restore(encoder, decoder, riddle=riddle, measure=by_motion), clips, 20)
    assert found["always_still"] < 0.3
    assert (found["moving_accuracy"] < 0.7) if frozen else (found["moving_accuracy"] > 0.9)


def test_masks_are_scored_as_overlap_beside_a_disc_in_the_middle() -> None:
    target = torch.zeros(3, 1, 1, 16, 16)
    target[0, ..., 6:10, 6:10] = 1  # in the middle
    target[1:, ..., :4, :4] = 1
    answer = 20 * target - 10
    answer[1, ..., :4] *= -1
    weight = torch.tensor([1.0, 1.0, 0.0]).view(3, 1, 1, 1, 1).expand_as(target)
    found = by_masks(answer, Puzzle(shown=target, target=target, weight=weight))
    errors = F.binary_cross_entropy_with_logits(answer, target, reduction="none")[:2].mean()
    torch.testing.assert_close(found["loss"], errors)
    assert float(found["used"]) == pytest.approx(2 / 3)
    assert float(found["iou"]) == pytest.approx(0.5)
    assert float(found["centre_iou"]) == pytest.approx(0.5)
    silent = by_masks(torch.zeros_like(target), Puzzle(shown=target, target=target))
    assert float(silent["loss"]) == pytest.approx(math.log(2))


def test_of_the_frames_only_the_middle_one_is_shown() -> None:
    clips = gliding(torch.tensor([[0, 0], [1, 1]]), 3, 32)
    puzzle = Things(shrink=2)(batch_of(clips))
    assert torch.equal(puzzle.shown, clips[:, 1:2])
    assert puzzle.target.shape == (2, 1, 1, 16, 16)
    assert puzzle.weight is not None
    assert not puzzle.weight.any()  # nothing moves by itself


def test_a_decoder_whose_encoder_sees_all_refuses_to_hide_patches() -> None:
    encoder = tiny_resnet(width=8)
    decoder = UpDecoder(encoder, 1, shown=(1, 16, 16), size=(4, 4), width=16)
    with pytest.raises(ValueError, match="UpDecoder with patches to keep: its encoder would see the hidden ones"):
        decoder(encoder, torch.rand(2, 1, 3, 16, 16), keep=torch.zeros(2, 1, dtype=torch.long))
