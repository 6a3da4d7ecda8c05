"""How did the camera move from this frame to that one?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avssl.core import MediaInfo, Plan, Rng, Sampler, Span, Trajectory
from avssl.samplers.grid import Grid, Starts, check, grid_of, too_short

__all__ = ["AXES", "CameraMotion", "camera_motion", "rotations"]

AXES = ("x", "y", "z", "yaw", "pitch", "roll")
"""Of the camera: x to the right, y down and z forward; yaw, pitch and roll (rad) about y, x and z."""

_MIRRORED = ("x", "yaw", "roll")
"""What has the other sign in a mirror image."""


def rotations(angles: np.ndarray) -> np.ndarray:
    """Angles (*, 3) of yaw, pitch and roll (rad) as rotations (*, 3, 3): about y, then x, then z, in turned axes."""
    (cy, cp, cr), (sy, sp, sr) = (np.moveaxis(f(angles), -1, 0) for f in (np.cos, np.sin))
    rows = [
        [cy * cr + sy * sp * sr, sy * sp * cr - cy * sr, sy * cp],
        [cp * sr, cp * cr, -sp],
        [cy * sp * sr - sy * cr, sy * sr + cy * sp * cr, cy * cp],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def camera_motion(camera: Trajectory, start: float, end: float) -> dict[str, float]:
    """What a camera did from one instant (s) to another, by axis, seen in the axes that it had at first."""
    before, after = camera.at(start), camera.at(end)
    moved = before[:, :3].T @ (after[:, 3] - before[:, 3])
    turned = before[:, :3].T @ after[:, :3]
    yaw = np.arctan2(turned[0, 2], turned[2, 2])
    pitch = -np.arcsin(np.clip(turned[1, 2], -1, 1))
    roll = np.arctan2(turned[1, 0], turned[1, 1])
    return dict(zip(AXES, (float(v) for v in (*moved, yaw, pitch, roll)), strict=True))


@dataclass(frozen=True, kw_only=True)
class CameraMotion(Sampler):
    """Two frames (S = 2, T = 1) and how the camera moved from one to the other, a label for each of the axes.

    The distance is uniform from one frame to `longest`, and either frame is the first, so that neither the order nor a
    steady speed says more than the pictures do. In a mirror image x, yaw and roll have the other sign. Agrawal,
    Carreira and Malik, ICCV 2015, arXiv:1505.01596, section 4.
    """

    longest: float = 0.7
    """Seconds between the frames, at most (7 frames at KITTI's 10 Hz)."""
    axes: tuple[str, ...] = ("x", "z", "yaw")
    """Of `AXES`, those that are told."""

    def __post_init__(self) -> None:
        check(self.longest > 0, f"longest {self.longest} s: must be > 0")
        known = len(set(self.axes)) == len(self.axes) > 0 and set(self.axes) <= set(AXES)
        check(known, f"axes {self.axes}: must be one or more of {AXES}, none twice")

    def _most(self, grid: Grid) -> int:
        return max(1, int(self.longest * grid.rate + 1e-6))

    def _starts(self, info: MediaInfo, camera: Trajectory) -> Starts:
        """The first and the last frame of which the pose is known."""
        grid, slack = grid_of(info), 0.5
        first = int(np.ceil(camera.times[0] * grid.rate - 0.5 - slack - 1e-6))
        last = int(np.floor(camera.times[-1] * grid.rate - 0.5 + slack + 1e-6))
        return Starts(max(0, first), min(grid.count - 1, last))

    def unfit(self, info: MediaInfo) -> str:
        """Why this file cannot be cut so, or ''."""
        if not info.has_video or info.is_picture:
            return "has no moving frames: leave the file out"
        if info.camera is None:
            return "is not known to have poses: name a table of them in the manifest's column 'poses'"
        grid, places = grid_of(info), self._starts(info, info.camera)
        need = self._most(grid) + 1
        return too_short(len(places) / grid.rate, need / grid.rate, "with poses") if len(places) < need else ""

    def __call__(self, info: MediaInfo, rng: Rng, /) -> Plan:
        """Draw a plan.

        Raises:
            Unfit: the file is too short, or its camera's poses are not known.
        """
        self.require(info)
        assert info.camera is not None  # seen to just before
        grid, places = grid_of(info), self._starts(info, info.camera)
        apart = int(rng.integers(1, self._most(grid) + 1))
        start = int(rng.integers(places.first, places.last - apart + 1))
        pair = (start, start + apart) if rng.random() < 0.5 else (start + apart, start)
        first, second = (grid.middle(k) for k in pair)
        moved = camera_motion(info.camera, first, second)
        labels = {axis: moved[axis] for axis in self.axes}
        mirrored = {axis: -moved[axis] for axis in self.axes if axis in _MIRRORED}
        return Plan(spans=(Span(times=(first,)), Span(times=(second,))), labels=labels, mirrored=mirrored)
