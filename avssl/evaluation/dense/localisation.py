"""Sound localisation: where in the frame is what sounds, by how well each place fits the sound?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from avssl.evaluation.dense.measured import Measured

__all__ = ["Localisation", "centre_blob", "consensus_iou", "highest", "localisation", "pointed", "upper_half"]

EDGES = {"small": 32**2, "medium": 96**2, "large": 144**2}
"""Areas of the truth up to which it is called so, in pixels of 224 × 224: Mo and Morgado, NeurIPS 2022,
arXiv:2209.09634; beyond the last it is huge."""


@dataclass(frozen=True, kw_only=True)
class Localisation:
    """cIoU as in Senocak et al., CVPR 2018, arXiv:1803.03849, on the upper half of each map, as in Chen et al., CVPR
    2021, arXiv:2104.02691. Half of the frame in its middle scores well: read it beside the centre blob."""

    success: float = 0.5
    """The cIoU from which on an item counts as localised."""
    thresholds: int = 21
    """Even steps of cIoU from 0 to 1 over which the area under the success curve is taken (trapezoids)."""
    side: int = 224
    """Height and width to which the map and the truth are brought, pixels."""

    def __post_init__(self) -> None:
        if not 0 < self.success <= 1 or self.thresholds < 2 or self.side < 2:
            raise ValueError(f"{self}: success must be in (0, 1], thresholds and side ≥ 2")


DEFAULT = Localisation()


def upper_half(values: np.ndarray) -> np.ndarray:
    """Where a map (H, W) is above its median (the upper one, of an even number); nowhere, if it is constant."""
    flat = np.sort(values, axis=None)
    above: np.ndarray = values > flat[flat.size // 2]
    return above


def highest(values: np.ndarray, count: int) -> np.ndarray:
    """Where a map (H, W) is among its `count` highest pixels; those that tie with the next one are not."""
    flat = np.sort(values, axis=None)
    chosen: np.ndarray = values > flat[-count - 1] if count < flat.size else np.ones(values.shape, bool)
    return chosen


def pointed(values: np.ndarray, truth: np.ndarray) -> float:
    """Whether the highest pixel of a map (H, W) lies where the truth is above 0; of several, the share that do.

    The pointing game of Zhang et al., ECCV 2016, arXiv:1608.00507, without a margin.
    """
    return float((truth[values == values.max()] > 0).mean())


def consensus_iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """cIoU of a prediction (H, W) of 0 and 1 and a truth (H, W) in 0…1, the share of annotators who agree.

    Σ truth inside the prediction / (Σ truth + predicted pixels where the truth is 0); 1 where both are empty.

    Raises:
        ValueError: the shapes differ.
    """
    if predicted.shape != truth.shape or predicted.ndim != 2:
        raise ValueError(f"prediction {predicted.shape} for a truth of {truth.shape}: both must be (H, W)")
    chosen = np.asarray(predicted, bool)
    below = float(truth.sum() + (chosen & (truth == 0)).sum())
    return float(truth[chosen].sum()) / below if below > 0 else 1.0


def localisation(
    maps: Sequence[np.ndarray], truths: Sequence[np.ndarray], *, choice: Localisation = DEFAULT
) -> Measured:
    """Success and area under its curve of M similarity maps (h, w), of any size each, and as many truths (H, W).

    Half of the frame cannot overlap well with what is small: below a quarter of the frame cIoU@0.5 is out of reach for
    any map. So besides there are "adaptive" measures, whose prediction has as many pixels as the truth (Senocak et
    al., 2024, arXiv:2407.13676), and "pointing", whether the highest pixel lies in the truth. `chance` is what as
    many pixels at random reach.

    Raises:
        ValueError: other numbers of maps than of truths, none, or maps that are not finite.
    """
    if len(maps) != len(truths) or not maps:
        raise ValueError(f"{len(maps)} maps for {len(truths)} truths: give as many of each, and at least one")
    if not all(np.isfinite(m).all() for m in maps):
        raise ValueError("maps that are not finite: has the encoder diverged?")
    pairs = [
        (_resized(m, choice.side), _resized(t, choice.side, smooth=False)) for m, t in zip(maps, truths, strict=True)
    ]
    targets = [t for _, t in pairs]
    areas = [int((t > 0).sum()) for t in targets]
    half = np.array([consensus_iou(upper_half(m), t) for m, t in pairs])
    fitted = np.array([consensus_iou(highest(m, a), t) for (m, t), a in zip(pairs, areas, strict=True)])
    blind = np.array([_blind(t, t.size // 2) for t in targets])
    blind_fitted = np.array([_blind(t, a) for t, a in zip(targets, areas, strict=True)])
    success, shares = f"cIoU@{choice.success:g}", np.array(areas) / choice.side**2
    measures = {
        success: ((half >= choice.success).astype(float), (blind >= choice.success).mean()),
        "AUC": (_area(half, choice), _area(blind, choice).mean()),
        f"adaptive {success}": ((fitted >= choice.success).astype(float), (blind_fitted >= choice.success).mean()),
        "adaptive AUC": (_area(fitted, choice), _area(blind_fitted, choice).mean()),
        "pointing": (np.array([pointed(m, t) for m, t in pairs]), shares.mean()),
    }
    return Measured(
        values={name: values for name, (values, _) in measures.items()},
        chance={name: float(chance) for name, (_, chance) in measures.items()},
        settings={"prediction": "upper half of the map; adaptive: as many pixels as the truth", "side": choice.side},
        found={
            "mean cIoU": float(half.mean()),
            "mean adaptive cIoU": float(fitted.mean()),
            "mean share of the frame": float(shares.mean()),
            **_by_size(half >= choice.success, shares),
        },
    )


def _blind(truth: np.ndarray, count: int) -> float:
    """The cIoU of `count` pixels at random, taken of the expected sums."""
    below = float(truth.sum()) + count * float((truth == 0).mean())
    return count * float(truth.mean()) / below if below > 0 else 1.0


def centre_blob(height: int, width: int) -> np.ndarray:
    """A Gaussian (H, W) in the middle, with a standard deviation of a quarter of each side."""
    y, x = ((np.arange(n) - (n - 1) / 2) / (n / 4) for n in (height, width))
    blob: np.ndarray = np.exp(-(y[:, None] ** 2 + x**2) / 2)
    return blob


def _area(overlaps: np.ndarray, choice: Localisation) -> np.ndarray:
    """What each item adds to the area under the curve of success over thresholds; their mean is the area."""
    at = np.linspace(0, 1, choice.thresholds)
    reached = (overlaps[:, None] >= at - 1e-9).astype(float)
    area: np.ndarray = ((reached[:, 1:] + reached[:, :-1]) / 2).sum(axis=1) / (choice.thresholds - 1)
    return area


def _by_size(hit: np.ndarray, shares: np.ndarray) -> dict[str, float]:
    """Success by the size of the truth, and how many there are of each."""
    edges = np.array([*EDGES.values()]) / 224**2
    kind = np.searchsorted(edges, shares, side="right")
    names = [*EDGES, "huge"]
    present = [n for n in range(len(names)) if (kind == n).any()]
    return {f"{names[n]} (n = {int((kind == n).sum())})": float(hit[kind == n].mean()) for n in present}


def _resized(values: np.ndarray, side: int, *, smooth: bool = True) -> np.ndarray:
    """A map (h, w) brought to (side, side)."""
    x = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))[None, None]
    if smooth:
        return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)[0, 0].numpy()
    return F.interpolate(x, size=(side, side), mode="nearest-exact")[0, 0].numpy()
