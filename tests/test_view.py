"""The geometry of clips: what a recipe's view says reaches its sampler, and the evaluation cuts alike."""

from avssl.data import View
from avssl.samplers import AudioOffset, ClipOrder, RandomClips, UniformClips

VIEW = View(frames=8, step=3, rate=12.5, size=40, sound=0.75, sample_rate=22050)


def test_a_sampler_is_cut_by_every_number_of_the_view() -> None:
    heard = VIEW.cut(AudioOffset(min_shift=0.5, paired=True))
    assert (heard.frames, heard.step, heard.rate, heard.sound, heard.sample_rate) == (8, 3, 12.5, 0.75, 22050)
    assert (heard.min_shift, heard.paired) == (0.5, True)
    seen = VIEW.cut(ClipOrder(clips=4, gap=5))
    assert (seen.frames, seen.step, seen.rate, seen.clips, seen.gap) == (8, 3, 12.5, 4, 5)


def test_a_view_without_frames_is_of_sound_alone() -> None:
    assert View(frames=0, sound=2.0).cut(RandomClips(n=2)) == RandomClips(n=2, frames=0, sound=2.0)


def test_an_evaluation_cuts_the_frames_or_the_sound_alone() -> None:
    of_frames, _ = VIEW.evaluation(5)
    assert of_frames == UniformClips(n=5, frames=8, step=3, rate=12.5, sample_rate=22050)
    of_sound, _ = VIEW.evaluation(2, modality="sound")
    assert of_sound == UniformClips(n=2, frames=0, step=3, rate=12.5, sound=0.75, sample_rate=22050)
    assert View().evaluation(1, modality="sound")[0] == UniformClips(n=1, frames=0, sound=1.0)
