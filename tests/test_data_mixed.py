"""Folders that mix pictures, videos and sound, and items that cannot be cut: one shape is kept, the rest is named."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from media_files import Film, Noise, bursts, write
from PIL import Image

from avssl.core import MediaError, MediaInfo, Plan, Rng, Sampler, generator
from avssl.data import Clips, Data, Item, batches, catalogue
from avssl.samplers import AudioOffset, ForeignSound, Pace, RandomClips, Stages, UniformClips
from avssl.transforms import CentreCrop

RATE = 8000
PICTURE = MediaInfo(duration=0.0, frames=1, height=48, width=64)
SOUND = MediaInfo(duration=2.0, sample_rate=RATE, channels=1, sound_duration=2.0)
MUTE = MediaInfo(duration=2.0, fps=10.0, frames=20, height=48, width=64)
SOUNDING = MediaInfo(
    duration=2.0, fps=10.0, frames=20, height=48, width=64, sample_rate=RATE, channels=1, sound_duration=2.0
)
SHORT = MediaInfo(duration=0.2, fps=10.0, frames=2, height=48, width=64)


def items(*infos: MediaInfo) -> list[Item]:
    return [Item(index=n, path=Path(f"{n}.any"), info=info) for n, info in enumerate(infos)]


def names(errors: tuple[MediaError, ...]) -> list[str]:
    return [Path(e.path).name for e in errors]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three videos with sound, two without, a picture and two sounds."""
    folder = tmp_path_factory.mktemp("media")
    noise = bursts(2.0, RATE, [0.5])
    for k in range(3):
        write(folder / f"sounding-{k}.mp4", Film(frames=20, rate=10), Noise(samples=noise, rate=RATE))
    for k in range(2):
        write(folder / f"mute-{k}.mp4", Film(frames=20, rate=10))
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(folder / "poster.jpg")
    for k in range(2):
        write(folder / f"tone-{k}.wav", noise=Noise(samples=noise, rate=RATE, codec="pcm_s16le", sample_fmt="s16"))
    return folder


@pytest.fixture
def found(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Item, ...]:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    return catalogue(media).items


class TestKinds:
    def test_a_poster_among_videos_is_left_out_and_the_others_make_batches(self, found: tuple[Item, ...]) -> None:
        clips = Clips.of(found, RandomClips(frames=4), CentreCrop(32))
        assert names(clips.unfit) == ["poster.jpg", "tone-0.wav", "tone-1.wav"]
        why = str(clips.unfit[0])
        assert "would give 1 clip of 1 frame, most files here 1 clip of 4 frames, and the two make no batch" in why
        assert "ask for --frames 1, which both can give, or leave the file out" in why
        (batch,) = batches(clips, batch_size=8)
        assert batch.clips[0].video is not None
        assert batch.clips[0].video.shape == (5, 4, 3, 32, 32)

    def test_with_one_frame_pictures_and_videos_are_alike(self, found: tuple[Item, ...]) -> None:
        clips = Clips.of(found, RandomClips(frames=1), CentreCrop(32))
        assert names(clips.unfit) == ["tone-0.wav", "tone-1.wav"]
        (batch,) = batches(clips, batch_size=8)
        assert len(batch) == 6

    def test_sound_files_among_videos_with_sound_are_left_out(self, found: tuple[Item, ...]) -> None:
        sampler = RandomClips(n=2, frames=1, sound=0.5, sample_rate=RATE)
        clips = Clips.of(found, sampler, CentreCrop(32))
        assert names(clips.unfit) == ["mute-0.mp4", "mute-1.mp4", "poster.jpg", "tone-0.wav", "tone-1.wav"]
        why = str(clips.unfit[-1])
        assert "would give 2 clips of 4000 samples of sound, most" in why
        assert "most files here 2 clips of 1 frame and 4000 samples of sound, and" in why
        assert "ask for --frames 0, which both can give" in why
        (batch,) = batches(clips, batch_size=8)
        assert len(batch) == 3

    def test_of_sound_alone_videos_and_sound_files_are_alike(self, found: tuple[Item, ...]) -> None:
        clips = Clips.of(found, RandomClips(frames=0, sound=0.5, sample_rate=RATE))
        assert names(clips.unfit) == ["mute-0.mp4", "mute-1.mp4", "poster.jpg"]
        (batch,) = batches(clips, batch_size=8)
        assert len(batch) == 5

    def test_the_shape_of_most_items_is_kept_and_of_equals_the_first(self) -> None:
        sampler = RandomClips(frames=4)
        assert names(Clips.of(items(MUTE, PICTURE, PICTURE), sampler).unfit) == ["0.any"]
        assert names(Clips.of(items(MUTE, PICTURE, SOUNDING, PICTURE, MUTE), sampler).unfit) == ["1.any", "3.any"]
        assert names(Clips.of(items(PICTURE, MUTE), sampler).unfit) == ["1.any"]
        # files that cannot be cut anyway have no say
        assert names(Clips.of(items(SHORT, SHORT, MUTE, PICTURE, PICTURE), sampler).unfit) == [
            "0.any",
            "1.any",
            "2.any",
        ]

    def test_samplers_that_take_further_files_are_asked_too(self) -> None:
        mixed = items(SOUNDING, SOUND, SOUNDING)
        assert names(Clips.of(mixed, ForeignSound(RandomClips(frames=2, sound=0.5))).unfit) == ["1.any"]
        stages = Stages(((0, RandomClips(frames=2, sound=0.5)), (3, RandomClips(frames=2, sound=0.4))))
        assert names(Clips.of(mixed, stages).unfit) == ["1.any"]
        with pytest.raises(MediaError, match="1 of 2 files can be cut"):
            Clips.of(items(SOUNDING, SOUND), ForeignSound(RandomClips(frames=2, sound=0.5)))


