"""Each transform against an exact reference."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference
from transform_batches import INFO, batch_of, plan_of

from avssl.core import Clip, Example, Plan, Sound, Span, generator
from avssl.transforms import (
    Blur,
    ChannelSplit,
    ColourJitter,
    FrequencyMask,
    Gain,
    Grey,
    HorizontalFlip,
    Noise,
    Rotate90,
    Solarise,
    SoundNoise,
    TimeMask,
)
from avssl.transforms.pixels import random_bits


def as_float(video: torch.Tensor) -> torch.Tensor:
    return video.float() / 255


@pytest.mark.parametrize(
    ("place", "knobs", "adjust", "within"),
    [
        (0, {"brightness": 0.8}, reference.adjust_brightness, 1e-5),
        (1, {"contrast": 0.8}, reference.adjust_contrast, 1e-5),
        (2, {"saturation": 0.8}, reference.adjust_saturation, 1e-5),
        (3, {"hue": 0.5}, reference.adjust_hue, 2e-3),
    ],
)
def test_each_colour_factor_does_what_torchvision_does(place: int, knobs: dict, adjust, within: float) -> None:
    jitter = ColourJitter(**({"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0} | knobs), p=1.0)
    batch = batch_of(jitter, [plan_of()] * 5)
    after = jitter.apply(batch)
    factors = batch.parameters["colour_jitter.factors"]
    assert len(factors[..., place].unique()) == 10
    for b in range(5):
        for s in range(2):
            wanted = adjust(as_float(batch.clips[s].video[b]), float(factors[b, s, place]))
            torch.testing.assert_close(after.clips[s].video[b], wanted, rtol=0, atol=within)


def test_all_colour_factors_come_in_their_order_and_grey_pixels_keep_their_hue() -> None:
    jitter = ColourJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, p=1.0)
    batch = batch_of(jitter, [plan_of()] * 3)
    factors = batch.parameters["colour_jitter.factors"]
    for b in range(3):
        x = as_float(batch.clips[1].video[b])
        for adjust, k in (("brightness", 0), ("contrast", 1), ("saturation", 2), ("hue", 3)):
            x = getattr(reference, f"adjust_{adjust}")(x, float(factors[b, 1, k]))
        torch.testing.assert_close(jitter.apply(batch).clips[1].video[b], x, rtol=0, atol=2e-3)
    grey = batch.clips[0].video.float().mean(2, keepdim=True).expand_as(batch.clips[0].video) / 255
    same = ColourJitter(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.5, p=1.0)
    only_hue = replace(batch, clips=(Clip(video=grey),) * 2)
    torch.testing.assert_close(same.apply(only_hue).clips[0].video, grey)


def test_grey_and_solarise_do_what_torchvision_does() -> None:
    batch = batch_of(Grey(p=1.0) | Solarise(p=1.0, threshold=0.6), [plan_of()] * 2)
    x = as_float(batch.clips[0].video)
    torch.testing.assert_close(Grey(p=1.0).apply(batch).clips[0].video, reference.rgb_to_grayscale(x, 3))
    shown = Solarise(p=1.0, threshold=0.6).apply(batch).clips[0].video
    torch.testing.assert_close(shown, reference.solarize(x, 0.6))


@pytest.mark.parametrize(("kernel", "size"), [(0.01, 3), (0.25, 7), (0.5, 13)])
def test_blur_does_what_torchvision_does(kernel: float, size: int) -> None:
    blur = Blur(p=1.0, kernel=kernel, sigma=(0.3, 3.0))
    batch = batch_of(blur, [plan_of()] * 4)
    after = blur.apply(batch)
    for b in range(4):
        sigma = float(batch.parameters["blur.sigma"][b, 0])
        wanted = reference.gaussian_blur(as_float(batch.clips[0].video[b]), [size, size], [sigma, sigma])
        torch.testing.assert_close(after.clips[0].video[b], wanted, rtol=0, atol=1e-5)


def test_a_mirror_image_twice_is_the_image_and_half_of_all_are_mirrored() -> None:
    flip = HorizontalFlip()
    batch = batch_of(flip, [plan_of()] * 100)
    on = batch.parameters["horizontal_flip.on"]
    assert 0.35 < on.float().mean() < 0.65
    after = flip.apply(batch)
    for s in range(2):
        assert torch.equal(after.clips[s].video[on[:, s]], batch.clips[s].video[on[:, s]].flip(-1))
        assert torch.equal(after.clips[s].video[~on[:, s]], batch.clips[s].video[~on[:, s]])
    twice = flip.apply(after)
    assert torch.equal(twice.clips[0].video, batch.clips[0].video)


def test_all_four_rotations_of_each_clip_are_there_with_their_labels() -> None:
    turn = HorizontalFlip() | Rotate90()
    start = replace(plan_of(spans=2), labels={"pace": 3, "in_sync": (1, 0)})
    plan = turn.draw(start, INFO, generator(0))
    assert plan.labels == {"pace": 3, "in_sync": (1, 1, 1, 1, 0, 0, 0, 0), "rotation": (0, 1, 2, 3) * 2}
    assert len(plan.spans) == 8
    for s in (0, 4):
        assert len(set(plan.spans[s : s + 4])) == 1
        assert len(set(plan.parameters["horizontal_flip.on"][s : s + 4])) == 1
    rotate = Rotate90()
    batch = batch_of(rotate, [plan_of(spans=1)] * 3)
    same = replace(batch, clips=(batch.clips[0],) * 4)
    shown = [c.video for c in rotate.apply(same).clips]
    assert shown[0].dtype == torch.uint8
    for k, video in enumerate(shown):
        assert torch.equal(video, torch.from_numpy(np.rot90(batch.clips[0].video.numpy(), k, (-2, -1)).copy()))
    assert torch.equal(shown[0][..., 0, -1], shown[1][..., 0, 0])  # the top right corner goes to the top left


def test_one_rotation_at_random_reaches_all_and_four_of_a_quarter_are_none() -> None:
    rotate = Rotate90(all=False)
    batch = batch_of(rotate, [plan_of(spans=1)] * 40)
    turns = batch.parameters["rotate90.turns"][:, 0]
    assert sorted(turns.unique().tolist()) == [0, 1, 2, 3]
    plan = rotate.draw(plan_of(spans=3), INFO, generator(5))
    assert plan.labels["rotation"] == tuple(plan.parameters["rotate90.turns"])
    turned = batch
    for _ in range(4):
        turned = rotate.apply(turned)
    assert torch.equal(turned.clips[0].video, batch.clips[0].video)
    oblong = replace(batch, clips=(Clip(video=torch.zeros(40, 1, 3, 8, 9)),))
    with pytest.raises(ValueError, match="8×9 pixels: crop squares"):
        rotate.apply(oblong)


def test_channel_split_shows_one_channel_three_times_another_in_each_frame() -> None:
    split = ChannelSplit()
    batch = batch_of(split, [plan_of(frames=6)] * 10)
    shown, channels = split.apply(batch).clips[0].video, batch.parameters["channel_split.channel"]
    assert shown.dtype == torch.uint8
    for b in range(10):
        for t in range(6):
            wanted = batch.clips[0].video[b, t, channels[b, 0, t]]
            assert torch.equal(shown[b, t], wanted.expand(3, -1, -1))
    assert len(channels[:, 0].unique(dim=1).T) > 1


def test_noise_is_uniform_independent_and_follows_from_its_seed() -> None:
    noise = Noise()
    batch = batch_of(noise, [plan_of(frames=8)] * 16, side=32)
    shown = noise.apply(batch).clips[0].video
    assert shown.dtype == torch.uint8
    counts = torch.bincount(shown.flatten().int(), minlength=256).double()
    mean = shown.numel() / 256
    assert ((counts - mean) ** 2 / mean).sum() < 255 + 5 * math.sqrt(2 * 255)
    values = shown.double() - 127.5
    for other in (values.roll(1, -1), values.roll(1, -2), values.roll(1, 2), values.roll(1, 1), values.roll(1, 0)):
        assert abs((values * other).mean() / values.var()) < 5 / math.sqrt(values.numel())


def test_random_bits_are_what_unbounded_whole_numbers_give() -> None:
    def mix(x: int) -> int:
        x = ((x ^ x >> 16) * 0x7FEB352D) % 2**32
        x = ((x ^ x >> 15) * 0x846CA68B) % 2**32
        return x ^ x >> 16

    seeds = [0, 7, 2**31 - 1]
    wanted = [[mix(mix(k) ^ mix(mix(seed) ^ 0x9E3779B9)) for k in range(1, 7)] for seed in seeds]
    bits = random_bits(torch.tensor(seeds), (2, 3))
    assert bits.flatten(1).tolist() == wanted
    assert bits.min() > 0


def heard(transform, waves: torch.Tensor, rate: int = 16000) -> tuple[torch.Tensor, Example]:
    plan = Plan(spans=(Span(sound=Sound(start=0.0, duration=waves.shape[-1] / rate, rate=rate)),))
    drawn = [transform.draw(plan, INFO, generator(i)).parameters for i in range(len(waves))]
    parameters = {k: torch.from_numpy(np.stack([d[k] for d in drawn])) for k in drawn[0]}
    batch = Example(clips=(Clip(audio=waves),), labels={}, parameters=parameters, index=torch.arange(len(waves)))
    after = transform.apply(batch).clips[0].audio
    assert after is not None
    return after, batch


def test_gain_changes_the_level_by_its_decibels() -> None:
    after, batch = heard(Gain(db=(-12.0, 12.0)), torch.randn(20, 1, 4000, generator=torch.manual_seed(0)))
    db = 20 * torch.log10(after.square().mean((1, 2)).sqrt() / batch.clips[0].audio.square().mean((1, 2)).sqrt())
    torch.testing.assert_close(db, batch.parameters["gain.db"][:, 0], rtol=0, atol=1e-4)
    assert db.max() - db.min() > 12


def test_sound_noise_has_the_ratio_asked_for_and_is_normal_and_silence_stays() -> None:
    wave = torch.sin(torch.arange(40000) / 7).expand(8, 1, -1)
    after, batch = heard(SoundNoise(snr=(0.0, 20.0)), wave)
    noise = after - wave
    db = 10 * torch.log10(wave.square().mean((1, 2)) / noise.square().mean((1, 2)))
    torch.testing.assert_close(db, batch.parameters["sound_noise.snr"][:, 0], rtol=0, atol=0.2)
    normal = noise / noise.std((1, 2), keepdim=True)
    assert abs((normal**4).mean() - 3) < 0.1
    assert abs((normal[..., 1:] * normal[..., :-1]).mean()) < 0.01
    assert heard(SoundNoise(), torch.zeros(2, 1, 100))[0].abs().max() == 0


def test_time_mask_silences_one_stretch_of_at_most_its_width() -> None:
    after, _ = heard(TimeMask(width=0.3), torch.ones(50, 1, 1000))
    lengths = (after == 0).sum((1, 2))
    assert lengths.max() <= 301
    assert lengths.float().mean() == pytest.approx(150, abs=50)
    edges = (after.diff(dim=-1) != 0).sum((1, 2))
    assert edges.max() <= 2


@pytest.mark.parametrize("samples", [1600, 1601])
def test_frequency_mask_takes_out_its_band_and_nothing_else(samples: int) -> None:
    wave = torch.randn(20, 1, samples, generator=torch.manual_seed(0))
    after, batch = heard(FrequencyMask(width=0.4), wave, rate=8000)
    assert after.shape == wave.shape
    before, left = torch.fft.rfft(wave).abs(), torch.fft.rfft(after).abs()
    hertz = torch.fft.rfftfreq(samples, 1 / 8000)
    low, high = batch.parameters["frequency_mask.hertz"][:, 0, :, None].unbind(1)
    assert high.max() <= 4000.1
    inside = (hertz >= low) & (hertz < high)
    assert inside.any()
    assert left[:, 0][inside].max() < 1e-3
    torch.testing.assert_close(left[:, 0][~inside], before[:, 0][~inside], rtol=1e-3, atol=1e-3)
