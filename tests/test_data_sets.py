"""Public data sets by name: tiny trees in the official formats, and what is said where something is missing."""

from __future__ import annotations

import csv
import json
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from media_files import Film, numbered, write
from PIL import Image
from scipy.io import savemat

from avssl.core import MediaError, MediaInfo, Span
from avssl.data import Catalogue, Data, Entry, Item, catalogue, entries, write_manifest
from avssl.data.sets import Name, davis2017, jhmdb, named, read
from avssl.data.sets.common import entry
from avssl.evaluation import Split, Unscorable, folds, guard, labels_of
from avssl.media import open_media


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AVSSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def plant(root: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def told(listed: tuple[Entry, ...], root: Path) -> list[tuple[str, str, str, str]]:
    """Path, label (or labels), split and group of each."""
    return [
        (e.path.relative_to(root).as_posix(), e.label or e.columns.get("labels", ""), e.split, e.group) for e in listed
    ]


UCF = {
    "ucfTrainTestlist/trainlist01.txt": (
        "YoYo/v_YoYo_g08_c01.avi 101\r\nHandstandPushups/v_HandStandPushups_g09_c01.avi 37\r\n"
    ),
    "ucfTrainTestlist/testlist01.txt": "YoYo/v_YoYo_g01_c01.avi\r\n",
    "ucfTrainTestlist/trainlist02.txt": "YoYo/v_YoYo_g01_c01.avi 101\n",
    "ucfTrainTestlist/testlist02.txt": "YoYo/v_YoYo_g08_c01.avi\n",
    "UCF-101/YoYo/v_YoYo_g08_c01.avi": "x",
    "UCF-101/YoYo/v_YoYo_g01_c01.avi": "x",
    "UCF-101/HandstandPushups/v_HandStandPushups_g09_c01.avi": "x",
}
HMDB = {
    "testTrainMulti_7030_splits/chew_test_split1.txt": (
        "#2_Gum_chew_h_nm_np1_fr_med_0.avi 1 \nBig_Chew_chew_h_nm_np1_fr_goo_0.avi 2 \n"
        "Saints_chew_h_nm_np1_fr_goo_48.avi 2 \n"
    ),
    "testTrainMulti_7030_splits/kick_ball_test_split1.txt": (
        "Saints_kick_ball_u_nm_np1_fr_bad_122.avi 1 \nodd (name).avi 0 \n"
    ),
    "testTrainMulti_7030_splits/chew_test_split2.txt": "#2_Gum_chew_h_nm_np1_fr_med_0.avi 2 \n",
    "hmdb51_org/chew/#2_Gum_chew_h_nm_np1_fr_med_0.avi": "x",
    "hmdb51_org/chew/Big_Chew_chew_h_nm_np1_fr_goo_0.avi": "x",
    "hmdb51_org/chew/Saints_chew_h_nm_np1_fr_goo_48.avi": "x",
    "hmdb51_org/kick_ball/Saints_kick_ball_u_nm_np1_fr_bad_122.avi": "x",
    "hmdb51_org/kick_ball/odd (name).avi": "x",
}
KINETICS = {
    "annotations/train.csv": (
        "label,youtube_id,time_start,time_end,split,is_cc\n"
        '"air drumming",_dbcJuKJQNs,40,50,train,0\nabseiling,-3B32lodo2M,59,69,train,0\n'
    ),
    "annotations/validate.csv": "label,youtube_id,time_start,time_end,split\nabseiling,abc,0,10,validate\n",
    "annotations/test.csv": "youtube_id,time_start,time_end,split\nxyz,7,17,test\n",
    "train/air drumming/_dbcJuKJQNs_000040_000050.mp4": "x",
    "val/abc_000000_000010.mkv": "x",
    "test/xyz_000007_000017.mp4": "x",
}
SSV2 = {
    "something-something-v2-train.json": json.dumps(
        [
            {
                "id": "78687",
                "label": "pushing cup from left to right",
                "template": "Pushing [something] from left to right",
                "placeholders": ["cup"],
            }
        ]
    ),
    "something-something-v2-validation.json": json.dumps([{"id": "1", "template": "Holding [something]"}]),
    "something-something-v2-test.json": json.dumps([{"id": "2"}]),
    **{f"20bn-something-something-v2/{n}.webm": "x" for n in (78687, 1, 2)},
}
DIVING = {
    "Diving48_vocab.json": json.dumps([["Back", "15som", "05Twis", "FREE"], ["Forward", "15som", "NoTwis", "PIKE"]]),
    "Diving48_V2_train.json": json.dumps(
        [{"vid_name": "-mmq0PT-u8k_00155", "label": 1, "start_frame": 0, "end_frame": 99}]
    ),
    "Diving48_V2_test.json": json.dumps([{"vid_name": "a_b_00001", "label": 0, "start_frame": 0, "end_frame": 9}]),
    "rgb/-mmq0PT-u8k_00155.mp4": "x",
    "rgb/a_b_00001.mp4": "x",
}
HEAD = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\n"
CHARADES = {
    "Charades_v1_classes.txt": "c000 Holding some clothes\nc092 Watching/Looking outside of a window\n",
    "Charades_v1_train.csv": HEAD
    + '46GP8,HR43,Kitchen,6,7,Yes,"A person, cooking.",food,words,c092 11.90 21.20;c000 0.00 12.60,24.83\n'
    + "N11GT,KQ12,Stairs,6,7,Yes,s,o,d,,18.33\n",
    "Charades_v1_test.csv": HEAD + "YSKX3,AB12,Kitchen,6,7,Yes,s,o,d,c000 4.00 31.00;c000 31.0 33.0,30.5\n",
    **{f"Charades_v1_480/{n}.mp4": "x" for n in ("46GP8", "N11GT", "YSKX3")},
}
SEGMENTS = "# Segments csv created\n# num_ytids=1, num_segs=1\n# YTID, start_seconds, end_seconds, positive_labels\n"
AUDIOSET = {
    "class_labels_indices.csv": (
        'index,mid,display_name\n0,/m/09x0r,"Speech"\n1,/m/05zppz,"Male speech, man speaking"\n'
        '2,/m/012xff,"Toothbrush"\n'
    ),
    "balanced_train_segments.csv": SEGMENTS + '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/m/05zppz"\n',
    "eval_segments.csv": SEGMENTS + '--ZhevVpy1s, 50.000, 60.000, "/m/012xff"\nabc, 0.000, 9.500, "/m/09x0r"\n',
    "audio/Y--PJHxphWEs.wav": "x",
    "audio/--ZhevVpy1s_50_60.wav": "x",
    "audio/abc.wav": "x",
    "video/abc.mp4": "x",
}
VGGSOUND = {
    "vggsound.csv": '---g-f_I2yQ,1,people marching,test\n--0PQM4-hqg,30,"male speech, man speaking",train\n',
    "video/---g-f_I2yQ_000001.mp4": "x",
    "video/--0PQM4-hqg_000030.mp4": "x",
}
AVE = {
    "trainSet.txt": "Church bell&RUhOCu3LNXM&good&0&10\n",
    "valSet.txt": "Male speech, man speaking&-5Dv8gtRKiM&good&2&7\n",
    "testSet.txt": "Category&VideoID&Quality&StartTime&EndTime\nFrying (food)&abc&good&0&10\n",
    **{f"AVE/{n}.mp4": "x" for n in ("RUhOCu3LNXM", "-5Dv8gtRKiM", "abc")},
}
ESC = {
    "ESC-50-master/meta/esc50.csv": (
        "filename,fold,target,category,esc10,src_file,take\n"
        "1-100032-A-0.wav,1,0,dog,True,100032,A\n2-100210-A-36.wav,2,36,vacuum_cleaner,False,100210,A\n"
    ),
    "ESC-50-master/audio/1-100032-A-0.wav": "x",
    "ESC-50-master/audio/2-100210-A-36.wav": "x",
}
GRID = {
    "s1/bbaf2n.mpg": "x",
    "s1/align/bbaf2n.align": "0 23750 sil",
    "s3/video/mpg_6000/swwz9s.mpg": "x",
    "s3/pgazzp.mpg": "x",
    "s3/notone.mpg": "x",
    "s99/bbaf2n.mpg": "x",
}
SPEECH = {
    "validation_list.txt": "cat/aa_nohash_0.wav\n",
    "testing_list.txt": "cat/bb_nohash_0.wav\ncat/gone_nohash_0.wav\n",
    "_background_noise_/pink_noise.wav": "x",
    **{f"cat/{n}_nohash_0.wav": "x" for n in ("aa", "bb", "cc")},
}
IMAGENET = {
    "train/n01440764/n01440764_18.JPEG": "x",
    "val/n01440764/ILSVRC2012_val_00000293.JPEG": "x",
    "val/readme.txt": "x",
}
MAIN = "VOCdevkit/VOC2007/ImageSets/Main"
VOC = {
    f"{MAIN}/trainval.txt": "000005\n000007\n",
    f"{MAIN}/test.txt": "000001\n",
    f"{MAIN}/car_trainval.txt": "000005 -1\n000007  1\n",
    f"{MAIN}/dog_trainval.txt": "000005  0\n000007  1\n",
    f"{MAIN}/car_test.txt": "000001 -1\n",
    f"{MAIN}/dog_test.txt": "000001  1\n",
    **{f"VOCdevkit/VOC2007/JPEGImages/{n}.jpg": "x" for n in ("000005", "000007", "000001")},
}
JHMDB = {
    "splits/golf_test_split1.txt": "Me_golf_f_nm_np1_ri_goo_0.avi 1\nYou_golf_f_nm_np1_ri_goo_1.avi 2\n",
    "ReCompress_Videos/golf/Me_golf_f_nm_np1_ri_goo_0.avi": "x",
    "ReCompress_Videos/golf/You_golf_f_nm_np1_ri_goo_1.avi": "x",
    "joint_positions/golf/Me_golf_f_nm_np1_ri_goo_0/joint_positions.mat": "x",
}

Row = tuple[str, str, str, str]
TREES: dict[Name, tuple[Mapping[str, str], list[Row]]] = {
    "ucf101": (
        UCF,
        [
            ("UCF-101/YoYo/v_YoYo_g08_c01.avi", "YoYo", "train", "YoYo_g08"),
            (
                "UCF-101/HandstandPushups/v_HandStandPushups_g09_c01.avi",
                "HandstandPushups",
                "train",
                "HandstandPushups_g09",
            ),
            ("UCF-101/YoYo/v_YoYo_g01_c01.avi", "YoYo", "test", "YoYo_g01"),
        ],
    ),
    "hmdb51": (
        HMDB,
        [
            ("hmdb51_org/chew/#2_Gum_chew_h_nm_np1_fr_med_0.avi", "chew", "train", "chew/#2_Gum"),
            ("hmdb51_org/chew/Big_Chew_chew_h_nm_np1_fr_goo_0.avi", "chew", "test", "chew/Big_Chew"),
            ("hmdb51_org/chew/Saints_chew_h_nm_np1_fr_goo_48.avi", "chew", "test", "chew/Saints"),
            (
                "hmdb51_org/kick_ball/Saints_kick_ball_u_nm_np1_fr_bad_122.avi",
                "kick_ball",
                "train",
                "kick_ball/Saints",
            ),
            ("hmdb51_org/kick_ball/odd (name).avi", "kick_ball", "unused", "kick_ball/odd (name)"),
        ],
    ),
    "kinetics400": (
        KINETICS,
        [
            ("train/air drumming/_dbcJuKJQNs_000040_000050.mp4", "air drumming", "train", "_dbcJuKJQNs"),
            ("val/abc_000000_000010.mkv", "abseiling", "val", "abc"),
            ("test/xyz_000007_000017.mp4", "", "test", "xyz"),
        ],
    ),
    "ssv2": (
        SSV2,
        [
            ("20bn-something-something-v2/78687.webm", "Pushing something from left to right", "train", ""),
            ("20bn-something-something-v2/1.webm", "Holding something", "val", ""),
            ("20bn-something-something-v2/2.webm", "", "test", ""),
        ],
    ),
    "diving48": (
        DIVING,
        [
            ("rgb/-mmq0PT-u8k_00155.mp4", "Forward 15som NoTwis PIKE", "train", ""),
            ("rgb/a_b_00001.mp4", "Back 15som 05Twis FREE", "test", ""),
        ],
    ),
    "charades": (
        CHARADES,
        [
            (
                "Charades_v1_480/46GP8.mp4",
                "c000 Holding some clothes;c092 Watching/Looking outside of a window",
                "train",
                "HR43",
            ),
            ("Charades_v1_480/N11GT.mp4", "", "train", "KQ12"),
            ("Charades_v1_480/YSKX3.mp4", "c000 Holding some clothes", "test", "AB12"),
        ],
    ),
    "audioset": (
        AUDIOSET,
        [
            ("audio/Y--PJHxphWEs.wav", "Speech;Male speech, man speaking", "train", "--PJHxphWEs"),
            ("audio/--ZhevVpy1s_50_60.wav", "Toothbrush", "test", "--ZhevVpy1s"),
            ("video/abc.mp4", "Speech", "test", "abc"),
        ],
    ),
    "vggsound": (
        VGGSOUND,
        [
            ("video/---g-f_I2yQ_000001.mp4", "people marching", "test", "---g-f_I2yQ"),
            ("video/--0PQM4-hqg_000030.mp4", "male speech, man speaking", "train", "--0PQM4-hqg"),
        ],
    ),
    "ave": (
        AVE,
        [
            ("AVE/RUhOCu3LNXM.mp4", "Church bell", "train", "RUhOCu3LNXM"),
            ("AVE/-5Dv8gtRKiM.mp4", "Male speech, man speaking", "val", "-5Dv8gtRKiM"),
            ("AVE/abc.mp4", "Frying (food)", "test", "abc"),
        ],
    ),
    "esc50": (
        ESC,
        [
            ("ESC-50-master/audio/1-100032-A-0.wav", "dog", "", "100032"),
            ("ESC-50-master/audio/2-100210-A-36.wav", "vacuum_cleaner", "", "100210"),
        ],
    ),
    "grid": (
        GRID,
        [
            ("s1/bbaf2n.mpg", "bin", "test", "s1"),
            ("s3/pgazzp.mpg", "place", "train", "s3"),
            ("s3/video/mpg_6000/swwz9s.mpg", "set", "train", "s3"),
        ],
    ),
    "speech-commands": (
        SPEECH,
        [
            ("cat/aa_nohash_0.wav", "cat", "val", "aa"),
            ("cat/bb_nohash_0.wav", "cat", "test", "bb"),
            ("cat/cc_nohash_0.wav", "cat", "train", "cc"),
        ],
    ),
    "imagenet": (
        IMAGENET,
        [
            ("train/n01440764/n01440764_18.JPEG", "n01440764", "train", ""),
            ("val/n01440764/ILSVRC2012_val_00000293.JPEG", "n01440764", "val", ""),
        ],
    ),
    "voc07": (
        VOC,
        [
            ("VOCdevkit/VOC2007/JPEGImages/000005.jpg", "", "train", ""),
            ("VOCdevkit/VOC2007/JPEGImages/000007.jpg", "car;dog", "train", ""),
            ("VOCdevkit/VOC2007/JPEGImages/000001.jpg", "dog", "test", ""),
        ],
    ),
    "jhmdb": (
        JHMDB,
        [
            ("ReCompress_Videos/golf/Me_golf_f_nm_np1_ri_goo_0.avi", "golf", "train", "golf/Me"),
            ("ReCompress_Videos/golf/You_golf_f_nm_np1_ri_goo_1.avi", "golf", "test", "golf/You"),
        ],
    ),
}


@pytest.mark.parametrize("name", TREES)
def test_a_tree_of_the_official_form(name: Name, tmp_path: Path) -> None:
    files, expected = TREES[name]
    found = read(name, plant(tmp_path, files))
    assert told(found.entries, tmp_path) == expected
    again = tmp_path / "manifest of it.csv"
    write_manifest(found.entries, again)
    assert told(tuple(entries(again)), tmp_path) == expected


@pytest.mark.parametrize("name", get_args(Name))
def test_an_empty_folder_is_told_what_to_put_there(name: Name, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"put |unpack ") as caught:
        read(name, tmp_path)
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(MediaError, match="nowhere"):
        read(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name", [n for n in TREES if n not in {"grid", "imagenet", "speech-commands"}])
def test_lists_without_any_of_their_files_are_refused(name: Name, tmp_path: Path) -> None:
    lists = {p: c for p, c in TREES[name][0].items() if c != "x"}
    with pytest.raises(MediaError, match=r"none of the \d+ files .* is there, such as .*: put |; unpack |put "):
        read(name, plant(tmp_path, lists))


def test_some_missing_files_are_counted_and_named(tmp_path: Path) -> None:
    found = read("kinetics400", plant(tmp_path, KINETICS))
    assert found.missing == (tmp_path / "-3B32lodo2M_000059_000069.mp4",)
    assert any("1 of the 4 listed files are missing: " in n and "-3B32lodo2M" in n for n in found.notes)
    assert any("2 classes, the published ones 400" in n for n in found.notes)


def test_a_list_of_another_size_than_published_is_told(tmp_path: Path) -> None:
    notes = read("ucf101", plant(tmp_path, UCF)).notes
    assert "UCF101 split 1: the split 'train' lists 2 files, the published one 9537" in notes
    assert not any("missing" in n for n in notes)


def test_the_other_official_splits(tmp_path: Path) -> None:
    second = read("ucf101", plant(tmp_path, UCF), split=2).entries
    assert [(e.path.name, e.split) for e in second] == [
        ("v_YoYo_g01_c01.avi", "train"),
        ("v_YoYo_g08_c01.avi", "test"),
    ]
    with pytest.raises(MediaError, match=r"trainlist03\.txt"):
        read("ucf101", tmp_path, split=3)
    with pytest.raises(MediaError, match="ucf101 has no split 4; choose of 1 to 3"):
        read("ucf101", tmp_path, split=4)
    with pytest.raises(MediaError, match="ssv2 has no split 2"):
        read("ssv2", tmp_path, split=2)
    assert read("hmdb51", plant(tmp_path, HMDB), split=2).entries[0].split == "test"


def test_how_a_named_source_is_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert named(Path("ucf101:/data/ucf101")) == ("ucf101", Path("/data/ucf101"), 1)
    assert named(Path("ucf101-split3:~/a:b")) == ("ucf101", Path("/home/me/a:b"), 3)
    assert named(Path("speech-commands:x")) == ("speech-commands", Path("x"), 1)
    for other in ("ucf101", "/data/ucf101", "ucf102:/data", "C:/data", "charades-actions"):
        assert named(Path(other)) is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ucf101:x").mkdir()
    assert named(Path("ucf101:x")) is None


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("ucf101", "ucfTrainTestlist/testlist01.txt", "YoYo/other.avi\n"),
        ("hmdb51", "testTrainMulti_7030_splits/chew_test_split1.txt", "a.avi 3\n"),
        ("kinetics400", "annotations/train.csv", "youtube_id,time_start,time_end\na,b,c\n"),
        ("kinetics400", "annotations/train.csv", "youtube_id\na\n"),
        ("ssv2", "something-something-v2-train.json", "[1]"),
        ("ssv2", "something-something-v2-train.json", "{"),
        ("diving48", "Diving48_V2_test.json", '[{"vid_name": "a", "label": 48}]'),
        ("charades", "Charades_v1_test.csv", HEAD + "a,b,c,6,7,Yes,s,o,d,c999 1 2,30.5\n"),
        ("audioset", "eval_segments.csv", 'a, 0.0, 1.0, "/m/none"\n'),
        ("vggsound", "vggsound.csv", "a,b,c,test\n"),
        ("esc50", "ESC-50-master/meta/esc50.csv", "filename,fold\na,1\n"),
        ("voc07", f"{MAIN}/dog_test.txt", "000001 2\n"),
        ("ucf101", "ucfTrainTestlist/testlist01.txt", b"\xff\xfe\x00"),
    ],
)
def test_a_damaged_list_is_named(name: Name, file: str, content: str | bytes, tmp_path: Path) -> None:
    plant(tmp_path, {**TREES[name][0], file: content})
    with pytest.raises(MediaError) as caught:
        read(name, tmp_path)
    assert str(tmp_path / file) in str(caught.value)


