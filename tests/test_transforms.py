"""What holds for every transform: drawn once, recorded, the same in any batch and on any device."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transform_batches import INFO, batch_of, frames_repeated, plan_of

from avssl.core import Clip, Example, generator
from avssl.transforms import (
    AffineWarp,
    Blur,
    Chain,
    ChannelSplit,
    ColourJitter,
    FrequencyMask,
    Gain,
    Grey,
    HorizontalFlip,
    Noise,
    ProjectiveWarp,
    RandomCrop,
    RandomResizedCrop,
    Rotate90,
    Solarise,
    SoundNoise,
    TimeMask,
    Transform,
)

PIXELS: list[Transform] = [
    HorizontalFlip(),
    HorizontalFlip(scope="frame"),
    Rotate90(),
    Rotate90(all=False),
    ColourJitter(),
    ColourJitter(scope="frame", brightness=0.8, hue=0.5),
    Grey(p=0.5),
    Blur(kernel=0.3),
    Blur(scope="frame"),
    Solarise(p=0.5),
    ChannelSplit(),
    ChannelSplit(scope="clip"),
    Noise(),
    ProjectiveWarp(beside=False),
    AffineWarp(beside=False),
]
SOUNDS: list[Transform] = [Gain(), SoundNoise(), SoundNoise(p=0.5), TimeMask(), FrequencyMask()]
EVERYTHING = HorizontalFlip() | ColourJitter() | Grey() | Blur() | Solarise() | Gain() | SoundNoise() | Rotate90()

named = pytest.mark.parametrize(
    "transform", [*PIXELS, *SOUNDS, EVERYTHING], ids=lambda t: f"{type(t).__name__}-{getattr(t, 'scope', '')}"
)


def equal(a: Example, b: Example, *, within: float = 0.0) -> None:
    assert len(a.clips) == len(b.clips)
    for x, y in zip(a.clips, b.clips, strict=True):
        for p, q in ((x.video, y.video), (x.audio, y.audio)):
            assert (p is None) == (q is None)
            if p is not None and q is not None:
                torch.testing.assert_close(p.cpu(), q.cpu(), rtol=0, atol=within)


@named
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_a_batch_of_many_gives_what_batches_of_one_give(transform: Transform, kind: torch.dtype) -> None:
    plan = plan_of(sound=True)
    many = transform.apply(batch_of(transform, [plan] * 9, kind=kind))
    for i in (0, 4, 8):
        one = transform.apply(batch_of(transform, [plan], first=i, kind=kind))
        sliced = tuple(replace(c, video=c.video[i : i + 1], audio=c.audio[i : i + 1]) for c in many.clips)  # type: ignore[index]
        # a Fourier transform of many rows may be computed in another order than that of one
        equal(one, replace(one, clips=sliced), within=1e-6 if isinstance(transform, FrequencyMask) else 0)


@named
def test_the_input_stays_as_it_was_and_something_changes(transform: Transform) -> None:
    for kind in (torch.uint8, torch.float32):
        batch = batch_of(transform, [plan_of(sound=True)] * 8, kind=kind)
        before = batch_of(transform, [plan_of(sound=True)] * 8, kind=kind)
        after = transform.apply(batch)
        equal(batch, before)
        changed = [
            c.video.float().sum() != d.video.float().sum() for c, d in zip(after.clips, before.clips, strict=True)
        ]
        moved = [not torch.equal(c.video, d.video) for c, d in zip(after.clips, before.clips, strict=True)]
        heard = [not torch.equal(c.audio, d.audio) for c, d in zip(after.clips, before.clips, strict=True)]
        assert any(changed) or any(moved) or any(heard)
        for clip in after.clips:
            if clip.video.is_floating_point():
                assert clip.video.min() >= -1e-6
                assert clip.video.max() <= 1 + 1e-6


@named
def test_draws_follow_from_the_generator_alone_and_are_recorded(transform: Transform) -> None:
    plan = plan_of(sound=True)
    a, b = (transform.draw(plan, INFO, generator(1)) for _ in range(2))
    assert set(a.parameters) == set(b.parameters)
    assert a.parameters
    assert all(np.array_equal(a.parameters[k], b.parameters[k]) for k in a.parameters)
    if transform != PIXELS[2]:  # all four rotations: nothing is drawn
        others = [transform.draw(plan, INFO, generator(seed)).parameters for seed in range(2, 12)]
        assert any(not np.array_equal(a.parameters[k], c[k]) for k in a.parameters for c in others)
    for part in transform.parts:
        assert any(k.startswith(part.name + ".") for k in a.parameters)


@pytest.mark.parametrize(
    "transform", [t for t in PIXELS if t.parts[0].scope != "frame" and not isinstance(t, Noise)], ids=repr
)
def test_a_picture_looks_like_each_frame_of_a_clip_that_repeats_it(transform: Transform) -> None:
    still = batch_of(transform, [plan_of(frames=1)] * 6)
    equal(frames_repeated(transform.apply(still), 4), transform.apply(frames_repeated(still, 4)))


@pytest.mark.parametrize("scope", ["sample", "clip", "frame"])
def test_the_scope_says_what_shares_a_draw(scope: str) -> None:
    transform = ColourJitter(p=1.0, scope=scope)  # type: ignore[arg-type]
    plan = transform.draw(plan_of(spans=3, frames=5), INFO, generator(0))
    factors = plan.parameters["colour_jitter.factors"]
    assert factors.shape == ((3, 5, 4) if scope == "frame" else (3, 4))
    assert len(np.unique(factors.reshape(-1, 4), axis=0)) == {"sample": 1, "clip": 3, "frame": 15}[scope]
    one_colour = batch_of(transform, [plan_of(spans=2, frames=3)])
    grey = torch.full((1, 3, 3, 8, 8), 100, dtype=torch.uint8)
    one_colour = replace(one_colour, clips=tuple(replace(c, video=grey) for c in one_colour.clips))
    shown = torch.cat([c.video[0, :, 0, 0, 0] for c in transform.apply(one_colour).clips])
    assert len(shown.unique()) == {"sample": 1, "clip": 2, "frame": 6}[scope]


@pytest.mark.parametrize("transform", [t for t in [*PIXELS, *SOUNDS] if t != Rotate90()], ids=repr)
def test_only_the_clips_that_are_named_change(transform: Transform) -> None:
    part = replace(transform.parts[0], only=(1,))
    batch = batch_of(part, [plan_of(sound=True)] * 12)
    after = part.apply(batch)
    as_it_was = batch.clips[0].video.float() / (255 if after.clips[0].video.is_floating_point() else 1)
    torch.testing.assert_close(after.clips[0].video.float(), as_it_was, rtol=0, atol=1e-7)
    assert torch.equal(after.clips[0].audio, batch.clips[0].audio)
    video_same = torch.allclose(after.clips[1].video.float().mean((0, 1)), batch.clips[1].video.float().mean((0, 1)))
    assert not (video_same and torch.equal(after.clips[1].audio, batch.clips[1].audio))


def test_a_chain_is_flat_and_the_second_of_a_name_is_numbered() -> None:
    chain = (ColourJitter() | Grey()) | (ColourJitter(hue=0.0) | (ColourJitter() | Grey(name="late")))
    assert [p.name for p in chain.parts] == ["colour_jitter", "grey", "colour_jitter_2", "colour_jitter_3", "late"]
    plan = chain.draw(plan_of(), INFO, generator(3))
    factors = [plan.parameters[f"colour_jitter{k}.factors"] for k in ("", "_2", "_3")]
    assert not np.array_equal(factors[0], factors[2])
    assert Chain(chain.parts) == chain
    batch = batch_of(chain, [plan_of()] * 3)
    step = batch
    for part in chain.parts:
        step = part.apply(step)
    equal(chain.apply(batch), step)


def test_what_would_falsify_a_label_or_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="HorizontalFlip after Rotate90"):
        Rotate90() | HorizontalFlip()
    with pytest.raises(ValueError, match="RandomCrop crops while decoding"):
        Grey() | Rotate90() | RandomCrop(8, short_side=9)
    with pytest.raises(ValueError, match=r"p 1\.5"):
        Grey(p=1.5)
    with pytest.raises(ValueError, match="scope 'video'"):
        Grey(scope="video")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no parameter 'grey\.on'"):
        Grey().apply(batch_of(ColourJitter(), [plan_of()]))
    clip = batch_of(Grey(), [plan_of(spans=1)]).clips[0]
    unbatched = Example(clips=(Clip(video=clip.video[0]),), labels={}, parameters={}, index=torch.tensor(0))
    with pytest.raises(ValueError, match="applied to batches: collate"):
        Grey().apply(unbatched)


def test_clips_without_pictures_or_without_sound_pass_through() -> None:
    look = RandomResizedCrop(24) | HorizontalFlip() | ColourJitter() | Blur()
    both = look | Gain() | SoundNoise() | TimeMask() | FrequencyMask()
    silent = batch_of(both, [plan_of(sound=False)] * 2)
    equal(both.apply(silent), look.apply(silent))
    heard = plan_of(frames=1, sound=True)
    heard = replace(heard, spans=tuple(replace(s, times=()) for s in heard.spans))
    batch = batch_of(both, [heard] * 2)
    assert all(c.video is None and c.audio is not None for c in both.apply(batch).clips)


@pytest.mark.gpu
@named
def test_a_gpu_gives_what_a_cpu_gives(transform: Transform, cuda: torch.device) -> None:
    batch = batch_of(transform, [plan_of(sound=True)] * 8)
    equal(transform.apply(batch), transform.apply(batch.to(cuda)), within=1e-5)
