"""k-means over the features of all items: who is in which cluster, kept from one clustering to the next."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Rng
from avssl.losses import from_first_rank, is_first_rank

__all__ = ["Clustering", "KMeans", "evenly", "k_means"]

_LARGE = 10**9
"""Items × clusters from which on k-means sees items in batches, since whole passes would take hours."""

_ROWS = 1 << 14
"""Rows of which the covariance is taken at a time, in double precision."""


@dataclass(frozen=True, kw_only=True)
class KMeans:
    """Features are reduced by PCA, whitened and made of unit length; then k-means.

    Caron et al., ECCV 2018, arXiv:1807.05520, section 3.3 and its code: 256 components, 20 iterations. More items ×
    clusters than 10⁹ are clustered batch by batch (Sculley, WWW 2010).
    """

    clusters: int = 64
    components: int = 256
    """Directions kept by the PCA, at most: there are no more than the features have, or items less one."""
    iterations: int = 20
    """Passes of k-means, at most."""

    def __post_init__(self) -> None:
        if self.clusters < 2 or self.components < 1 or self.iterations < 1:
            raise ValueError(
                f"clusters {self.clusters}, components {self.components}, iterations {self.iterations}: must be ≥ 2, "
                "≥ 1 and ≥ 1"
            )


class Clustering(nn.Module):
    """The clusters of one stream's features; buffers, so that a resumed run finds them as they were.

    `assigned` (items,) is the cluster of each number, −1 where there is none. `shift` (D,), `turn` (D, d) and `centres`
    (clusters, d) are how features come to their cluster.
    """

    assigned: Tensor
    shift: Tensor
    turn: Tensor
    centres: Tensor
    used: Tensor
    nmi: Tensor

    def __init__(self, choice: KMeans, *, items: int, dim: int) -> None:
        super().__init__()
        if items < choice.clusters:
            raise ValueError(f"{choice.clusters} clusters of {items} items: choose fewer clusters, or give more data")
        self.choice = choice
        size = min(choice.components, dim)
        self.register_buffer("assigned", torch.full((items,), -1))
        self.register_buffer("shift", torch.zeros(dim))
        self.register_buffer("turn", torch.zeros(dim, size))
        self.register_buffer("centres", torch.zeros(choice.clusters, size))
        self.register_buffer("used", torch.zeros(()))
        self.register_buffer("nmi", torch.zeros(()))

    def of(self, index: Tensor) -> Tensor:
        """The clusters of items by their numbers (B,); −1 of those that have none."""
        known = index < len(self.assigned)
        return torch.where(known, self.assigned[index.clamp(max=len(self.assigned) - 1)], -1)

    def nearest(self, features: Tensor) -> Tensor:
        """The clusters whose centres are nearest to features (B, D); −1 before there are any clusters."""
        found = torch.cdist(self._reduced(features.float()), self.centres).argmin(dim=1)
        return torch.where(self.used > 0, found, -1)

    def _reduced(self, features: Tensor) -> Tensor:
        return F.normalize((features - self.shift) @ self.turn, dim=1)

    @torch.no_grad()
    def renew(self, index: Tensor, features: Tensor, *, seed: int) -> None:
        """Cluster items by their numbers (M,) and features (M, D); the first rank does, for all.

        Raises:
            ValueError: there are fewer items than clusters.
        """
        if len(index) < self.choice.clusters:
            raise ValueError(
                f"{self.choice.clusters} clusters of {len(index)} items that could be read: choose fewer clusters, or "
                "give more data"
            )
        before = self.assigned.clone()
        if is_first_rank():
            shift, turn = _whitening(features.numpy(), self.choice.components)
            self.shift.copy_(torch.from_numpy(shift))
            self.turn.zero_()
            self.turn[:, : turn.shape[1]] = torch.from_numpy(turn)
            reduced = self._reduced(features.to(self.shift))
            centres, found = k_means(reduced.cpu().numpy(), self.choice, seed)
            self.centres.copy_(torch.from_numpy(centres))
            self.assigned.fill_(-1)
            self.assigned[index.to(self.assigned.device)] = torch.from_numpy(found).to(self.assigned)
            self.used.fill_(len(np.unique(found)))
            self.nmi.fill_(_nmi(before, self.assigned))
        for buffer in self.buffers():
            buffer.copy_(from_first_rank(buffer))


def _whitening(x: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) of features (M, D), and the turn (D, d) to their first components, each of variance 1."""
    shift = x.mean(axis=0, dtype=np.float64)
    square = np.zeros((x.shape[1], x.shape[1]))
    for start in range(0, len(x), _ROWS):
        rows = x[start : start + _ROWS] - shift
        square += rows.T @ rows
    values, vectors = np.linalg.eigh(square / max(1, len(x) - 1))
    # directions in which nothing varies but rounding would be blown up to the size of the others
    kept = np.flatnonzero(values > 1e-9 * max(values.max(), 1e-30))[::-1][: min(components, len(x) - 1)]
    turn = vectors[:, kept] / np.sqrt(values[kept])
    return shift.astype(np.float32), turn.astype(np.float32)


def k_means(x: np.ndarray, choice: KMeans, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Centres (clusters, d) and the cluster of each row."""
    import sklearn.cluster  # slow to import, and only this needs it
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    kind = sklearn.cluster.KMeans if len(x) * choice.clusters <= _LARGE else sklearn.cluster.MiniBatchKMeans
    found = kind(choice.clusters, n_init=1, max_iter=choice.iterations, random_state=seed)
    with warnings.catch_warnings(), threadpool_limits(1):  # several threads add up in an order of their own
        warnings.simplefilter("ignore", ConvergenceWarning)  # of too few passes, as asked for, or of equal points
        found.fit(x)
    return found.cluster_centers_, found.labels_


def _nmi(before: Tensor, after: Tensor) -> float:
    """Normalised mutual information of two assignments, of the items that have both, 0…1; 0 if there are none."""
    from sklearn.metrics import normalized_mutual_info_score

    both = (before >= 0) & (after >= 0)
    if not both.any():
        return 0.0
    return float(normalized_mutual_info_score(before[both].cpu().numpy(), after[both].cpu().numpy()))


def evenly(assigned: np.ndarray, rng: Rng) -> list[int]:
    """As many positions as there are items, as many from each cluster (M,) that has items; −1 is no cluster.

    Of a cluster all items come equally often, but for one visit. Caron et al., ECCV 2018, arXiv:1807.05520, section
    3.3, which draws them with replacement.
    """
    members = [np.flatnonzero(assigned == k) for k in np.unique(assigned[assigned >= 0])]
    share = -(-len(assigned) // len(members))
    visits = []
    for positions in members:
        rounds = [rng.permutation(positions) for _ in range(-(-share // len(positions)))]
        visits.append(np.concatenate(rounds)[:share])
    return [int(p) for p in rng.permutation(np.concatenate(visits))[: len(assigned)]]