def test_what_some_sets_tell_besides(tmp_path: Path) -> None:
    def columns(name: Name, files: Mapping[str, str], number: int = 0) -> Mapping[str, str]:
        return read(name, plant(tmp_path / name, files)).entries[number].columns

    assert columns("ave", AVE, 1)["event_start"] == "2"
    assert columns("esc50", ESC, 1)["fold"] == "2"
    assert columns("hmdb51", HMDB)["source"] == "#2_Gum"
    assert columns("diving48", DIVING)["source"] == "-mmq0PT-u8k"
    assert columns("charades", CHARADES)["actions"] == "c092 11.90 21.20;c000 0.00 12.60"
    assert columns("voc07", VOC)["difficult"] == "dog"
    said = columns("grid", GRID, 2)
    assert [said[k] for k in ("colour", "preposition", "letter", "digit", "adverb")] == [
        "white",
        "with",
        "z",
        "9",
        "soon",
    ]
    assert columns("jhmdb", JHMDB)["joints"].endswith("Me_golf_f_nm_np1_ri_goo_0/joint_positions.mat")
    assert "frames" not in columns("jhmdb", JHMDB)
    assert [e.label for e in read("esc10", tmp_path / "esc50").entries] == ["dog"]


def test_every_stretch_of_an_action(tmp_path: Path) -> None:
    found = read("charades-actions", plant(tmp_path, CHARADES)).entries
    assert [(e.path.stem, e.label[:4], e.start, e.end) for e in found] == [
        ("46GP8", "c092", 11.9, 21.2),
        ("46GP8", "c000", 0.0, 12.6),
        ("YSKX3", "c000", 4.0, 30.5),
    ]
    write_manifest(found, tmp_path / "m.csv")
    assert [(e.start, e.end) for e in entries(tmp_path / "m.csv")] == [(e.start, e.end) for e in found]


