"""Cameras over the toybox: their poses map one picture onto another, and toyboxes without them stay what they were."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avssl.core import Trajectory
from avssl.data import catalogue
from avssl.data.poses import read_poses
from avssl.media.toybox import ONE_WAY_MOTIONS, Scene, Toybox, cast, draw_scene, frames, make_toybox, scene_truth, sound
from avssl.media.toybox.facts import write_poses
from avssl.samplers import CameraMotion, SharedMoments, camera_motion

PLAIN = Toybox(train=3, test=0, seconds=1.5, distractors=0, silent=True, motions=("static",))
MOVING, PAIR = replace(PLAIN, moving_camera=True), replace(PLAIN, cameras=2)


def scenes(toybox: Toybox) -> list[Scene]:
    return [draw_scene(toybox, role) for role in cast(toybox)]


def poses(scene: Scene, toybox: Toybox, folder: Path) -> Trajectory:
    write_poses(folder / "poses.csv", scene, toybox)
    return read_poses(folder / "poses.csv")


def seen_from(picture: np.ndarray, own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a camera of pose `own` would show of a flat world one unit ahead of the origin, of which another camera of
    pose `other` has the picture (H, W, 3); and where that picture reaches, (H, W).

    Plain pinhole geometry: whose picture is as wide as what it looks at is far away.
    """
    size = len(picture)
    middle = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(middle, middle)
    rays = np.stack((x, y, np.ones_like(x)), -1) @ own[:, :3].T
    world = own[:, 3] + rays * ((1 - own[2, 3]) / rays[..., 2])[..., None]
    local = (world - other[:, 3]) @ other[:, :3]
    place = (local[..., :2] / local[..., 2:] + 0.5) * size - 0.5
    inside = ((place >= 0) & (place <= size - 1)).all(axis=-1)
    whole = np.clip(np.floor(place).astype(int), 0, size - 2)
    (fx, fy), (px, py) = np.moveaxis(place - whole, -1, 0)[..., None], np.moveaxis(whole, -1, 0)
    upper = picture[py, px] * (1 - fx) + picture[py, px + 1] * fx
    lower = picture[py + 1, px] * (1 - fx) + picture[py + 1, px + 1] * fx
    return upper * (1 - fy) + lower * fy, inside


def errors(shown: np.ndarray, other: np.ndarray, own_pose: np.ndarray, other_pose: np.ndarray) -> tuple[float, float]:
    """Mean difference of two pictures where they overlap: through their poses, and as they are."""
    found, inside = seen_from(other.astype(float), own_pose, other_pose)
    assert inside.mean() > 0.4
    through, plainly = (np.abs(x - shown.astype(float))[inside].mean() for x in (found, other))
    return float(through), float(plainly)


def test_poses_of_a_moving_camera_map_its_frames_onto_each_other(tmp_path: Path) -> None:
    for scene in scenes(MOVING):
        film, camera = frames(scene, MOVING), poses(scene, MOVING, tmp_path)
        for i, j in ((0, 7), (20, 13)):
            through, plainly = errors(film[i], film[j], camera.poses[i], camera.poses[j])
            assert through < 0.3 * plainly


def test_poses_of_two_cameras_map_their_pictures_onto_each_other(tmp_path: Path) -> None:
    toybox = replace(PAIR, drifting_camera=False)
    drawn = scenes(toybox)
    for first, second in zip(drawn[::2], drawn[1::2], strict=True):
        films = [frames(s, toybox)[5] for s in (first, second)]
        a, b = (poses(s, toybox, tmp_path).poses[5] for s in (first, second))
        through, plainly = errors(films[0], films[1], a, b)
        assert through < 0.4 * plainly  # the second sees all a third smaller, and so less sharply
        assert sound(first, toybox).tolist() == sound(second, toybox).tolist()


