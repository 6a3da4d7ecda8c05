"""Where a camera was, read from a table beside its film."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from avssl.core import MediaError, Trajectory
from avssl.samplers import rotations

__all__ = ["MATRIX", "PLACE", "TURN", "read_poses", "write_poses"]

PLACE = ("x", "y", "z")
"""Where the camera is, in any unit of length: x to the right, y down, z forward."""
TURN = ("yaw", "pitch", "roll")
"""How it is turned, in rad, about y, then about x, then about z, each in its own axes (`avssl.samplers.rotations`)."""
MATRIX = tuple(f"m{k}" for k in range(12))
"""The 12 numbers of a line of KITTI's poses: [R | t], row by row, from the camera's axes to the world's."""


def read_poses(path: Path) -> Trajectory:
    """Read a CSV file with a column `time` (s of the film's clock, rising), and either any of `x, y, z, yaw, pitch,
    roll` (those not given are 0) or `m0` to `m11`.

    For KITTI's odometry (Geiger et al., CVPR 2012) join its `times.txt` and the twelve numbers of `poses/NN.txt`. A
    pose belongs to the frame in the middle of whose display it lies: add half a frame to times at which frames begin.

    Raises:
        MediaError: the file is missing, or is no such table.
    """
    remedy = f"give 'time' with some of {', '.join(PLACE + TURN)}, or with m0 … m11"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            names = [name.strip() for name in next(reader, [])]
            if "time" not in names or not set(names) & {*PLACE, *TURN, *MATRIX}:
                raise ValueError(f"its columns are {names}")
            table = np.array([_numbers(row, len(names), reader.line_num) for row in reader if row])
        if not len(table):
            raise ValueError("it has no line of numbers")
        columns = dict(zip(names, table.T, strict=True))
        return Trajectory(columns.pop("time"), _poses(columns, len(table)))
    except (OSError, ValueError, csv.Error) as e:
        raise MediaError(path, f"is no table of poses ({e})", remedy) from e


def _numbers(row: list[str], count: int, line: int) -> list[float]:
    if len(row) != count:
        raise ValueError(f"line {line} has {len(row)} cells for {count} columns")
    try:
        return [float(cell) for cell in row]
    except ValueError as e:
        raise ValueError(f"line {line}: {e}") from None


def write_poses(path: Path, camera: Trajectory) -> None:
    """Write what `read_poses` reads, of any trajectory."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["time", *MATRIX])
        for instant, pose in zip(camera.times.tolist(), camera.poses.reshape(-1, 12).tolist(), strict=True):
            table.writerow([instant, *pose])


def _poses(columns: dict[str, np.ndarray], n: int) -> np.ndarray:
    if "m0" in columns:
        if missing := [name for name in MATRIX if name not in columns]:
            raise ValueError(f"m0 without {missing}")
        matrix: np.ndarray = np.stack([columns[name] for name in MATRIX], axis=1).reshape(n, 3, 4)
        return matrix
    none = np.zeros(n)
    place = np.stack([columns.get(name, none) for name in PLACE], axis=1)
    turned = rotations(np.stack([columns.get(name, none) for name in TURN], axis=1))
    return np.concatenate((turned, place[:, :, None]), axis=2)