def test_class_names_with_the_mark_between_them_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="';'"):
        entry(tmp_path, labels=["dog", "cat; lion"])
    wrong = AUDIOSET["class_labels_indices.csv"].replace("Toothbrush", "a; b")
    with pytest.raises(MediaError, match="a; b"):
        read("audioset", plant(tmp_path, {**AUDIOSET, "class_labels_indices.csv": wrong}))


# ------------------------------------------------------------------------------------- pictures and frames


def test_cifar_becomes_pictures(tmp_path: Path, cache: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (7, 3, 32, 32), np.uint8)
    records = [bytes([n % 2]) + p.tobytes() for n, p in enumerate(pixels)]
    files = {f"data_batch_{n}.bin": records[n - 1] for n in range(1, 6)}
    files |= {"test_batch.bin": records[5] + records[6], "batches.meta.txt": b"airplane\nautomobile\n\n"}
    root = plant(tmp_path, {f"cifar-10-batches-bin/{k}": v for k, v in files.items()})
    found = read("cifar10", root).entries
    assert [(e.label, e.split) for e in found] == [
        (("airplane", "automobile")[n % 2], "train" if n < 5 else "test") for n in range(7)
    ]
    shown = np.stack([np.asarray(Image.open(e.path)) for e in found])
    np.testing.assert_array_equal(shown, pixels.transpose(0, 2, 3, 1))
    before = found[0].path.stat().st_mtime_ns
    assert read("cifar10", root).entries[0].path.stat().st_mtime_ns == before
    assert not [p for p in (cache / "sets").iterdir() if p.name.startswith(".")]
    (root / "cifar-10-batches-bin/test_batch.bin").write_bytes(records[0][:-1])
    with pytest.raises(MediaError, match=r"test_batch\.bin.*no whole records of 3073"):
        read("cifar10", root)
    assert not [p for p in (cache / "sets").iterdir() if p.name.startswith(".")]


