"""Masked modelling: what the loss is, that it is learned where there is something to learn, and that nothing leaks.

The planted world: a soft blob that moves at a constant speed over clips of 8 frames. Whoever sees a few patches of it
can tell where it is in all others; who averages the patches around a hidden one, or copies the nearest, cannot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avssl.core import Clip, Example, Plan, Span, generator
from avssl.data import Clips, catalogue
from avssl.encoders import ClipViT, PatchDecoder, tiny_resnet, tiny_sound_vit, tiny_vit
from avssl.evaluation.analysis import collapsed, health
from avssl.media.toybox import Toybox, make_toybox
from avssl.samplers import RandomClips
from avssl.tasks import Foresee, HiddenFeatures, HiddenPatches, Momentum, Restore, Task, by_absolute_error
from avssl.training import Run, Train, fit, start
from avssl.transforms import BlockMask, PatchMask, RandomCrop, RandomMask, TubeMask

SIDE, FRAMES, GRID = 16, 8, (4, 4, 4)


def blobs(number: int, seed: int) -> Tensor:
    """Clips (B, T, 1, H, W) of a blob that moves."""
    rng = torch.Generator().manual_seed(seed)
    start, speed = (torch.rand(number, 1, 2, generator=rng) * 12 + 2 for _ in range(2))
    at = start + (speed - 8) / 8 * torch.arange(FRAMES).view(1, -1, 1)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    square = (y - at[..., :1, None]).square() + (x - at[..., 1:, None]).square()
    return torch.exp(-square / 50)[:, :, None]


def tinted(number: int, seed: int) -> Tensor:
    """The same over a colour of each clip's own, which the rest of a clip tells."""
    colour = torch.rand(number, 1, 3, 1, 1, generator=torch.Generator().manual_seed(seed))
    return 0.8 * blobs(number, seed) + 0.2 * colour


