"""How well masks and joints are met: J and F of DAVIS, and PCK."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import distance_transform_edt

__all__ = ["boundary", "boundary_f", "correct_joints", "jaccard", "person_size"]


def jaccard(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """J, the overlap of masks (*, H, W) divided by their union (*,); 1 where both are empty.

    Perazzi et al., CVPR 2016, section 4.

    Raises:
        ValueError: the shapes differ.
    """
    a, b = _pair(found, truth)
    both, either = (a & b).sum(axis=(-2, -1)), (a | b).sum(axis=(-2, -1))
    share: np.ndarray = np.where(either > 0, both / np.maximum(either, 1), 1.0)
    return share


def boundary(mask: np.ndarray) -> np.ndarray:
    """The pixels (H, W) of a mask that differ from their neighbour to the right, below or diagonally below."""
    m = np.asarray(mask, bool)
    wide = np.pad(m, ((0, 1), (0, 1)), mode="edge")
    edge: np.ndarray = (m ^ wide[:-1, 1:]) | (m ^ wide[1:, :-1]) | (m ^ wide[1:, 1:])
    return edge


def boundary_f(found: np.ndarray, truth: np.ndarray, *, tolerance: float = 0.008) -> float:
    """F, the harmonic mean of precision and recall of the boundary pixels of masks (H, W).

    A boundary pixel counts as met if the other mask has one no farther than `tolerance` times the frame's diagonal,
    rounded up to pixels. Without any boundary on either side F is 1, with one on one side only it is 0. Perazzi et al.,
    CVPR 2016, section 4, with the tolerance of the DAVIS benchmark.

    Raises:
        ValueError: the shapes differ, or `tolerance` is not positive.
    """
    a, b = (boundary(m) for m in _pair(found, truth))
    if tolerance <= 0:
        raise ValueError(f"tolerance {tolerance}: must be > 0")
    if not (a.any() and b.any()):
        return float(a.any() == b.any())
    reach = math.ceil(tolerance * math.hypot(*a.shape))
    precision = float((distance_transform_edt(~b)[a] <= reach).mean())
    recall = float((distance_transform_edt(~a)[b] <= reach).mean())
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def person_size(joints: np.ndarray) -> np.ndarray:
    """The size (*,) of persons by which PCK divides: 0.6 times the diagonal of the box around joints (*, J, 2).

    As label propagation on JHMDB is evaluated since TimeCycle (Wang et al., CVPR 2019, arXiv:1903.07593).
    """
    size: np.ndarray = 0.6 * np.linalg.norm(joints.max(axis=-2) - joints.min(axis=-2), axis=-1)
    return size


def correct_joints(found: np.ndarray, truth: np.ndarray, *, within: float) -> np.ndarray:
    """Which joints (*, J) of `found` (*, J, 2) lie no farther from the truth than `within` times the person's size.

    A joint that was not found is NaN, and not correct.

    Raises:
        ValueError: the shapes differ.
    """
    if found.shape != truth.shape or found.shape[-1] != 2:
        raise ValueError(f"joints of shape {found.shape} for a truth of {truth.shape}: both must be (*, J, 2)")
    distance = np.linalg.norm(found - truth, axis=-1)
    met: np.ndarray = distance <= within * person_size(truth)[..., None]  # NaN is never ≤
    return met


def _pair(found: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if found.shape != truth.shape:
        raise ValueError(f"masks of shape {found.shape} for a truth of {truth.shape}: both must be (*, H, W)")
    return np.asarray(found, bool), np.asarray(truth, bool)