def test_cifar100_has_two_labels(tmp_path: Path) -> None:
    names = {"coarse_label_names.txt": b"fish\ntrees\n", "fine_label_names.txt": b"oak\nray\nelm\n"}
    record = bytes([1, 2]) + bytes(3072)
    files = {"train.bin": record, "test.bin": record, **names}
    found = read("cifar100", plant(tmp_path, {f"cifar-100-binary/{k}": v for k, v in files.items()})).entries
    assert [(e.label, e.columns["coarse"], e.split) for e in found] == [
        ("elm", "trees", "train"),
        ("elm", "trees", "test"),
    ]


def test_stl10_is_stored_column_by_column(tmp_path: Path) -> None:
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:10, :, 0] = 200  # a red bar along the top
    stored = picture.transpose(2, 1, 0).tobytes()
    files = {
        "class_names.txt": b"airplane\nbird\n",
        "train_X.bin": stored * 2,
        "train_y.bin": bytes([2, 1]),
        "test_X.bin": stored,
        "test_y.bin": bytes([1]),
        "unlabeled_X.bin": stored,
        "fold_indices.txt": b"0 1 \n1 \n",
    }
    root = plant(tmp_path, {f"stl10_binary/{k}": v for k, v in files.items()})
    found = read("stl10", root).entries
    assert [(e.label, e.split, e.columns.get("folds", "")) for e in found] == [
        ("bird", "train", "0"),
        ("airplane", "train", "0;1"),
        ("airplane", "test", ""),
        ("", "unlabelled", ""),
    ]
    np.testing.assert_array_equal(np.asarray(Image.open(found[0].path)), picture)
    (root / "stl10_binary/test_y.bin").write_bytes(b"")
    with pytest.raises(MediaError, match="each with a label"):
        read("stl10", root)


