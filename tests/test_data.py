"""The data room: what a folder or manifest lists, scanning, plans of visits, batches in a repeatable order."""

import csv
import json
import os
import threading
import wave
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avssl.core import MediaError, MediaInfo, Plan, Rng, Sampler, Sound, Span
from avssl.data import Clips, Data, Item, Loader, View, batches, catalogue, collate, entries, epoch_order
from avssl.media import Coding, FileTable, look
from avssl.media.toybox import Toybox
from avssl.samplers import RandomClips, UniformClips
from avssl.training.start import plain
from avssl.transforms import Gain, Noise

RATE = 8000


def write_tone(path: Path, seconds: float = 1.0, *, level: int = 1000) -> Path:
    """A sound file whose every sample is `level`: what is read tells which file it came from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(RATE)
        f.writeframes(np.full(round(seconds * RATE), level, np.int16).tobytes())
    return path


def write_manifest(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as f:
        writer = csv.DictWriter(f, list(dict.fromkeys(k for r in rows for k in r)))
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def tones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve sounds of 1 s in two folders; file k has level 1000·(k + 1)."""
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    for k in range(12):
        write_tone(tmp_path / "tones" / ("low" if k < 6 else "high") / f"{k:02d}.wav", level=1000 * (k + 1))
    return tmp_path / "tones"


def sound_clips(root: Path, **knobs: object) -> Clips:
    sampler = RandomClips(sound=0.25, sample_rate=RATE)
    return replace(Clips.of(catalogue(root).items, sampler), **knobs)  # type: ignore[arg-type]


def test_a_null_test_goes_with_the_items_when_they_are_seen_in_another_way(tones: Path) -> None:
    sampler, steady = RandomClips(sound=0.25, sample_rate=RATE), UniformClips(sound=0.5, sample_rate=RATE)
    data = Data(root=tones, splits=("",), null="foreign-sound")
    for clips in (data.clips(sampler), data.clips(sampler).seen_as(steady)):
        for position in range(len(clips)):
            plan, files = clips.plan(position)
            assert [files[span.files[1]].index == clips.items[position].index for span in plan.spans] == [False]
    assert replace(data, null="none").clips(sampler).seen_as(steady).sampler == steady
    noisy = replace(data, null="noise").clips(sampler).seen_as(steady, Gain())
    assert noisy.transform is not None
    assert [type(part) for part in noisy.transform.parts] == [Noise, Gain]


def levels(clip_audio: torch.Tensor) -> list[int]:
    return [round(float(a.mean()) * 32768 / 1000) for a in clip_audio]


class TestLists:
    def test_a_folder_is_sorted_and_labelled_by_folder(self, tones: Path) -> None:
        (tones / "notes.txt").write_text("no media")
        found = entries(tones)
        assert [e.path for e in found] == sorted(tones.rglob("*.wav"))
        assert {e.label for e in found} == {"low", "high"}

    def test_an_empty_folder_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(MediaError, match="no video, picture or sound"):
            entries(tmp_path)

    def test_a_missing_source_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(MediaError, match="no such folder"):
            entries(tmp_path / "nowhere")

    def test_a_manifest_keeps_every_column(self, tones: Path) -> None:
        path = write_manifest(tones / "m.csv", [{"path": "low/00.wav", "label": "a", "verb": "bin", "split": "test"}])
        (entry,) = entries(path)
        assert entry.path == tones / "low/00.wav"
        assert (entry.label, entry.split, entry.columns["verb"]) == ("a", "test", "bin")

    @pytest.mark.parametrize(
        ("row", "words"),
        [
            ({"path": "", "label": "a"}, "no path"),
            ({"path": "x.wav", "start": "soon"}, "'soon' is not a number"),
            ({"path": "x.wav", "start": "2", "end": "1"}, "from 2.0 s to 1.0 s"),
            ({"file": "x.wav"}, "no column 'path'"),
        ],
    )
    def test_a_bad_line_is_named(self, tmp_path: Path, row: dict[str, str], words: str) -> None:
        with pytest.raises(MediaError, match=words):
            entries(write_manifest(tmp_path / "m.csv", [row]))


