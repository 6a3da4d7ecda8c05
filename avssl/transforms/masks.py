"""Masks over the patches of a clip: which of them are seen, and which are hidden and to be told."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from avssl.core import Example, MediaInfo, Plan, Rng
from avssl.transforms.base import Part, require

__all__ = ["BlockMask", "PatchMask", "RandomMask", "TubeMask"]


@dataclass(frozen=True, kw_only=True)
class PatchMask(Part):
    """The numbers of the patches that are kept and of those that are hidden, as many in every example of an epoch.

    Patches are counted along the grid, the last axis fastest. Recorded in rising order as `<name>.keep` (S, K) and
    `<name>.hide` (S, L − K), beside `<name>.grid` (S, axes); the pixels stay, as the encoder leaves patches out.
    """

    grid: tuple[int, ...]
    """Patches along each axis, time first, as the encoder has them (`encoder.grid`): time, height and width of clips,
    time and frequency of sound."""
    ratio: float = 0.75
    """Share of the patches that is hidden."""
    first: float | None = None
    """The share in the first epoch; None: `ratio` from the start."""
    epochs: int = 0
    """Epochs in which the share goes linearly from `first` to `ratio`."""
    name: str = "mask"
    """Under which its choices are recorded; a chain numbers the second, third, … of a name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.scope != "frame" and self.only is None, f"{type(self).__name__} is of whole clips, and of all")
        require(len(self.grid) > 1 and min(self.grid) > 0, f"grid {self.grid}: give the patches along each axis")
        for ratio in (self.ratio, self.ratio if self.first is None else self.first):
            require(0 < ratio < 1, f"ratio {ratio}: must be a share, above 0 and below 1")
        require((self.first is None) == (self.epochs == 0), f"first {self.first}, epochs {self.epochs}: give both")
        require(self.epochs >= 0, f"epochs {self.epochs}: must be ≥ 0")

    def at(self, epoch: int) -> PatchMask:
        """The mask of an epoch."""
        if self.first is None:
            return self
        done = min(1.0, epoch / self.epochs)
        return replace(self, ratio=self.first + done * (self.ratio - self.first), first=None, epochs=0)

    def draw(self, plan: Plan, info: MediaInfo, rng: Rng, /) -> Plan:
        """The plan with the numbers of the patches."""
        hidden = self.shared(plan, lambda n: np.stack([self.hidden(rng) for _ in range(n[0])]))
        keep = np.stack([np.flatnonzero(~h) for h in hidden])
        hide = np.stack([np.flatnonzero(h) for h in hidden])
        return self.record(plan, keep=keep, hide=hide, grid=np.tile(self.grid, (len(keep), 1)))

    def apply(self, batch: Example, /) -> Example:
        """The batch as it is."""
        return batch

    @abstractmethod
    def hidden(self, rng: Rng) -> np.ndarray:
        """Whether each patch is hidden, (L,) bool, of which a fixed number is true."""

    def count(self, cells: int) -> int:
        """How many of so many cells are hidden: the share, but never none nor all."""
        require(cells > 1, f"grid {self.grid}: there must be something to keep and something to hide")
        return min(max(round(self.ratio * cells), 1), cells - 1)


@dataclass(frozen=True, kw_only=True)
class RandomMask(PatchMask):
    """Patches hidden at random. MAE: He et al., CVPR 2022, arXiv:2111.06377, section 3."""

    def hidden(self, rng: Rng) -> np.ndarray:
        """Whether each patch is hidden."""
        cells = math.prod(self.grid)
        return rng.permutation(cells) < self.count(cells)


@dataclass(frozen=True, kw_only=True)
class TubeMask(PatchMask):
    """Places hidden at random and all the time, so that no instant tells of another. Of a picture it is `RandomMask`.

    VideoMAE: Tong et al., NeurIPS 2022, arXiv:2203.12602, section 3.3.
    """

    def hidden(self, rng: Rng) -> np.ndarray:
        """Whether each patch is hidden."""
        cells = math.prod(self.grid[1:])
        return np.tile(rng.permutation(cells) < self.count(cells), self.grid[0])


@dataclass(frozen=True, kw_only=True)
class BlockMask(PatchMask):
    """Rectangles hidden all the time, drawn one by one until the share is hidden; the last one is cut to fit.

    V-JEPA: Bardes et al., TMLR 2024, arXiv:2404.08471, section 3.2, which fixes the number of blocks and cuts all
    masks of a batch to its smallest; here the share is fixed, so that an example does not depend on its batch. Of a
    grid of two axes, such as that of sound, blocks lie anywhere in it.
    """

    block: float = 0.15
    """Share of the places that a block covers."""
    aspect: tuple[float, float] = (0.75, 1.5)
    """Limits of height / width of a block, in patches; uniform."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.block < 1, f"block {self.block}: must be a share, above 0 and below 1")
        require(0 < self.aspect[0] <= self.aspect[1], f"aspect {self.aspect}: must be 0 < low ≤ high")

    def hidden(self, rng: Rng) -> np.ndarray:
        """Whether each patch is hidden."""
        shape = self.grid[-2:]
        wanted = self.count(math.prod(shape))
        found = np.zeros(shape, bool)
        while (missing := wanted - int(found.sum())) > 0:
            rows, columns = np.nonzero(self._drawn(rng) & ~found)
            # in rows from the top or from the bottom, so that what is left of the last block is a block, too
            order = slice(None, missing) if rng.random() < 0.5 else slice(-missing, None)
            found[rows[order], columns[order]] = True
        return np.tile(found.reshape(-1), math.prod(self.grid[:-2]))

    def _drawn(self, rng: Rng) -> np.ndarray:
        shape = self.grid[-2:]
        aspect, area = rng.uniform(*self.aspect), self.block * math.prod(shape)
        sides = (math.sqrt(area * aspect), math.sqrt(area / aspect))
        size = [min(max(round(side), 1), most) for side, most in zip(sides, shape, strict=True)]
        corner = [int(rng.integers(most - side + 1)) for side, most in zip(size, shape, strict=True)]
        cells = np.zeros(shape, bool)
        cells[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = True
        return cells