def jpegs(folder: Path, count: int, *, first: int = 0) -> list[np.ndarray]:
    folder.mkdir(parents=True)
    for n in range(count):
        Image.fromarray(numbered(n)).save(folder / f"{n + first:05}.jpg", quality=95)
    return [np.asarray(Image.open(folder / f"{n + first:05}.jpg")) for n in range(count)]


def test_frames_become_a_film_of_the_same_pixels(tmp_path: Path) -> None:
    shown = jpegs(tmp_path / "20bn-jester-v1/34870", 5, first=1)
    (tmp_path / "20bn-jester-v1/9").mkdir()
    lists = {
        "jester-v1-train.csv": "34870;Swiping Left\n9;No gesture\n",
        "jester-v1-validation.csv": "7;Swiping Right\n",
        "jester-v1-test.csv": "8\n",
    }
    found = read("jester", plant(tmp_path, lists))
    assert [(e.label, e.split) for e in found.entries] == [("Swiping Left", "train")]
    assert [p.name for p in found.missing] == ["9", "7", "8"]
    film = found.entries[0].path
    media = open_media(film)
    assert (media.info.frames, media.info.duration, media.info.fps) == (5, pytest.approx(5 / 12), pytest.approx(12))
    (clip,) = media.read([Span(times=tuple(n / 12 for n in range(5)))])
    assert clip.video is not None
    difference = clip.video.permute(0, 2, 3, 1).numpy().astype(int) - np.stack(shown)
    assert abs(difference).mean() < 2  # decoders round chroma differently
    before = film.stat().st_ino
    assert read("jester", tmp_path).entries[0].path.stat().st_ino == before
    Image.fromarray(numbered(5)).save(tmp_path / "20bn-jester-v1/34870/00006.jpg")
    assert open_media(read("jester", tmp_path).entries[0].path).info.frames == 6