def noise(number: int, seed: int) -> Tensor:
    return torch.rand(number, FRAMES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def batch_of(video: Tensor, *masks: PatchMask, seed: int = 0) -> Example:
    """The clips with a mask of each kind, drawn for each of them."""
    plan = Plan(spans=(Span(times=(0.0,)),))
    parameters: dict[str, list[np.ndarray]] = {}
    for i in range(len(video)):
        for k, mask in enumerate(masks):
            drawn = mask.draw(plan, None, generator(seed, i, k)).parameters  # type: ignore[arg-type]
            for name, value in drawn.items():
                parameters.setdefault(name.replace("mask", f"mask_{k + 1}") if k else name, []).append(value)
    numbers = {name: torch.from_numpy(np.stack(values)) for name, values in parameters.items()}
    return Example(clips=(Clip(video=video),), labels={}, parameters=numbers, index=torch.arange(len(video)))


def encoder(seed: int = 0) -> ClipViT:
    torch.manual_seed(seed)
    return tiny_vit(width=48, depth=2, heads=4, patch=4, tubelet=2)


TUBES = TubeMask(grid=GRID, ratio=0.75)
BLOCKS = BlockMask(grid=GRID, ratio=0.6, block=0.25), BlockMask(grid=GRID, ratio=0.75, block=0.6)


def restore() -> Restore:
    net = encoder()
    return Restore(net, PatchDecoder(net, width=32, depth=1, heads=4), riddle=HiddenPatches(net))


def foresee(*, decay: float = 0.95) -> Foresee:
    net = encoder()
    predictor = HiddenFeatures(net, masks=("mask", "mask_2"), width=32, depth=1, heads=4)
    return Foresee(net, predictor, contest=by_absolute_error, target=Momentum(decay, 1.0))


def trained(task: Task, batches: list[Example], *, lr: float = 5e-3, steps: int) -> list[dict[str, float]]:
    optimiser = torch.optim.AdamW(task.parameter_groups(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    task.before_training()
    found = []
    for step in range(steps):
        out = task(batches[step % len(batches)])
        optimiser.zero_grad()
        out["loss"].backward()
        optimiser.step()
        schedule.step()
        task.after_step((step + 1) / steps)
        found.append({name: float(value.detach()) for name, value in out.items()})
    return found


@cache
def world(kind: str) -> tuple[list[Example], Example]:
    """Batches to train on, and one to test on."""
    make, masks = {"blobs": (blobs, (TUBES,)), "noise": (noise, (TUBES,)), "blocks": (tinted, BLOCKS)}[kind]
    *train, test = [batch_of(make(8, seed), *masks, seed=seed) for seed in range(31)]
    return train, test


def told(task: Task, batch: Example) -> dict[str, float]:
    with torch.no_grad():
        return {name: float(value) for name, value in task(batch).items()}


def test_the_loss_of_a_masked_autoencoder_is_its_formula() -> None:
    task, batch = restore(), batch_of(blobs(2, 5), TUBES)
    net = task.encoder
    assert isinstance(net, ClipViT)
    with torch.no_grad():
        answer = task.decoder(net, batch.clips[0].video, keep=batch.parameters["mask.keep"][:, 0])
    video = net.prepare(batch.clips[0].video).numpy()  # type: ignore[arg-type, union-attr]
    errors = []
    for b in range(2):
        for number in batch.parameters["mask.hide"][b, 0].tolist():
            t, i, j = number // 16, number // 4 % 4, number % 4
            patch = video[b, :, 2 * t : 2 * t + 2, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].ravel()
            patch = (patch - patch.mean()) / np.sqrt(patch.var() + 1e-6)
            errors.append(((answer[b, number].numpy() - patch) ** 2).mean())
    assert told(task, batch)["loss"] == pytest.approx(np.mean(errors), rel=1e-4)
    # each colour by itself: what is told is the same for a clip of another tint
    coloured, riddle = batch_of(tinted(2, 5), TUBES), HiddenPatches(net, by_channel=True)
    grey = replace(coloured, clips=(Clip(video=0.8 * blobs(2, 5)),))
    torch.testing.assert_close(riddle(coloured).target, riddle(grey).target, rtol=1e-2, atol=1e-2)
    assert (HiddenPatches(net)(coloured).target - HiddenPatches(net)(grey).target).abs().max() > 0.5
    raw = Restore(net, task.decoder, riddle=HiddenPatches(net, normalised=False))
    assert raw.riddle(batch).target.sum() == pytest.approx(video.sum(), rel=1e-4)


def test_the_first_loss_is_that_of_answering_the_mean() -> None:
    assert told(restore(), world("noise")[1])["loss"] == pytest.approx(1.0, abs=0.05)
    net = tiny_sound_vit(width=24, depth=1, heads=2)
    sound = torch.randn(4, 1, 8000, generator=torch.Generator().manual_seed(0)) / 10
    mask = RandomMask(grid=net.grid(sound.shape), ratio=0.8)
    drawn = batch_of(torch.zeros(4, 1, 1, 1, 1), mask)
    batch = Example(clips=(Clip(audio=sound),), labels={}, parameters=drawn.parameters, index=drawn.index)
    task = Restore(net, PatchDecoder(net, width=16, depth=1, heads=2), riddle=HiddenPatches(net))
    assert told(task, batch)["loss"] == pytest.approx(1.0, abs=0.05)


def interpolated(batch: Example, riddle: HiddenPatches) -> float:
    """The error of telling hidden patches as the mean of those seen, each by one over its squared distance."""
    puzzle = replace(riddle, normalised=False)(batch)
    places = torch.cartesian_prod(*(torch.arange(float(n)) for n in GRID))
    seen = (puzzle.weight == 0).squeeze(-1).float()[:, None]  # type: ignore[operator]
    near = seen / torch.cdist(places, places).square().clamp(min=1e-6)
    guess = (near / near.sum(dim=2, keepdim=True)) @ puzzle.target
    variance, mean = torch.var_mean(guess, dim=2, keepdim=True, correction=0)
    told = riddle(batch)
    error = ((guess - mean) / (variance + 1e-6).sqrt() - told.target).square() * told.weight
    assert told.weight is not None
    return float(error.sum() / (told.weight.sum() * told.target.shape[2]))


def test_hidden_patches_are_told_better_than_by_interpolation() -> None:
    task, (train, test) = restore(), world("blobs")
    trained(task, train, steps=100)
    assert isinstance(task.riddle, HiddenPatches)
    error, between = told(task, test)["loss"], interpolated(test, task.riddle)
    assert error < min(between, 1.0) / 2  # 1 is the error of the mean of each patch


def test_of_noise_nothing_can_be_told_but_its_mean() -> None:
    task, (train, test) = restore(), world("noise")
    found = trained(task, train, steps=40)
    assert told(task, test)["loss"] == pytest.approx(1.0, abs=0.05)
    assert found[-1]["loss"] > 0.9


def test_the_loss_of_hidden_features_is_its_formula_and_what_is_copied_is_near() -> None:
    task, batch = foresee(), batch_of(blobs(2, 5), *BLOCKS)
    x = batch.clips[0].video
    net = task.encoder
    assert isinstance(net, ClipViT)
    assert x is not None
    nn.init.uniform_(net.net.get_parameter("norm.weight"), 0.5, 3.0)  # which makes them other than normalised
    task.before_training()
    with torch.no_grad():
        foreseen = task.predictor(net, net, batch)
        features = net.encode(x)
    features = (features - features.mean(-1, keepdim=True)) / features.var(-1, correction=0, keepdim=True).sqrt()
    errors, copies = [], []
    for b in range(2):
        p = 0
        for name in ("mask", "mask_2"):
            keep = batch.parameters[f"{name}.keep"][b, 0].tolist()
            for number in batch.parameters[f"{name}.hide"][b, 0].tolist():
                errors.append(float((foreseen.guess[b, p] - features[b, number]).abs().mean()))
                place = np.unravel_index(number, GRID)
                far = [sum((a - c) ** 2 for a, c in zip(np.unravel_index(k, GRID), place, strict=True)) for k in keep]
                copies.append(float((features[b, keep[int(np.argmin(far))]] - features[b, number]).abs().mean()))
                p += 1
    out = told(task, batch)
    assert out["loss"] == pytest.approx(np.mean(errors), rel=1e-3)
    assert out["copy_error"] == pytest.approx(np.mean(copies), rel=1e-2)
    # an answer near 0 to numbers of variance 1: E|x| of a normal is 0.8, and more beside what is answered at first
    assert 0.6 < out["loss"] < 1.5


def test_guesses_see_nothing_of_what_is_hidden_and_the_truth_has_no_gradient() -> None:
    task, batch = foresee(), batch_of(blobs(2, 5), *(BLOCKS[1],) * 2)
    x = batch.clips[0].video
    assert x is not None
    hide = torch.zeros(2, 64).scatter_(1, batch.parameters["mask.hide"][:, 0], 1.0)
    both = hide * torch.zeros(2, 64).scatter_(1, batch.parameters["mask_2.hide"][:, 0], 1.0)
    blind = both.view(2, *GRID).repeat_interleave(2, 1).repeat_interleave(4, 2).repeat_interleave(4, 3)[:, :, None]
    assert blind.any()
    changed = replace(batch, clips=(Clip(video=torch.where(blind > 0, torch.rand_like(x), x)),))
    with torch.no_grad():
        one, other = (task.predictor(task.encoder, task.encoder, b) for b in (batch, changed))
    torch.testing.assert_close(one.guess, other.guess)
    assert (one.truth - other.truth).abs().max() > 0.1
    foreseen = task.predictor(task.encoder, task.encoder, batch)
    assert foreseen.guess.requires_grad
    assert not foreseen.truth.requires_grad


def test_hidden_features_are_foreseen_and_do_not_collapse() -> None:
    task, (train, test) = foresee(), world("blocks")
    clips = tinted(128, 99)
    with torch.no_grad():
        before = health(task.encoder(clips).numpy())
    found = trained(task, train, steps=100)
    out = told(task, test)
    assert out["loss"] < 0.93 * out["copy_error"]
    # and not only because each place has features of its own: those foreseen for another clip fit less
    alike = replace(test, parameters={name: value[:1].expand_as(value) for name, value in test.parameters.items()})
    with torch.no_grad():
        foreseen = task.predictor(task.encoder, task.encoder, alike)
    own, others = ((g - foreseen.truth).abs().mean() for g in (foreseen.guess, foreseen.guess.roll(1, 0)))
    assert others > 1.1 * own
    assert out["spread"] > 0.5 * found[0]["spread"]
    with torch.no_grad():
        assert collapsed(health(task.encoder(clips).numpy()), before) is None


@dataclass(frozen=True, kw_only=True)
class Config:
    train: Train


class Stopped(Exception):
    """The power went out."""


def test_slow_copy_and_schedule_of_the_mask_survive_a_stop_mid_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toybox = make_toybox(Toybox(train=16, test=8, seconds=1.0, size=24), tmp_path / "toybox")
    masks = [replace(m, first=0.3, epochs=2) for m in BLOCKS]
    transform = RandomCrop(16, short_side=20) | masks[0] | masks[1]
    clips = Clips.of(catalogue(toybox).where(split="train").items, RandomClips(frames=FRAMES), transform, workers=0)

    def run(name: str, *, resume: bool = False) -> Run:
        train = Train(out=tmp_path / name, batch_size=4, epochs=2, device="cpu", probe_every=0, checkpoint_every=3)
        return start(Config(train=replace(train, resume=resume)))

    whole = foresee()
    fit(run("whole"), whole, clips)
    cut = foresee()
    steps = iter(range(6))
    after = Foresee.after_step

    def dying(self: Foresee, progress: float) -> None:
        if next(steps) == 5:
            raise Stopped
        after(self, progress)

    with monkeypatch.context() as patched:
        patched.setattr(Foresee, "after_step", dying)
        with pytest.raises(Stopped):
            fit(run("cut"), cut, clips)
    again = foresee()
    nn.init.zeros_(again.encoder.net.get_parameter("norm.weight"))  # what is resumed owes nothing to the new task
    fit(run("cut", resume=True), again, clips)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    slow = {n for n in whole.state_dict() if n.startswith("slow.")}
    assert slow
    assert any(not torch.equal(whole.state_dict()[n], foresee().state_dict()[n]) for n in slow)


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match=r"tiny_resnet does not see patches"):
        HiddenPatches(tiny_resnet())
    with pytest.raises(ValueError, match=r"no mask 'mask'"):
        restore()(batch_of(blobs(2, 0)))
    net = tiny_sound_vit(width=24, depth=1, heads=2)
    with pytest.raises(ValueError, match="no sound"):
        HiddenPatches(net)(batch_of(blobs(2, 0), TUBES))
