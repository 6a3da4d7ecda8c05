"""The motion of a camera and moments of several cameras: labels by hand, mirror images, companions, tables of poses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avssl.core import MediaError, MediaInfo, Plan, Span, Trajectory, Unfit, generator
from avssl.data import Clips, Item
from avssl.data.poses import read_poses
from avssl.samplers import AXES, CameraMotion, CloseMoments, Frozen, SharedMoments, Stages, camera_motion, rotations
from avssl.transforms import HorizontalFlip, RandomCrop

INFO = MediaInfo(duration=4.0, fps=10.0, frames=40, height=32, width=32)


def wandering(seed: int = 0, n: int = 40) -> Trajectory:
    rng = generator(seed)
    times = (np.arange(n) + 0.5) / 10
    numbers = np.cumsum(rng.normal(0, 0.1, (n, 6)), axis=0)
    return Trajectory(times, np.concatenate((rotations(numbers[:, 3:]), numbers[:, :3, None]), axis=2))


FILMED = replace(INFO, camera=wandering())


# ------------------------------------------------------------------------------------------------ trajectories


@pytest.mark.parametrize(("axis", "k"), [("yaw", 0), ("pitch", 1), ("roll", 2)])
def test_each_angle_turns_about_its_own_axis(axis: str, k: int) -> None:
    angles = np.zeros(3)
    angles[k] = 0.3
    turned = rotations(angles)
    own = {"yaw": 1, "pitch": 0, "roll": 2}[axis]
    assert turned[:, own].tolist() == np.eye(3)[own].tolist()
    assert np.allclose(turned @ turned.T, np.eye(3))
    assert np.linalg.det(turned) == pytest.approx(1)
    sought = {"yaw": turned[0, 2], "pitch": -turned[1, 2], "roll": turned[1, 0]}[axis]
    assert sought == pytest.approx(np.sin(0.3))  # to the right, up, clockwise as the camera sees it


def test_motion_is_seen_in_the_axes_the_camera_had_at_first() -> None:
    quarter = rotations(np.array([[np.pi / 2, 0, 0], [np.pi / 2, 0, 0.2]]))  # it looks along the world's x axis
    poses = np.concatenate((quarter, np.array([[[0.0], [0], [0]], [[3], [1], [2]]])), axis=2)
    moved = camera_motion(Trajectory(np.array([0.0, 1.0]), poses), 0.0, 1.0)
    expected = {"x": -2, "y": 1, "z": 3, "yaw": 0, "pitch": 0, "roll": 0.2}
    assert moved == pytest.approx(expected, abs=1e-9)


def test_a_pose_between_two_is_half_of_the_way() -> None:
    angles = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.3]])
    camera = Trajectory(
        np.array([1.0, 2.0]),
        np.concatenate((rotations(angles), np.array([[[0.0], [0], [0]], [[2], [0], [4]]])), axis=2),
    )
    half = camera.at(1.5)
    assert half[:, 3].tolist() == pytest.approx([1, 0, 2])
    assert np.allclose(half[:, :3], rotations(np.array([0.2, 0.2, 0.3])), atol=2e-3)
    assert np.allclose(camera.at(0.0), camera.poses[0])
    assert np.allclose(camera.at(9.0), camera.poses[1])


def test_a_stretch_starts_its_clock_anew_and_shares_the_numbers() -> None:
    whole = wandering()
    part = whole.stretch(1.25, 2.5)
    for instant in (0.0, 0.3, 1.2):
        assert np.allclose(part.at(instant), whole.at(1.25 + instant))
    assert len(part.times) < 16
    assert np.shares_memory(part.poses, whole.poses)


# ------------------------------------------------------------------------------------------------ the sampler


def test_labels_are_those_of_the_two_instants() -> None:
    sampler = CameraMotion(longest=0.7, axes=AXES)
    apart = set()
    for seed in range(300):
        plan = sampler(FILMED, generator(seed))
        first, second = (span.times[0] for span in plan.spans)
        assert FILMED.camera is not None
        assert dict(plan.labels) == pytest.approx(camera_motion(FILMED.camera, first, second))
        apart.add(round((second - first) * 10))
    assert apart == {-7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7}


def in_mirror(camera: Trajectory) -> Trajectory:
    """What a camera with left and right exchanged saw of a world that is so, too."""
    flip = np.diag([-1.0, 1.0, 1.0])
    return Trajectory(
        camera.times, np.concatenate((flip @ camera.poses[:, :, :3] @ flip, flip @ camera.poses[:, :, 3:]), 2)
    )


def test_a_mirror_image_has_the_labels_of_a_mirrored_world() -> None:
    sampler = CameraMotion(axes=AXES)
    other = replace(FILMED, camera=in_mirror(wandering()))
    for seed in range(20):
        plan, turned = sampler(FILMED, generator(seed)), sampler(other, generator(seed))
        flipped = HorizontalFlip(scope="sample", p=1).draw(plan, FILMED, generator(seed))
        assert dict(flipped.labels) == pytest.approx(dict(turned.labels))
        assert HorizontalFlip(scope="sample", p=0).draw(plan, FILMED, generator(seed)).labels == plan.labels
        assert flipped.in_mirror().labels == plan.labels
        assert {k for k in AXES if flipped.labels[k] == -plan.labels[k]} == {"x", "yaw", "roll"}  # type: ignore[operator]


def test_half_of_a_pair_is_never_mirrored_alone() -> None:
    plan = CameraMotion()(FILMED, generator(0))
    for flip in (HorizontalFlip(), HorizontalFlip(scope="frame"), HorizontalFlip(scope="sample", only=(0,))):
        with pytest.raises(ValueError, match="where left is"):
            flip.draw(plan, FILMED, generator(0))


def test_mirrored_labels_must_be_labels() -> None:
    with pytest.raises(ValueError, match="'x'"):
        Plan(spans=(Span(times=(0.0,)),), mirrored={"x": 1.0})


def test_both_frames_share_their_crop() -> None:
    crop = RandomCrop(24, short_side=28, scope="sample")
    plan = crop.draw(CameraMotion()(FILMED, generator(0)), FILMED, generator(1))
    assert plan.spans[0].boxes == plan.spans[1].boxes


def test_files_without_poses_or_too_short_are_unfit() -> None:
    assert "column 'poses'" in CameraMotion().unfit(INFO)
    assert "with poses" in CameraMotion().unfit(replace(INFO, camera=wandering(n=7)))
    assert not CameraMotion().unfit(replace(INFO, camera=wandering(n=8)))


# ------------------------------------------------------------------------------------------------ moments


def item(index: int, *, scene: str = "", info: MediaInfo = INFO) -> Item:
    return Item(path=Path(f"{index}.mp4"), index=index, info=info, columns={"scene": scene, "label": "a"})


def test_moments_of_one_film_lie_close_in_pairs() -> None:
    sampler = CloseMoments(n=4, radius=0.35, frames=2)
    for seed in range(50):
        plan = sampler(INFO, generator(seed))
        times = plan.labels["time"]
        assert isinstance(times, tuple)
        assert [s.times[0] for s in plan.spans] == pytest.approx([t + 0.05 for t in times])
        for a, b in zip(times[::2], times[1::2], strict=True):
            assert 0.09 < abs(a - b) < 0.31
    assert "lie within" in replace(sampler, radius=0.01).unfit(INFO)


def test_moments_of_two_films_are_the_same() -> None:
    other = replace(INFO, fps=25.0, frames=75, duration=3.0)
    for seed in range(50):
        plan = SharedMoments(n=3, frames=1)(replace(INFO, others=(other,)), generator(seed))
        assert plan.labels["view"] == (0, 1, 0, 1, 0, 1)
        assert [s.file for s in plan.spans] == [0, 1, 0, 1, 0, 1]
        for a, b in zip(plan.spans[::2], plan.spans[1::2], strict=True):
            assert abs(a.times[0] - b.times[0]) <= 0.5 / 25 + 1e-9
            assert b.times[0] < 3.0
    with pytest.raises(Unfit, match="another camera"):
        SharedMoments()(INFO, generator(0))


def test_further_files_share_the_scene() -> None:
    items = [item(k, scene=f"s{k // 3}") for k in range(12)]
    for sampler in (SharedMoments(), Frozen(SharedMoments()), Stages(((0, CloseMoments()), (1, SharedMoments())))):
        clips = Clips.of(items, sampler)
        drawn = {k: {clips.plan(k, epoch=e)[1][1].index for e in range(1, 30)} for k in range(12)}
        assert drawn == {k: {3 * (k // 3) + j for j in range(3)} - {k} for k in range(12)}


def test_files_without_a_companion_are_left_out_and_named() -> None:
    short = replace(INFO, duration=0.5, frames=5)
    items = [item(0, scene="a"), item(1, scene="a"), item(2, scene="b"), item(3), item(4, scene="c")]
    items.append(item(5, scene="c", info=short))  # it cannot be cut, so number 4 is alone
    clips = Clips.of(items, SharedMoments(frames=8))
    assert [i.index for i in clips.items] == [0, 1]
    told = [str(e) for e in clips.unfit]
    assert "2.mp4: 0 other files share its scene 'b'" in told[0]
    assert "3.mp4: has no 'scene'" in told[1]
    assert "4.mp4: 0 other files" in told[2]
    assert "5.mp4: 0.5 s long" in told[3]
    with pytest.raises(MediaError, match=r"2\.mp4"):
        Clips.of(items, SharedMoments(frames=8), damaged="stop")


# ------------------------------------------------------------------------------------------------ tables


def test_tables_of_poses(tmp_path: Path) -> None:
    path = tmp_path / "poses.csv"
    path.write_text("time,x,z,yaw\n0,0,0,0\n0.5,1,2,0.1\n")
    camera = read_poses(path)
    assert camera_motion(camera, 0, 0.5) == pytest.approx({"x": 1, "y": 0, "z": 2, "yaw": 0.1, "pitch": 0, "roll": 0})
    names = ",".join(f"m{k}" for k in range(12))
    lines = [",".join(str(x) for x in (t, *camera.at(t).flatten())) for t in (0.0, 0.5)]
    path.write_text(f"time,{names}\n" + "\n".join(lines))
    assert np.allclose(read_poses(path).poses, camera.poses)


mirrored = "".join(f"\n{t},-1,0,0,0,0,1,0,0,0,0,1,0" for t in (0, 1))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("time,x\n0,1\n0,2\n", "must rise"),
        ("x,y\n0,1\n1,2\n", "its columns"),
        ("time,x\n0,1\n1\n", r"poses\.csv: .*line 3 has 1 cells for 2 columns"),
        ("time,x\n0,a\n1,2\n", r"poses\.csv: .*line 2: .*'a'"),
        ("time,x\n", "no line of numbers"),
        ("time,m0\n0,1\n1,1\n", "m11"),
        ("time," + ",".join(f"m{k}" for k in range(12)) + mirrored, "mirror images"),
        ("time," + ",".join(f"m{k}" for k in range(12)) + "\n0" + ",2" * 12 + "\n1" + ",2" * 12, "rotation"),
    ],
)
def test_wrong_tables_say_what_is_wrong(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "poses.csv"
    path.write_text(text)
    with pytest.raises(MediaError, match=what):
        read_poses(path)
    with pytest.raises(MediaError, match=r"none\.csv"):
        read_poses(tmp_path / "none.csv")