def test_a_frame_that_is_no_picture_is_named(tmp_path: Path) -> None:
    jpegs(tmp_path / "DAVIS/JPEGImages/480p/bear", 2)
    (tmp_path / "DAVIS/JPEGImages/480p/bear/00001.jpg").write_bytes(b"no")
    plant(tmp_path, {"DAVIS/ImageSets/2017/train.txt": "bear\n", "DAVIS/ImageSets/2017/val.txt": ""})
    with pytest.raises(MediaError, match=r"bear.00001\.jpg: this is no JPEG"):
        read("davis2017", tmp_path)


def test_davis_tells_its_masks(tmp_path: Path) -> None:
    jpegs(tmp_path / "JPEGImages/480p/dogs-jump", 2)
    plant(tmp_path, {"ImageSets/2017/train.txt": "bear\n", "ImageSets/2017/val.txt": "dogs-jump\n"})
    truth = np.array([[0, 1], [2, 2]], np.uint8)
    (tmp_path / "Annotations/480p/dogs-jump").mkdir(parents=True)
    for n in range(2):
        picture = Image.fromarray(truth * (n + 1))
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0, 0, 0, 128])
        picture.save(tmp_path / f"Annotations/480p/dogs-jump/{n:05}.png")
    (found,) = read("davis2017", tmp_path).entries
    assert (found.split, found.group, found.label) == ("val", "dogs-jump", "")
    np.testing.assert_array_equal(davis2017.masks(Path(found.columns["masks"])), [truth, truth * 2])
    with pytest.raises(MediaError, match="no masks"):
        davis2017.masks(Path(found.columns["frames"]))


