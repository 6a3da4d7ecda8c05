"""The family of tasks that name the cluster of an example: clusters of its own features, or of another modality's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from avssl.core import Example, Rng
from avssl.encoders.base import Encoder, Modality
from avssl.losses import cross_entropy, weighted_mean
from avssl.tasks.base import Features, Task, encoded
from avssl.tasks.clustering import Clustering, KMeans, evenly

__all__ = ["Cluster"]


class Cluster(Task):
    """Predict the cluster that an item's features were in when all items were clustered, before the epoch.

    Each stream has an encoder and a linear head, drawn anew whenever the clusters are, since those come in no order.
    `teachers` says whose clusters each stream predicts. Its own, by default: DeepCluster (Caron et al., ECCV 2018,
    arXiv:1807.05520), there with `even="video"`. The other's, {"video": "sound", "sound": "video"}: XDC (Alwassel et
    al., NeurIPS 2020, arXiv:1911.12667). The loss is the sum over the streams.

    Items that could not be read when all were clustered have no cluster: they are not visited where the order is even,
    and weigh nothing. Items that are not trained on are told the cluster whose centre is nearest to the teacher's
    features of the very clips, so that held-out numbers say whether what is learned holds for other items; before the
    first clusters there is nothing to learn, and the loss is 0.

    Metrics: accuracy, and of each teacher how many clusters have items, and the normalised mutual information of these
    clusters with those before them (0 of the first): it rises as the clusters settle.

    Args:
        encoder: of video, or of sound for tasks on sound alone.
        items: how many numbers items may have: the highest `Example.index` + 1.
        clusters: how features are clustered.
        sound: encoder of the sound that goes with the video.
        teachers: by the modality of each stream, the modality whose clusters it predicts; None: its own.
        even: the modality over whose clusters an epoch's visits are spread evenly; None: each item is visited once.
        every: epochs from one clustering to the next.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        items: int,
        clusters: KMeans,
        sound: Encoder | None = None,
        teachers: Mapping[Modality, Modality] | None = None,
        even: Modality | None = None,
        every: int = 1,
    ) -> None:
        super().__init__()
        if sound is not None and (encoder.modality, sound.modality) != ("video", "sound"):
            raise ValueError(f"encoder of {encoder.modality} with sound encoder of {sound.modality}: video first")
        found: dict[str, Encoder] = {e.modality: e for e in (encoder, sound) if e is not None}
        self.teachers: dict[str, str] = {name: name for name in found}
        if teachers is not None:
            self.teachers = {str(pupil): str(teacher) for pupil, teacher in teachers.items()}
        if self.teachers.keys() != found.keys() or not set(self.teachers.values()) <= found.keys():
            raise ValueError(f"teachers {self.teachers}: name one of {sorted(found)} for each of them")
        if even is not None and even not in self.teachers.values():
            raise ValueError(f"even {even!r}: must be one of the teachers, {sorted(set(self.teachers.values()))}")
        if every < 1:
            raise ValueError(f"every {every}: must be ≥ 1 epochs")
        self.even, self.every = even, every
        self.streams = nn.ModuleDict(found)
        self.heads = nn.ModuleDict({name: nn.Linear(e.dim, clusters.clusters) for name, e in found.items()})
        dims = {name: found[name].dim for name in dict.fromkeys(self.teachers.values())}
        self.clusters = nn.ModuleDict({name: Clustering(clusters, items=items, dim=dim) for name, dim in dims.items()})
        self._draw_heads()

    def encoders(self) -> dict[str, Encoder]:
        """The encoders by modality."""
        return {name: encoder for name, encoder in self.streams.items() if isinstance(encoder, Encoder)}

    def _clusterings(self) -> dict[str, Clustering]:
        return {name: found for name, found in self.clusters.items() if isinstance(found, Clustering)}

    @torch.no_grad()
    def _draw_heads(self) -> list[nn.Parameter]:
        """Heads that know nothing; as in DeepCluster's code."""
        for head in self.heads.values():
            assert isinstance(head, nn.Linear)
            head.weight.normal_(0, 0.01)
            head.bias.zero_()
        return list(self.heads.parameters())

    def before_epoch(self, epoch: int, everything: Callable[[], Features]) -> Sequence[nn.Parameter]:
        """Cluster all items and draw the heads anew."""
        if epoch % self.every:
            return ()
        features = everything()
        for name, clustering in self._clusterings().items():
            clustering.renew(features.index, features.vectors[name], seed=int(torch.randint(2**31, ())))
        return self._draw_heads()

    def order(self, numbers: Sequence[int], rng: Rng) -> Sequence[int] | None:
        """Visits that are spread evenly over the clusters, or each item once."""
        if self.even is None:
            return None
        assigned = self._clusterings()[self.even].assigned.cpu().numpy()
        return evenly(assigned[np.asarray(numbers)], rng)

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss and metrics."""
        features = {name: encoded(encoder, batch.clips) for name, encoder in self.encoders().items()}
        clusterings = self._clusterings()
        losses, hits = [], []
        for pupil, teacher in self.teachers.items():
            logits: Tensor = self.heads[pupil](features[pupil])
            target = clusterings[teacher].of(batch.index)
            if not self.training:
                nearest = clusterings[teacher].nearest(features[teacher].mean(dim=1))
                target = torch.where(target < 0, nearest, target)
            target = target[:, None].expand(logits.shape[:2])
            known = target >= 0
            losses.append(cross_entropy(logits.transpose(1, 2), target.clamp(min=0), known))
            hits.append(weighted_mean(logits.argmax(dim=2) == target, known).detach())
        told = {"loss": torch.stack(losses).sum(), "accuracy": torch.stack(hits).mean()}
        for name, clustering in clusterings.items() if self.training else ():
            told |= {f"{name} clusters": clustering.used.clone(), f"{name} nmi": clustering.nmi.clone()}
        return told
