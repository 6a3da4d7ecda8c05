"""Where a camera was, read from a table beside its film."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from avssl.core import MediaError, Trajectory
from avssl.samplers import rotations

__all__ = ["MATRIX", "PLACE", "TURN", "read_poses"]

PLACE = ("x", "y", "z")
"""Where the camera is, in any unit of length: x to the right, y down, z forward."""
TURN = ("yaw", "pitch", "roll")
"""How it is turned, in rad, about y, then about x, then about z, each in its own axes (`avssl.samplers.rotations`)."""
MATRIX = tuple(f"m{k}" for k in range(12))
"""The 12 numbers of a line of KITTI's poses: [R | t], row by row, from the camera's axes to the world's."""


def read_poses(path: Path) -> Trajectory:
    """Read a CSV file with a column `time` (s of the film's clock, rising), and either any of `x, y, z, yaw, pitch,
    roll` (those not given are 0) or `m0` to `m11`.

    For KITTI's odometry (Geiger et al., CVPR 2012) join its `times.txt` and the twelve numbers of `poses/NN.txt`.

    Raises:
        MediaError: the file is missing, or is no such table.
    """
    remedy = f"give 'time' with some of {', '.join(PLACE + TURN)}, or with m0 … m11"
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            names = [name.strip() for name in next(reader, [])]
            table = np.array([[float(cell) for cell in row] for row in reader if row])
        if "time" not in names or not set(names) & {*PLACE, *TURN, *MATRIX}:
            raise ValueError(f"its columns are {names}")
        if table.shape[1:] != (len(names),):
            raise ValueError(f"{len(names)} columns with numbers of shape {table.shape}")
        columns = dict(zip(names, table.T, strict=True))
        return Trajectory(columns.pop("time"), _poses(columns, len(table)))
    except (OSError, ValueError, csv.Error) as e:
        raise MediaError(path, f"is no table of poses ({e})", remedy) from e


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
