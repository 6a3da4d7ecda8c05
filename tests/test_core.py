"""The vocabulary: every type refuses what it cannot mean and says why, and the generator is a function of its key."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from avssl.core import Box, Clip, Example, MediaError, MediaInfo, Plan, Rng, Sampler, Sound, Span, Unfit, generator

VIDEO = MediaInfo(duration=2.0, fps=25.0, frames=50, height=4, width=6)
SOUND = MediaInfo(duration=2.0, sample_rate=8000, channels=2, sound_duration=2.0)
NAN, INFINITE = float("nan"), float("inf")


def pixels(*leading: int, frames: int = 2) -> Tensor:
    return torch.zeros(*leading, frames, 3, 4, 6, dtype=torch.uint8)


def batch_of(size: int = 4, clips: int = 2) -> Example:
    """A batch in which everything is there."""
    clip = Clip(
        video=pixels(size),
        audio=torch.zeros(size, 1, 10),
        times=torch.zeros(size, 2),
        valid=torch.zeros(size, dtype=torch.long),
    )
    labels = {"one": torch.zeros(size), "each": torch.zeros(size, clips)}
    parameters = {"flip.on": torch.zeros(size, clips), "jitter.factors": torch.zeros(size, clips, 3, 4)}
    return Example(clips=(clip,) * clips, labels=labels, parameters=parameters, index=torch.arange(size))


def single(clips: int = 2) -> Example:
    """An example that is no batch."""
    clip = Clip(video=pixels(), audio=torch.zeros(1, 10), times=torch.zeros(2), valid=torch.tensor(10))
    labels = {"one": torch.tensor(1), "each": torch.zeros(clips)}
    return Example(clips=(clip,) * clips, labels=labels, parameters={"x": torch.zeros(clips)}, index=torch.tensor(7))


def test_the_same_key_gives_the_same_stream_and_any_other_another() -> None:
    keys = [(1, 2), (1, 2, 0), (2, 1), (1,), (2, 1, 2), (0, 1, 2), (1, 3), (), (0,), (0, 0)]
    streams = {key: tuple(generator(*key).integers(2**62, size=3)) for key in keys}
    assert len(set(streams.values())) == len(keys)
    for key in keys:
        assert tuple(generator(*key).integers(2**62, size=3)) == streams[key]


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: MediaInfo(duration=-1.0), r"duration -1\.0 s: must be ≥ 0"),
        (lambda: MediaInfo(duration=INFINITE), "duration inf s"),
        (lambda: replace(VIDEO, fps=-1.0), r"fps -1\.0 Hz: must be ≥ 0"),
        (lambda: replace(VIDEO, fps=INFINITE), "fps inf Hz"),
        (lambda: replace(VIDEO, frames=-1), "frames -1: must be ≥ 0"),
        (lambda: replace(VIDEO, height=0), "50 frames of 0×6 pixels: height and width must be > 0"),
        (lambda: replace(VIDEO, width=0), "50 frames of 4×0 pixels"),
        (lambda: replace(VIDEO, fps=0.0), r"50 frames at 0\.0 Hz in 2\.0 s: a video has a rate and a duration"),
        (lambda: replace(VIDEO, duration=0.0), r"50 frames at 25\.0 Hz in 0\.0 s"),
        (lambda: replace(SOUND, sample_rate=-1), "sample_rate -1 Hz, 2 channels: must be ≥ 0"),
        (lambda: replace(SOUND, channels=-2), "sample_rate 8000 Hz, -2 channels: must be ≥ 0"),
        (lambda: replace(SOUND, channels=0), "sample_rate 8000 Hz with 0 channels: sound has both or neither"),
        (lambda: replace(SOUND, sample_rate=0), "sample_rate 0 Hz with 2 channels"),
        (lambda: replace(SOUND, sound_start=NAN), "sound_start nan s: must be finite"),
        (lambda: replace(SOUND, sound_start=-INFINITE), "sound_start -inf s: must be finite"),
        (lambda: replace(SOUND, sound_duration=-0.1), r"sound_duration -0\.1 s: must be ≥ 0"),
        (lambda: replace(SOUND, sound_duration=INFINITE), "sound_duration inf s"),
        (lambda: replace(VIDEO, motion=(1.0, -1.0)), r"motion \(1\.0, -1\.0\): must be finite and ≥ 0"),
        (lambda: replace(VIDEO, motion=(NAN,)), r"motion \(nan,\)"),
        (lambda: Box(height=0.0), r"height=0\.0.*: a crop has a positive size and lies inside the frame"),
        (lambda: Box(width=-0.5), r"width=-0\.5.*: a crop has a positive size"),
        (lambda: Box(top=-0.1, height=0.5), r"top=-0\.1.*lies inside the frame"),
        (lambda: Box(top=0.6, height=0.5), r"the crop passes the edge of the frame; top \+ height"),
        (lambda: Box(left=0.6, width=0.5), "the crop passes the edge of the frame"),
        (lambda: Sound(start=NAN, duration=1.0), "sound start nan s: must be finite"),
        (lambda: Sound(start=0.0, duration=0.0), r"sound duration 0\.0 s: must be > 0"),
        (lambda: Sound(start=0.0, duration=INFINITE), "sound duration inf s"),
        (lambda: Sound(start=0.0, duration=1.0, rate=0), "sound rate 0 Hz: must be > 0"),
        (
            lambda: Sound(start=0.0, duration=0.00004, rate=8000),
            r"sound of 4e-05 s at 8000 Hz has no sample: ask for 0\.000125 s or more",
        ),
        (lambda: Span(), "a span cuts frames or sound; this one has neither"),
        (lambda: Span(times=(0.0, INFINITE)), r"times \(0\.0, inf\): must be finite"),
        (lambda: Span(times=(0.0, 1.0, 2.0), boxes=(Box(),) * 2), "2 boxes for 3 frames: give none, one, or one for"),
        (lambda: Span(times=(0.0,), size=(8, 0)), r"size \(8, 0\): height and width must be > 0"),
        (lambda: Span(times=(0.0,), file=-1), "file -1, sound_file None: must be ≥ 0"),
        (lambda: Span(times=(0.0,), sound_file=-2), "file 0, sound_file -2: must be ≥ 0"),
        (lambda: Plan(spans=()), "a plan has at least one span"),
        (
            lambda: Plan(spans=(Span(times=(0.0,)),) * 2, labels={"order": (0, 1, 2)}),
            r"label 'order' \(0, 1, 2\): give one value, or one for each of the 2 spans",
        ),
        (
            lambda: Plan(spans=(Span(times=(0.0,)),) * 2, parameters={"x.y": np.zeros(3)}),
            r"parameter 'x\.y' of shape \(3,\): the first dimension is the 2 spans",
        ),
        (lambda: Plan(spans=(Span(times=(0.0,)),), parameters={"x": np.zeros(())}), r"parameter 'x' of shape \(\)"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(make: Callable[[], object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: Clip(), "a clip has video or audio; this one has neither"),
        (lambda: Clip(times=torch.zeros(2)), "has neither"),
        (
            lambda: Clip(video=pixels()[0]),
            r"video of shape \(3, 4, 6\): must be \(\*, T, C, H, W\) with 1 to 3 channels",
        ),
        (lambda: Clip(video=pixels().movedim(1, -1)), r"video of shape \(2, 4, 6, 3\)"),
        (lambda: Clip(video=pixels().long()), r"video of torch\.int64: must be uint8 \(0…255\) or float \(0…1\)"),
        (lambda: Clip(video=pixels().bool()), r"video of torch\.bool"),
        (lambda: Clip(video=pixels().to(torch.int8)), r"video of torch\.int8"),
        (lambda: Clip(video=pixels().to(torch.complex64)), r"video of torch\.complex64"),
        (lambda: Clip(audio=torch.zeros(10)), r"audio of shape \(10,\), torch\.float32: must be \(\*, A, N\) float"),
        (lambda: Clip(audio=torch.zeros(1, 10).short()), r"audio of shape \(1, 10\), torch\.int16"),
        (
            lambda: Clip(video=pixels(4), audio=torch.zeros(3, 1, 10)),
            r"video of shape \(4, 2, 3, 4, 6\) beside audio of shape \(3, 1, 10\)",
        ),
        (lambda: Clip(video=pixels(4), audio=torch.zeros(1, 10)), r"beside audio of shape \(1, 10\)"),
        (lambda: Clip(video=pixels(), audio=torch.zeros(4, 1, 10)), "with the same"),
        (
            lambda: Clip(video=pixels(4), times=torch.zeros(4, 3)),
            r"times of shape \(4, 3\) beside video of shape .*: must be \(\*, T\), one for each frame",
        ),
        (lambda: Clip(video=pixels(4), times=torch.zeros(2)), r"times of shape \(2,\)"),
        (lambda: Clip(video=pixels(4), times=torch.zeros(())), r"times of shape \(\)"),
        (lambda: Clip(audio=torch.zeros(2, 10), times=torch.zeros(2)), "beside video of shape None"),
        (
            lambda: Clip(audio=torch.zeros(4, 1, 10), valid=torch.zeros(3)),
            r"valid of shape \(3,\) beside audio of shape \(4, 1, 10\): must be \(\*,\), one for each stretch",
        ),
        (lambda: Clip(audio=torch.zeros(1, 10), valid=torch.zeros(1)), r"valid of shape \(1,\)"),
        (lambda: Clip(video=pixels(), valid=torch.zeros(())), "beside audio of shape None"),
    ],
)
def test_a_clip_whose_parts_do_not_belong_together_is_refused(make: Callable[[], object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: replace(batch_of(), clips=()), "an example has at least one clip"),
        (lambda: replace(batch_of(), index=torch.zeros(2, 2)), r"index of shape \(2, 2\): must be \(\) of one example"),
        (
            lambda: replace(batch_of(), index=torch.arange(3)),
            r"clip 0 has the leading dimensions \(4,\) and index \(3,\): .* collate examples",
        ),
        (
            lambda: replace(batch_of(), clips=(batch_of().clips[0], Clip(audio=torch.zeros(3, 1, 10)))),
            r"clip 1 has the leading dimensions \(3,\) and index \(4,\)",
        ),
        (
            lambda: replace(single(), index=torch.tensor([7])),
            r"clip 0 has the leading dimensions \(\) and index \(1,\)",
        ),
        (lambda: replace(batch_of(1), index=torch.tensor(7)), r"leading dimensions \(1,\) and index \(\)"),
        (
            lambda: replace(batch_of(), labels={"pace": torch.zeros(3)}),
            r"label 'pace' of shape \(3,\): must be \(4,\), as index is, or \(4, 2\), one for each clip",
        ),
        (lambda: replace(batch_of(), labels={"pace": torch.tensor(1)}), r"label 'pace' of shape \(\)"),
        (lambda: replace(batch_of(), labels={"pace": torch.zeros(4, 3)}), r"label 'pace' of shape \(4, 3\)"),
        (lambda: replace(single(), labels={"pace": torch.zeros(1)}), r"of shape \(1,\): must be \(\), as index is, or"),
        (
            lambda: replace(batch_of(), parameters={"flip.on": torch.zeros(3, 2)}),
            r"parameter 'flip\.on' of shape \(3, 2\): the first dimensions must be \(4, 2\), those of index and then",
        ),
        (lambda: replace(batch_of(), parameters={"x": torch.zeros(4)}), r"parameter 'x' of shape \(4,\)"),
        (lambda: replace(batch_of(), parameters={"x": torch.zeros(4, 3)}), r"parameter 'x' of shape \(4, 3\)"),
        (lambda: replace(single(), parameters={"x": torch.zeros(3)}), r"the first dimensions must be \(2,\)"),
    ],
)
def test_an_example_whose_parts_disagree_is_refused(make: Callable[[], object], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        make()


def test_what_files_hold_is_what_the_numbers_say() -> None:
    picture = MediaInfo(duration=0.0, frames=1, height=4, width=6)
    assert (picture.has_video, picture.has_sound, picture.is_picture) == (True, False, True)
    assert (VIDEO.has_video, VIDEO.has_sound, VIDEO.is_picture) == (True, False, False)
    assert (SOUND.has_video, SOUND.has_sound, SOUND.is_picture) == (False, True, False)
    assert replace(SOUND, sound_start=-0.05).sound_start == -0.05  # sound may begin before the pictures do


def test_what_is_valid_is_not_refused() -> None:
    assert Box(top=0.7, height=0.3 + 1e-7).top == 0.7
    assert Sound(start=-1.0, duration=1 / 44100, rate=44100).samples == 1
    assert Clip(video=pixels(), times=torch.zeros(2)).leading == ()
    assert Clip(video=pixels(5, 4).half()).leading == (5, 4)
    assert Clip(audio=torch.zeros(4, 1, 10, dtype=torch.bfloat16), valid=torch.zeros(4)).leading == (4,)
    paired = Span(times=(0.0,), sound=Sound(start=0.0, duration=1.0)), Span(sound=Sound(start=1.0, duration=1.0))
    plan = Plan(spans=paired, labels={"in_sync": (1, 0), "speed": 1.5}, parameters={"x": np.zeros((2, 5))})
    assert len(plan.spans) == 2
    assert len(batch_of()) == 4
    assert single().index == 7
    alone = Clip(video=pixels(4), audio=torch.zeros(4, 1, 10)), Clip(audio=torch.zeros(4, 1, 20))
    assert replace(batch_of(), clips=alone).clips == alone


def test_a_shifted_span_cuts_later_in_each_of_its_files() -> None:
    sound = Sound(start=0.5, duration=1.0, rate=8000)
    span = Span(times=(0.0, 0.25), boxes=(Box(),), size=(8, 8), sound=sound, file=1, sound_file=2)
    assert span.files == (1, 2)
    shifted = span.shifted([100.0, 10.0, 1.0])
    assert shifted == replace(span, times=(10.0, 10.25), sound=replace(sound, start=1.5))
    together = replace(span, sound_file=None)
    assert together.files == (1, 1)
    assert together.shifted([100.0, 10.0]).sound == replace(sound, start=10.5)
    assert Span(times=(0.5,)).shifted([2.0]) == Span(times=(2.5,))
    assert Span(sound=sound).shifted([2.0]) == Span(sound=replace(sound, start=2.5))


def test_an_example_moves_with_all_that_it_holds() -> None:
    moved = batch_of().to("meta")
    clips = [x for c in moved.clips for x in (c.video, c.audio, c.times, c.valid)]
    tensors = [*clips, *moved.labels.values(), *moved.parameters.values(), moved.index]
    assert len(tensors) == 13
    assert all(x is not None and x.device.type == "meta" for x in tensors)
    assert list(moved.labels) == ["one", "each"]
    back = single().to("cpu", non_blocking=True)
    assert back.index == 7
    lean = Clip(audio=torch.ones(1, 10)).to("meta")
    assert lean.audio is not None
    assert lean.audio.shape == (1, 10)
    assert (lean.video, lean.times, lean.valid) == (None, None, None)


@dataclass(frozen=True)
class OnlyVideo(Sampler):
    """Cuts the first frame."""

    def unfit(self, info: MediaInfo) -> str:
        return "" if info.has_video else "has no frames: leave the file out"

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        self.require(info)
        return Plan(spans=(Span(times=(0.0,)),))


def test_a_sampler_refuses_what_is_unfit_and_is_by_itself_the_same_in_every_epoch() -> None:
    sampler = OnlyVideo()
    assert sampler.others == 0
    assert sampler.at(5) is sampler
    assert sampler(VIDEO, generator(0)).spans[0].times == (0.0,)
    with pytest.raises(Unfit, match="has no frames: leave the file out"):
        sampler(SOUND, generator(0))


def test_a_media_error_says_which_file_what_is_wrong_and_what_to_do() -> None:
    error = MediaError("a.mp4", "the file is empty", "fetch it again")
    assert str(error) == "a.mp4: the file is empty; fetch it again"
    assert (error.path, error.what, error.remedy) == ("a.mp4", "the file is empty", "fetch it again")