def test_the_first_of_two_cameras_sees_what_a_single_one_does() -> None:
    for drifting in (False, True):
        alone, pair = (replace(t, drifting_camera=drifting) for t in (PLAIN, PAIR))
        for one, first in zip(scenes(alone), scenes(pair)[::2], strict=True):
            difference = np.abs(frames(one, alone).astype(int) - frames(first, pair))
            assert difference.max() <= 1


@pytest.mark.parametrize("toybox", [MOVING, PAIR, replace(PAIR, moving_camera=True)], ids=["moving", "two", "both"])
def test_the_truth_is_that_of_the_picture(toybox: Toybox) -> None:
    toybox = replace(toybox, motions=("slow_orbit",), fps=64)
    for scene in scenes(toybox):
        truth = scene_truth(scene, toybox)
        slope = np.gradient(truth.position, truth.times, axis=0)[1:-1]
        assert np.allclose(truth.velocity[1:-1], slope, atol=0.01)


def test_the_thing_in_front_does_not_change_how_the_camera_moved(tmp_path: Path) -> None:
    still, busy = MOVING, replace(MOVING, motions=("zigzag",))
    for a, b in zip(scenes(still), scenes(busy), strict=True):
        one, other = poses(a, still, tmp_path), poses(b, busy, tmp_path)
        assert np.array_equal(one.poses, other.poses)


def test_cameras_move_far_enough_to_be_seen_and_either_way(tmp_path: Path) -> None:
    toybox = replace(MOVING, train=30)
    told: dict[str, list[float]] = {}
    for k, scene in enumerate(scenes(toybox)):
        camera = poses(scene, toybox, tmp_path)
        for axis, value in camera_motion(camera, 0.3, 0.3 + 0.25 + 0.01 * k).items():
            told.setdefault(axis, []).append(value)
    for axis in ("x", "y", "z", "roll"):
        values = np.array(told[axis])
        assert values.std() * toybox.size > 2  # pixels, or parts of a turn that move the edges so much
        assert 0.2 < (values > 0).mean() < 0.8
    assert max(map(abs, told["yaw"] + told["pitch"])) < 1e-6


def test_the_manifest_tells_scenes_cameras_and_poses(tmp_path: Path) -> None:
    folder = make_toybox(Toybox(train=2, test=1, seconds=1.0, cameras=2, moving_camera=True, silent=True), tmp_path)
    found = catalogue(folder)
    assert len(found) == 6
    assert found.column("scene") == [x for s in ("train-00000", "train-00001", "test-00000") for x in (s, s)]
    assert found.column("camera") == ["0", "1"] * 3
    sampler = CameraMotion(longest=0.4, axes=("x", "y", "z", "roll"))
    for item in found:
        assert item.info.camera is not None
        assert not sampler.unfit(item.info)
        own = read_poses(folder / "truth" / f"{item.path.stem}.csv")
        assert np.allclose(item.info.camera.at(0.7), own.at(0.7))
    assert not SharedMoments(frames=2).unfit(found.items[0].info)


def test_toyboxes_without_cameras_keep_their_names_and_pictures(tmp_path: Path) -> None:
    assert Toybox().name == "toybox-74d48ae76299"  # as made before there were cameras; kept in caches under this name
    assert Toybox(motions=ONE_WAY_MOTIONS).name == "toybox-7d42215531f0"
    assert len({t.name for t in (Toybox(), Toybox(cameras=2), Toybox(moving_camera=True))}) == 3
    assert all(s.camera is None for s in scenes(PLAIN))
    folder = make_toybox(Toybox(train=1, test=0, seconds=0.5), tmp_path)
    assert (folder / "manifest.csv").read_text().splitlines()[0] == "path,label,split,group,appearance,timbre"
    assert not list((folder / "truth").glob("*.csv"))


def test_wrong_numbers_of_cameras_are_refused() -> None:
    with pytest.raises(ValueError, match="cameras = 0"):
        Toybox(cameras=0)
