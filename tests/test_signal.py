"""Every task is solved where its signal is planted, and is at chance where the signal is taken away.

The planted worlds: pictures that grow brighter, so that their order can be told at once; pictures that flicker at one
rate, so that their pace can; and flashes that sound, so that synchronisation can. Whole recipes are run, on files they
have not seen.
"""

import csv
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pytest
from test_recipes import load

from avssl.data import Data
from avssl.training import Train

RECIPES = Path(__file__).parent.parent / "recipes"
FPS, RATE, SIZE = 16, 8000, 24


def write(path: Path, light: np.ndarray, sound: np.ndarray | None, rng: np.random.Generator) -> None:
    """A video whose whole picture has the given light (T,) over a texture of its own, with the sound (N,) given."""
    texture = rng.normal(0, 12, (SIZE, SIZE, 3))
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=FPS, options={"crf": "10", "preset": "ultrafast"})
        video.width = video.height = SIZE
        video.pix_fmt = "yuv420p"
        audio = out.add_stream("aac", rate=RATE, layout="mono") if sound is not None else None
        for level in light:
            picture = np.clip(texture + level, 0, 255).astype(np.uint8)
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(video.encode())
        if audio is not None and sound is not None:
            frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="fltp", layout="mono")
            frame.sample_rate = RATE
            out.mux(audio.encode(frame))
            out.mux(audio.encode())


World = Literal["brighter", "flickering", "flashing"]


def make_world(folder: Path, kind: World) -> Path:
    """64 files to train on and 64 to test on; the manifest has no labels."""
    folder.mkdir()
    k = np.arange(64)
    rows = []
    for number in range(128):
        rng = np.random.default_rng(number)
        path = folder / f"{number:03d}.mp4"
        if kind == "flashing":
            light, sound = flashes(rng)
            write(path, light, sound, rng)
        elif kind == "flickering":
            write(path, np.where((k + rng.integers(8)) % 8 < 4, 80.0, 160.0), None, rng)
        else:
            write(path, 50 + 2.4 * k + rng.normal(0, 4), None, rng)
        rows.append({"path": path.name, "split": "train" if number < 64 else "test"})
    with (folder / "manifest.csv").open("w", newline="") as f:
        writer = csv.DictWriter(f, ["path", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def flashes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """3 s of darkness and quiet, with bursts of light and noise at the same instants."""
    light, sound = np.full(3 * FPS, 60.0), rng.normal(0, 1e-3, 3 * RATE)
    for k in np.flatnonzero(rng.random(3 * FPS // 4) < 0.4) * 4:
        light[k : k + 3] = 200
        sound[k * RATE // FPS : (k + 3) * RATE // FPS] = rng.normal(0, 0.2, 3 * RATE // FPS)
    return light, sound


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    kinds: tuple[World, ...] = ("brighter", "flickering", "flashing")
    folder = tmp_path_factory.mktemp("world")
    return {kind: make_world(folder / kind, kind) for kind in kinds}


KNOBS: dict[str, dict[str, Any]] = {
    "pace": {"frames": 8, "step": 1},
    "vcop": {"frames": 4, "gap": 8, "step": 1},
    "shuffle_and_learn": {"longest": 1.5, "shortest": 0.5},
    "multisensory": {"frames": 16, "step": 1, "sound": 1.0, "shift": 0.5, "sample_rate": RATE},
}
PLANTED = {"pace": "flickering", "vcop": "brighter", "shuffle_and_learn": "brighter", "multisensory": "flashing"}
CLASSES = {"pace": 4, "vcop": 6, "shuffle_and_learn": 2, "multisensory": 2}


@pytest.fixture
def held_out_accuracy(worlds: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., float]:
    """Accuracy of a recipe's pretext task on the 64 test files of its planted world, two draws of each."""

    def measure(name: str, *, epochs: int, null: Any = "none") -> float:
        root = worlds[PLANTED[name]]
        monkeypatch.setenv("AVSSL_CACHE", str(root.parent / "cache"))
        module = load(RECIPES / f"{name}.py")
        out = tmp_path / "run"
        train = Train(epochs=epochs, lr=3e-3, out=out, device="cpu", probe_every=1000, checkpoint_every=1000)
        config = module.Config(size=16, **KNOBS[name])
        run = module.main(replace(config, data=Data(root=root, null=null), train=train))
        lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        *_, value = [f["value"] for f in lines if f["kind"] == "probe" and f["name"] == "held-out accuracy"]
        return float(value)

    return measure


def standard_error(name: str) -> float:
    """Of the accuracy of guessing; the two sounds of a multisensory example have one answer, so n is 128 for all."""
    chance = 1 / CLASSES[name]
    return math.sqrt(chance * (1 - chance) / 128)


EPOCHS = {"pace": 20, "vcop": 20, "shuffle_and_learn": 30, "multisensory": 40}


@pytest.mark.parametrize("name", EPOCHS)
def test_the_task_is_solved_where_there_is_a_signal(name: str, held_out_accuracy: Callable[..., float]) -> None:
    accuracy = held_out_accuracy(name, epochs=EPOCHS[name])
    assert accuracy > 1 / CLASSES[name] + 5 * standard_error(name)
    assert accuracy > 0.7


NULLS = [(name, null) for name in ("pace", "vcop", "shuffle_and_learn") for null in ("frozen", "noise")]


@pytest.mark.parametrize(("name", "null"), [*NULLS, ("multisensory", "foreign-sound")])
def test_the_task_is_at_chance_without_its_signal(
    name: str, null: str, held_out_accuracy: Callable[..., float]
) -> None:
    accuracy = held_out_accuracy(name, epochs=EPOCHS[name] // 2, null=null)
    assert abs(accuracy - 1 / CLASSES[name]) < 3 * standard_error(name)