class TestCatalogue:
    def test_damaged_files_are_named_and_left_out(self, tones: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tones / "low" / "00.wav").write_bytes(b"")
        (tones / "high" / "bad.mp4").write_text("this is no video")
        found = catalogue(tones)
        assert len(found) == 11
        assert {Path(e.path).name for e in found.rejected} == {"00.wav", "bad.mp4"}
        said = capsys.readouterr().err
        assert "2 of 13 files are left out" in said
        assert "00.wav" in said

    def test_damaged_files_can_stop_the_run(self, tones: Path) -> None:
        (tones / "low" / "03.wav").write_bytes(b"")
        with pytest.raises(MediaError, match=r"03\.wav"):
            catalogue(tones, damaged="stop")

    def test_numbers_stay_when_a_file_is_repaired(self, tones: Path) -> None:
        first = tones / "high" / "06.wav"
        good = first.read_bytes()
        first.write_bytes(b"")
        before = {i.path: i.index for i in catalogue(tones)}
        first.write_bytes(good)
        after = {i.path: i.index for i in catalogue(tones)}
        assert before.items() < after.items()

    def test_what_is_known_is_cached_until_the_file_changes(self, tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = catalogue(tones)
        looked: list[Path] = []

        def spy(path: Path, proven: set[Coding]) -> FileTable:
            looked.append(path)
            return look(path, proven)

        monkeypatch.setattr("avssl.data.scan.look", spy)
        assert catalogue(tones).items == first.items
        assert looked == []
        write_tone(tones / "low" / "02.wav", 2.0)
        again = catalogue(tones)
        assert looked == [tones / "low" / "02.wav"]
        assert [i.info.duration for i in again].count(2.0) == 1

    def test_what_was_found_is_kept_on_the_way(self, tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        there: list[bool] = []

        def spy(path: Path, proven: set[Coding]) -> FileTable:
            there.append(any((Path(os.environ["AVSSL_CACHE"]) / "scan").glob("*.tables")))
            return look(path, proven)

        monkeypatch.setattr("avssl.data.scan.look", spy)
        monkeypatch.setattr("avssl.data.scan.SAVED", 2)
        assert len(catalogue(tones, workers=1)) == len(there) == 12
        assert not there[0]
        assert there[-1]  # so that who is killed in between has not looked in vain
        assert len(catalogue(tones)) == len(there) == 12

    def test_a_damaged_file_is_looked_into_again(self, tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def no_rights(path: Path, proven: set[Coding]) -> FileTable:
            raise MediaError(path, "no right to read it", "chmod")

        with monkeypatch.context() as patch:
            patch.setattr("avssl.data.scan.look", no_rights)
            with pytest.raises(MediaError, match="none of its 12 files"):
                catalogue(tones)
        assert len(catalogue(tones)) == 12  # neither size nor time of change tells of rights

    def test_a_cut_cache_is_made_again(self, tones: Path) -> None:
        first = catalogue(tones)
        (cache,) = (Path(os.environ["AVSSL_CACHE"]) / "scan").glob("*.tables")
        whole = cache.read_bytes()
        for damaged in (b"", whole[:100], whole[:-1], whole[:40] + bytes(20) + whole[60:]):
            cache.unlink()  # what is mapped must not change under the first catalogue
            cache.write_bytes(damaged)
            assert catalogue(tones).items == first.items

    def test_a_visit_reads_by_the_table_and_a_file_that_has_changed_says_so(self, tones: Path) -> None:
        clips = Clips.of(catalogue(tones).items, RandomClips(sound=0.25, frames=0))
        assert clips.items[0].table is not None
        fresh = replace(clips, items=tuple(replace(i, table=None) for i in clips.items))
        assert torch.equal(clips.example(0).clips[0].audio, fresh.example(0).clips[0].audio)  # type: ignore[arg-type]
        write_tone(clips.items[0].path, 2.0)
        with pytest.raises(MediaError, match="has changed since it was looked into; scan the folder again"):
            clips.example(0)

    def test_a_stretch_has_its_own_clock(self, tones: Path) -> None:
        write_tone(tones / "long.wav", 3.0)
        path = write_manifest(tones / "m.csv", [{"path": "long.wav", "start": "1", "end": "2.5"}])
        (item,) = catalogue(path)
        assert item.info.duration == pytest.approx(1.5)
        assert (item.info.sound_start, item.info.sound_duration) == pytest.approx((0.0, 1.5))

    def test_a_stretch_outside_the_file_is_damaged(self, tones: Path) -> None:
        rows = [{"path": "low/00.wav", "start": "0.5", "end": "4"}, {"path": "low/01.wav"}]
        found = catalogue(write_manifest(tones / "m.csv", rows))
        assert [i.index for i in found] == [1]
        assert "not inside" in found.rejected[0].what

    def test_an_unknown_column_names_those_there_are(self, tones: Path) -> None:
        with pytest.raises(KeyError, match="label"):
            catalogue(tones).column("colour")


@dataclass(frozen=True, kw_only=True)
class ForeignSoundSampler(Sampler):
    """Cuts the first 0.25 s of another file."""

    @property
    def others(self) -> int:
        return 1

    def unfit(self, info: MediaInfo) -> str:
        return ""

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        assert len(info.others) == 1
        return Plan(spans=(Span(sound=Sound(start=0.0, duration=0.25, rate=RATE), file=1),))


class TestClips:
    def test_a_visit_is_a_function_of_seed_epoch_and_item(self, tones: Path) -> None:
        clips = sound_clips(tones)
        assert clips.plan(3, 5) == sound_clips(tones).plan(3, 5)
        plans = {clips.plan(p, e)[0].spans for p in range(12) for e in range(3)}
        assert len(plans) == 36
        assert replace(clips, seed=1).plan(3, 5) != clips.plan(3, 5)

    def test_a_stretch_is_cut_from_its_place_in_the_file(self, tones: Path) -> None:
        ramp = tones / "ramp.wav"
        write_tone(ramp)
        with wave.open(str(ramp), "wb") as f:
            f.setnchannels(1)
            f.setsampwidth(2)
            f.setframerate(RATE)
            f.writeframes(np.arange(3 * RATE, dtype=np.int16).tobytes())
        path = write_manifest(tones / "m.csv", [{"path": "ramp.wav", "start": "1.5", "end": "1.75"}])
        clips = Clips.of(catalogue(path).items, RandomClips(sound=0.25, sample_rate=RATE))
        audio = clips.example(0).clips[0].audio
        assert audio is not None
        assert round(float(audio[0, 0]) * 32768) == 1.5 * RATE

    def test_items_that_cannot_be_cut_are_left_out_with_the_reason(self, tones: Path) -> None:
        write_tone(tones / "short.wav", 0.1)
        clips = sound_clips(tones)
        assert len(clips) == 12
        assert [Path(e.path).name for e in clips.unfit] == ["short.wav"]
        assert "0.1 s" in clips.unfit[0].what

    def test_no_item_that_can_be_cut_is_an_error(self, tones: Path) -> None:
        with pytest.raises(MediaError, match="0 of 12 files can be cut"):
            Clips.of(catalogue(tones).items, RandomClips(sound=5.0))

    def test_another_file_is_another_and_of_another_group(self, tones: Path) -> None:
        clips = replace(sound_clips(tones), sampler=ForeignSoundSampler())
        grouped = replace(clips, items=tuple(replace(i, group=i.label) for i in clips.items))
        for position in range(12):
            for epoch in range(5):
                assert clips.plan(position, epoch)[1][1] != clips.items[position]
                assert grouped.plan(position, epoch)[1][1].label != clips.items[position].label
        heard = {levels(grouped.example(0, e).clips[0].audio[None])[0] for e in range(30)}  # type: ignore[index]
        assert len(heard) > 3

    def test_a_batch_has_a_leading_dimension(self, tones: Path) -> None:
        clips = sound_clips(tones)
        batch = collate([clips.example(p) for p in (4, 2)])
        assert batch.clips[0].audio is not None
        assert batch.clips[0].audio.shape == (2, 1, 0.25 * RATE)
        assert batch.index.tolist() == [clips.items[4].index, clips.items[2].index]

    def test_clips_of_different_shapes_are_an_error_that_names_them(self, tones: Path) -> None:
        clips = sound_clips(tones)
        other = replace(clips, sampler=RandomClips(sound=0.5, sample_rate=RATE))
        with pytest.raises(ValueError, match=r"audio of clip 0.*2000.*4000"):
            collate([clips.example(0), other.example(1)])


class TestLoader:
    @pytest.mark.parametrize("workers", [0, 1, 4])
    def test_batches_come_in_order_for_any_number_of_workers(self, tones: Path, workers: int) -> None:
        clips = sound_clips(tones, workers=workers)
        order = epoch_order(12, seed=7, epoch=1)
        loader = Loader(clips, [order[:5], order[5:10], order[10:]], epoch=1)
        got = list(loader)
        assert [i for b in got for i in b.index.tolist()] == [clips.items[p].index for p in order]
        want = [clips.example(p, 1).clips[0].audio for p in order]
        heard = torch.cat([b.clips[0].audio for b in got])  # type: ignore[misc]
        assert torch.equal(heard, torch.stack(want))  # type: ignore[arg-type]

    @pytest.mark.parametrize("rate", [44100, 22050])
    def test_resampled_sound_is_the_same_to_the_bit(self, rate: int, tones: Path) -> None:
        hiss = np.random.default_rng(0).normal(0, 3000, (4, 2 * rate)).astype(np.int16)
        for k, samples in enumerate(hiss):
            with wave.open(str(tones / f"{k}.wav"), "wb") as f:
                f.setnchannels(1)
                f.setsampwidth(2)
                f.setframerate(rate)
                f.writeframes(samples.tobytes())
        items = [i for i in catalogue(tones) if i.info.sample_rate == rate]
        heard: list[list[torch.Tensor]] = []
        try:
            for threads, workers in ((1, 0), (4, 0), (4, 2)):
                torch.set_num_threads(threads)
                heard.append([])
                for n in range(4, 17):  # whether threads part the work depends on how much there is
                    clips = Clips.of(items, RandomClips(sound=n / 16, sample_rate=16000), workers=workers)
                    (batch,) = Loader(clips, [range(4)])
                    assert batch.clips[0].audio is not None
                    heard[-1].append(batch.clips[0].audio)
        finally:
            torch.set_num_threads(1)
        assert heard[0][-1].shape == (4, 1, 16000)
        for other in heard[1:]:
            assert all(torch.equal(a, b) for a, b in zip(heard[0], other, strict=True))

    def test_an_epoch_visits_every_item_once(self) -> None:
        first, second = epoch_order(50, seed=0, epoch=0), epoch_order(50, seed=0, epoch=1)
        assert sorted(first) == sorted(second) == list(range(50))
        assert first != second

    @pytest.mark.parametrize("workers", [0, 2])
    def test_a_file_damaged_while_training_is_skipped_or_stops(self, tones: Path, workers: int) -> None:
        clips = sound_clips(tones, workers=workers)
        clips.items[3].path.write_bytes(b"gone")
        with pytest.raises(MediaError, match=clips.items[3].path.name):
            list(batches(clips, batch_size=4))
        loader = batches(replace(clips, damaged="skip"), batch_size=4)
        assert [len(b) for b in loader] == [3, 4, 4]
        assert [Path(e.path) for e in loader.skipped] == [clips.items[3].path]

    def test_a_batch_of_nothing_but_damaged_files_is_left_out_of_a_pass(self, tones: Path) -> None:
        clips = sound_clips(tones, damaged="skip")
        clips.items[11].path.write_bytes(b"gone")
        loader = batches(clips, batch_size=11)
        assert [len(b) for b in loader] == [11]
        assert [Path(e.path) for e in loader.skipped] == [clips.items[11].path]

    def test_nothing_but_damaged_files_is_an_error(self, tones: Path) -> None:
        clips = sound_clips(tones, damaged="skip")
        for item in clips.items:
            item.path.write_bytes(b"gone")
        with pytest.raises(MediaError, match="all the files of all 3 batches"):
            list(batches(clips, batch_size=4))

    def test_a_batch_that_keeps_its_size_repeats_what_it_has(self, tones: Path) -> None:
        clips = sound_clips(tones, damaged="skip")
        for n in (1, 2, 3):
            clips.items[n].path.write_bytes(b"gone")
        loader = Loader(clips, [[0, 1, 2, 4, 5], [6, 7]], keep_size=True)
        numbers = [[clips.items.index(i) for n in b.index for i in clips.items if i.index == n] for b in loader]
        assert numbers == [[0, 4, 5, 0, 4], [6, 7]]
        with pytest.raises(MediaError, match=r"all the files of its batch of 2.*larger batches"):
            list(Loader(clips, [[0, 4], [1, 2]], keep_size=True))

    def test_reading_threads_leave_the_threads_of_the_caller_alone(self, tones: Path) -> None:
        found: list[int] = []

        def caller() -> None:  # a thread that has not computed anything yet
            list(batches(sound_clips(tones, workers=1), batch_size=12))
            found.append(torch.get_num_threads())

        torch.set_num_threads(2)
        try:
            thread = threading.Thread(target=caller)
            thread.start()
            thread.join()
        finally:
            torch.set_num_threads(1)
        assert found == [2]

    def test_stopping_early_leaves_no_thread(self, tones: Path) -> None:
        before = threading.active_count()
        iterator = iter(batches(sound_clips(tones, workers=3), batch_size=2))
        next(iterator)
        iterator.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before


class TestChoice:
    def test_damaged_files_are_named_once_for_all_who_ask(
        self, tones: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tones / "low" / "00.wav").write_bytes(b"")
        data = Data(root=tones)
        assert data.catalogue() is data.catalogue()
        data.clips(RandomClips(sound=0.25))
        assert capsys.readouterr().err.count("00.wav") == 1

    def test_it_comes_back_from_the_configuration_of_a_run(self) -> None:
        toybox = Toybox(motions=("bounce", "swing"), silent=True)
        for data in (Data(), Data(root=Path("a"), splits=("x",), held_out=(), null="noise", workers=0, toybox=toybox)):
            assert Data.from_json(json.loads(json.dumps(plain(data)))) == data
        assert Data.from_json({}) == Data()
        view = View(frames=8, rate=12.5, sound=1.5)
        assert View.from_json(json.loads(json.dumps(plain(view)))) == view


def test_item_is_an_entry() -> None:
    info = MediaInfo(duration=1.0, sample_rate=RATE, channels=1, sound_duration=1.0)
    assert Item(index=0, path=Path("x"), info=info).end is None