def test_the_joints_of_jhmdb(tmp_path: Path) -> None:
    positions = np.random.default_rng(0).normal(size=(2, 15, 4))
    savemat(tmp_path / "joint_positions.mat", {"pos_img": positions})
    found = jhmdb.joints(tmp_path / "joint_positions.mat")
    assert found.shape == (4, 15, 2)
    np.testing.assert_allclose(found[3, 14], positions[:, 14, 3])
    savemat(tmp_path / "other.mat", {"pos_world": positions})
    for other in ("other.mat", "none.mat"):
        with pytest.raises(MediaError, match=other):
            jhmdb.joints(tmp_path / other)


# ------------------------------------------------------------------------------------------- end to end


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """UCF101 of two real videos, of which one list names a third."""
    lists = {
        "ucfTrainTestlist/trainlist01.txt": "A/v_A_g08_c01.avi 1\nB/v_B_g08_c01.avi 2\n",
        "ucfTrainTestlist/testlist01.txt": "A/v_A_g01_c01.avi\n",
        "ucfTrainTestlist/trainlist02.txt": "A/v_A_g01_c01.avi 1\n",
        "ucfTrainTestlist/testlist02.txt": "A/v_A_g08_c01.avi\n",
    }
    plant(tmp_path / "ucf", lists)
    (tmp_path / "ucf/UCF-101/A").mkdir(parents=True)
    for name in ("v_A_g08_c01.avi", "v_A_g01_c01.avi"):
        write(tmp_path / "ucf/UCF-101/A" / name, Film(frames=4, codec="mpeg4"))
    return tmp_path / "ucf"


