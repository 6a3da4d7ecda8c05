"""Which pairs attract, repel or are ignored: pure functions of what is known of anchors and candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor

__all__ = ["Policy", "Records", "cross_modal", "instances", "same_moment", "synchronised"]


@dataclass(frozen=True, kw_only=True)
class Records:
    """What is known of n embeddings: whose they are, and the labels of their clips.

    `example` (n,) is the number of the item in its data set, `clip` (n,) that of the clip in its example, `modality`
    (n,) 0 for video and 1 for sound; `labels` are (n,) each.
    """

    example: Tensor
    clip: Tensor
    modality: Tensor
    labels: Mapping[str, Tensor]

    def label(self, name: str) -> Tensor:
        """A label of every embedding.

        Raises:
            ValueError: there is none of that name.
        """
        if name not in self.labels:
            raise ValueError(
                f"label {name!r}: the records have {sorted(self.labels)}; name one that the sampler gives, and let a "
                "Queue keep it (labels=…)"
            )
        return self.labels[name]

    def map(self, f: Callable[[Tensor], Tensor]) -> Records:
        """The records with `f` applied to every column."""
        return Records(
            example=f(self.example),
            clip=f(self.clip),
            modality=f(self.modality),
            labels={name: f(column) for name, column in self.labels.items()},
        )

    def joined(self, more: Records) -> Records:
        """These and more, with the labels that both have."""
        both = [name for name in self.labels if name in more.labels]
        return Records(
            example=torch.cat((self.example, more.example)),
            clip=torch.cat((self.clip, more.clip)),
            modality=torch.cat((self.modality, more.modality)),
            labels={name: torch.cat((self.labels[name], more.labels[name])) for name in both},
        )


Policy: TypeAlias = Callable[[Records, Records], Tensor]
"""From n anchors and m candidates to a matrix (n, m) of whole numbers: +1 attract, −1 repel, 0 ignore."""


def _equal(a: Tensor, b: Tensor) -> Tensor:
    return a[:, None] == b[None, :]


def same_example(anchors: Records, candidates: Records) -> Tensor:
    """Whether anchor and candidate are of one example, (n, m)."""
    return _equal(anchors.example, candidates.example)


def _signs(attract: Tensor, repel: Tensor) -> Tensor:
    return attract.to(torch.int8) - repel.to(torch.int8)


def instances(anchors: Records, candidates: Records) -> Tensor:
    """Clips of one example attract, whatever their modality; others repel; a clip is not compared with itself.

    SimCLR: Chen et al., ICML 2020, arXiv:2002.05709; MoCo: He et al., CVPR 2020, arXiv:1911.05722.
    """
    same = same_example(anchors, candidates)
    itself = same & _equal(anchors.clip, candidates.clip) & _equal(anchors.modality, candidates.modality)
    return _signs(same & ~itself, ~same)


def cross_modal(anchors: Records, candidates: Records) -> Tensor:
    """Video and sound of one example attract, of two examples repel; pairs within a modality are ignored.

    AVID: Morgado et al., CVPR 2021, arXiv:2004.12943, section 3.2 (cross-modal).
    """
    same = same_example(anchors, candidates)
    across = ~_equal(anchors.modality, candidates.modality)
    return _signs(same & across, ~same & across)


def synchronised(*, label: str = "in_sync", others: Literal["ignore", "repel"] = "ignore") -> Policy:
    """Frames and sound of one clip attract where `label` is 1 and repel where it is 0.

    `others` says what becomes of frames and sound of different examples; all other pairs are ignored. AVTS: Korbar et
    al., NeurIPS 2018, arXiv:1807.00230, where the sampler draws the negatives and others are ignored.

    Raises:
        ValueError: `others` is neither "ignore" nor "repel".
    """
    if others not in {"ignore", "repel"}:
        raise ValueError(f"others {others!r}: must be 'ignore' or 'repel'")
    return partial(_synchronised, label=label, repel_others=others == "repel")


def _synchronised(anchors: Records, candidates: Records, *, label: str, repel_others: bool) -> Tensor:
    same = same_example(anchors, candidates)
    across = ~_equal(anchors.modality, candidates.modality)
    pair = same & across & _equal(anchors.clip, candidates.clip)
    in_sync = (anchors.label(label) > 0)[:, None]
    repel = pair & ~in_sync
    if repel_others:
        repel = repel | (~same & across)
    return _signs(pair & in_sync, repel)


def same_moment(
    *, near: float, far: float, across: str = "", others: Literal["ignore", "repel"] = "ignore", label: str = "time"
) -> Policy:
    """Clips of one example attract where the times in `label` (s) are at most `near` apart, and repel beyond `far`.

    With `across`, the name of a label, only those attract that differ in it, such as in their camera. `others` says
    what becomes of clips of different examples; all other pairs are ignored. TCN: Sermanet et al., ICRA 2018,
    arXiv:1704.06888, section 3.

    Raises:
        ValueError: not 0 ≤ `near` ≤ `far`, or `others` is neither "ignore" nor "repel".
    """
    if not 0 <= near <= far or others not in {"ignore", "repel"}:
        raise ValueError(f"near {near} s, far {far} s, others {others!r}: 0 ≤ near ≤ far, and 'ignore' or 'repel'")
    return partial(_same_moment, near=near, far=far, across=across, label=label, repel_others=others == "repel")


def _same_moment(
    anchors: Records, candidates: Records, *, near: float, far: float, across: str, label: str, repel_others: bool
) -> Tensor:
    hair = 1e-3  # of a second: what rounding may take of the hours that a film lasts; frames are farther apart
    same = same_example(anchors, candidates)
    apart = (anchors.label(label)[:, None] - candidates.label(label)).abs()
    if across:
        attract = same & (apart <= near + hair) & ~_equal(anchors.label(across), candidates.label(across))
    else:
        itself = _equal(anchors.clip, candidates.clip) & _equal(anchors.modality, candidates.modality)
        attract = same & (apart <= near + hair) & ~itself
    repel = same & (apart > far + hair)
    return _signs(attract, repel | ~same if repel_others else repel)