@dataclass(frozen=True)
class Counting(Sampler):
    """Counts the plans that it draws, and notes the generators' first words."""

    inner: Sampler
    drawn: list[int] = field(default_factory=list)

    def unfit(self, info: MediaInfo) -> str:
        return self.inner.unfit(info)

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        self.drawn.append(int(rng.integers(2**31)))
        return self.inner(info, rng)


def test_one_kind_costs_no_draw_and_each_of_several_one() -> None:
    sampler = Counting(RandomClips(frames=1))
    Clips.of(items(*[MUTE] * 40), sampler)
    Clips.of(items(*[MUTE] * 40, *[SOUND] * 40), sampler)  # of those that can be cut
    assert sampler.drawn == []
    Clips.of(items(*[MUTE, SOUNDING, PICTURE, SOUND] * 20), sampler)
    assert sampler.drawn == [int(generator(0).integers(2**31))] * 3


class TestDamaged:
    @pytest.mark.parametrize(
        ("sampler", "bad", "why"),
        [
            (RandomClips(frames=4, sound=0.5), MUTE, "has no sound"),
            (RandomClips(frames=4), SOUND, "has no frames"),
            (Pace(frames=4), PICTURE, "has no moving frames"),
            (RandomClips(frames=4), SHORT, "0.2 s long"),
            (AudioOffset(frames=4, sound=1.9), SOUNDING, "2 s long with sound"),
            (RandomClips(frames=4), PICTURE, "would give 1 clip of 1 frame"),
            (UniformClips(frames=4), PICTURE, "would give 1 clip of 1 frame"),
        ],
    )
    def test_stop_stops_at_the_first_item_that_cannot_be_cut(self, sampler: Sampler, bad: MediaInfo, why: str) -> None:
        good = MediaInfo(
            duration=9.0, fps=10.0, frames=90, height=48, width=64, sample_rate=RATE, channels=1, sound_duration=9.0
        )
        mixed = items(good, good, bad, good, bad)
        with pytest.raises(MediaError, match=rf"2\.any: {why}.*damaged = stop") as stopped:
            Clips.of(mixed, sampler, damaged="stop")
        assert stopped.value.path == "2.any"
        skipping = Clips.of(mixed, sampler, damaged="skip")
        assert names(skipping.unfit) == ["2.any", "4.any"]
        assert "it is left out" in skipping.unfit[0].remedy
        assert skipping.damaged == "skip"
        assert Clips.of([mixed[0], mixed[1]], sampler, damaged="stop").unfit == ()

    def test_not_given_items_that_cannot_be_cut_are_left_out_and_damaged_files_stop(self) -> None:
        clips = Clips.of(items(MUTE, SHORT), RandomClips(frames=4))
        assert names(clips.unfit) == ["1.any"]
        assert clips.damaged == "stop"

    def test_the_choice_of_data_hands_it_on(self, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
        with pytest.raises(MediaError, match=r"poster\.jpg: would give"):
            Data(root=media, damaged="stop").clips(RandomClips(frames=4))
        assert len(Data(root=media).clips(RandomClips(frames=4))) == 5