def test_a_named_set_is_a_source_of_data(clips: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = Path(f"ucf101:{clips}")
    found = catalogue(source, workers=1)
    assert [(i.path.name, i.label, i.split, i.group, i.info.frames) for i in found] == [
        ("v_A_g08_c01.avi", "A", "train", "A_g08", 4),
        ("v_A_g01_c01.avi", "A", "test", "A_g01", 4),
    ]
    assert "1 of the 3 listed files are missing" in capsys.readouterr().err
    second = Data.from_json({"root": f"ucf101-split2:{clips}"}).catalogue()
    assert [(i.path.name, i.split) for i in second] == [("v_A_g01_c01.avi", "train"), ("v_A_g08_c01.avi", "test")]
    assert len(list((cache / "scan").iterdir())) == 1, "the splits share what is known of their files"
    with pytest.raises(MediaError, match=r"ucf102.*NAME:FOLDER"):
        catalogue(Path(f"ucf102:{clips}"))


def items_of(name: Name, root: Path, *, split: int = 1) -> Catalogue:
    """A catalogue of the entries of a tree whose files are no media."""
    info = MediaInfo(duration=1.0, fps=25.0, frames=25, height=8, width=8)
    listed = read(name, root, split=split).entries
    items = [
        Item(index=n, info=info, path=e.path, label=e.label, split=e.split, group=e.group, columns=e.columns)
        for n, e in enumerate(listed)
    ]
    return Catalogue(source=root, items=tuple(items))


def test_a_planted_leak_of_groups_is_caught(tmp_path: Path) -> None:
    lists = {
        "ucfTrainTestlist/trainlist01.txt": "A/v_A_g01_c01.avi 1\nB/v_B_g01_c01.avi 2\n",
        "ucfTrainTestlist/testlist01.txt": "A/v_A_g01_c02.avi\n",
    }
    videos = {f"UCF-101/{n}": "x" for n in ("A/v_A_g01_c01.avi", "B/v_B_g01_c01.avi", "A/v_A_g01_c02.avi")}
    items = items_of("ucf101", plant(tmp_path, {**lists, **videos})).items
    numbers, classes = labels_of(items, "label")
    (fold,) = folds(items, split=Split())
    with pytest.raises(Unscorable, match="A_g01"):
        guard(items, fold, labels=numbers, classes=classes)


def test_one_film_may_teach_one_class_of_hmdb51_and_test_another(tmp_path: Path) -> None:
    items = items_of("hmdb51", plant(tmp_path, HMDB)).items
    numbers, classes = labels_of(items, "label")
    (fold,) = folds(items, split=Split())
    guard(items, fold, labels=numbers, classes=classes)
    assert {items[p].columns["source"] for p in fold.train} & {items[p].columns["source"] for p in fold.test}


def test_labels_of_left_and_right_forbid_flips(tmp_path: Path) -> None:
    assert not items_of("ssv2", plant(tmp_path / "s", SSV2)).flips
    assert items_of("ucf101", plant(tmp_path / "u", UCF)).flips


def test_the_tool_writes_a_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*more: str) -> None:
        monkeypatch.setattr("sys.argv", ["manifest.py", "hmdb51", str(tmp_path), str(tmp_path / "m.csv"), *more])
        runpy.run_path(str(Path(__file__).parents[1] / "tools/manifest.py"), run_name="__main__")

    plant(tmp_path, HMDB)
    run()
    assert "5 entries in" in capsys.readouterr().err
    with (tmp_path / "m.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "split", "group", "source"]
    assert rows[1]["path"] == "hmdb51_org/chew/Big_Chew_chew_h_nm_np1_fr_goo_0.avi"
    with pytest.raises(SystemExit, match=r"split3\.txt"):
        run("--split", "3")
