"""What is true of each clip of a toybox, kept beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avssl.core import MediaError
from avssl.media.toybox.choice import Toybox
from avssl.media.toybox.drawing import Scene
from avssl.media.toybox.picture import frame_times

__all__ = ["Truth", "poses_path", "read_truth", "scene_truth", "truth_path", "write_poses", "write_truth"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is true of a clip; frames are shown at `times` (T,) s, the middle of their display.

    `position` (T, 2) is x, y of the thing's middle in parts of the picture (0..1, y down), `velocity` (T, 2) per s and
    `radius` (T,) likewise. `impacts` (k,) s are the instants at which something strikes, `speeds` (k,) how fast;
    `heard` (k',) s are those of the sound, which differ only if the sound is shuffled, and are none if it is silent.
    """

    motion: str
    appearance: str
    timbre: str
    group: str
    times: Array
    impacts: Array
    speeds: Array
    heard: Array
    position: Array
    velocity: Array
    radius: Array


def scene_truth(scene: Scene, toybox: Toybox) -> Truth:
    """What is true of a scene."""
    times = frame_times(toybox)
    state = scene.at(times)
    return Truth(
        motion=scene.role.motion,
        appearance=scene.role.shape,
        timbre=scene.role.timbre,
        group=scene.role.group,
        times=times,
        impacts=scene.motion.impacts,
        speeds=scene.motion.speeds,
        heard=np.zeros(0) if toybox.silent else scene.sounding.impacts,
        position=state.position,
        velocity=state.velocity,
        radius=state.radius,
    )


def poses_path(clip: Path) -> Path:
    """Where the poses of the camera that filmed a clip are kept, if it is known."""
    return truth_path(clip).with_suffix(".csv")


def write_poses(path: Path, scene: Scene, toybox: Toybox) -> None:
    """Write where the camera of a scene is when each frame is shown: time (s), x, y, z and roll (rad), as CSV."""
    assert scene.camera is not None  # only asked where there is one
    times = frame_times(toybox)
    view = scene.camera.at(scene.clock(times))
    table = np.column_stack((times, view.centre - 0.5, 1 - view.scale, view.angle))
    np.savetxt(path, table, fmt="%.6f", delimiter=",", header="time,x,y,z,roll", comments="")


def truth_path(clip: Path) -> Path:
    """Where the truth of a clip is kept."""
    return clip.parent.parent / "truth" / f"{clip.stem}.json"


def write_truth(path: Path, known: Truth) -> None:
    """Write what is true of a clip as JSON."""
    plain = {k: v.round(6).tolist() if isinstance(v, np.ndarray) else v for k, v in vars(known).items()}
    path.write_text(json.dumps(plain))


def read_truth(clip: Path) -> Truth:
    """What is true of a clip of a toybox, by the clip's path.

    Raises:
        MediaError: the clip is none of a toybox.
    """
    path = truth_path(clip)
    if not path.is_file():
        raise MediaError(clip, f"has no truth at {path}", "ask for a clip that make_toybox made")
    plain = json.loads(path.read_text())

    def numbers(name: str) -> Array:
        return np.array(plain[name], np.float64)

    return Truth(
        motion=plain["motion"],
        appearance=plain["appearance"],
        timbre=plain["timbre"],
        group=plain["group"],
        times=numbers("times"),
        impacts=numbers("impacts"),
        speeds=numbers("speeds"),
        heard=numbers("heard"),
        position=numbers("position"),
        velocity=numbers("velocity"),
        radius=numbers("radius"),
    )
