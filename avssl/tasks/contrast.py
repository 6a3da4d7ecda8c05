"""The family of tasks that pull some pairs of embeddings together and push others apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avssl.core import Clip, Example
from avssl.encoders.base import Encoder
from avssl.losses import Criterion, InfoNCE, gathered, mean_over_ranks, products, spread
from avssl.tasks.base import Task, encoded
from avssl.tasks.memory import InBatch, Memory, Negatives
from avssl.tasks.policies import Policy, Records, instances, same_example
from avssl.tasks.target import Momentum, SlowCopy

__all__ = ["Contrast"]

_MODALITIES = ("video", "sound")


class _Branch(nn.Module):
    """Encoders with their projectors, by modality."""

    def __init__(self, streams: dict[str, tuple[Encoder, nn.Module]], *, unit: bool) -> None:
        super().__init__()
        self.unit = unit
        self.encoders = nn.ModuleDict({name: stream[0] for name, stream in streams.items()})
        self.projectors = nn.ModuleDict({name: stream[1] for name, stream in streams.items()})

    def found(self) -> dict[str, Encoder]:
        return {name: encoder for name, encoder in self.encoders.items() if isinstance(encoder, Encoder)}

    def forward(self, clips: Sequence[Clip]) -> Tensor:
        """Embeddings, (modalities · B · S, d): modality by modality, example by example."""
        parts = []
        for name, encoder in self.found().items():
            z: Tensor = self.projectors[name](encoded(encoder, clips))
            parts.append((F.normalize(z.float(), dim=-1) if self.unit else z.float()).flatten(0, 1))
        if len({z.shape[1] for z in parts}) > 1:
            raise ValueError(f"embeddings of sizes {[z.shape[1] for z in parts]}: projectors must give one size")
        return torch.cat(parts)

    def records(self, batch: Example, first: int, last: int) -> Records:
        """What is known of the embeddings of clips `first` to `last` − 1."""
        n, of_each = len(batch), last - first
        device = batch.index.device
        labels = {}
        for name, column in batch.labels.items():
            per_clip = column[:, first:last] if column.ndim == 2 else column[:, None].expand(n, of_each)
            labels[name] = per_clip.reshape(-1).repeat(len(self.encoders))
        modality = torch.tensor([_MODALITIES.index(name) for name in self.encoders], device=device)
        return Records(
            example=batch.index.repeat_interleave(of_each).repeat(len(modality)),
            clip=torch.arange(first, last, device=device).repeat(n * len(modality)),
            modality=modality.repeat_interleave(n * of_each),
            labels=labels,
        )


class Contrast(Task):
    """Contrast views of examples: clips or pictures (S ≥ 2), sounds, or video with sound if `sound` is given.

    A `policy` over what is known of anchors and candidates says which pairs attract, repel or are ignored. Candidates
    come from the batch (of all ranks, with gradients) or a queue, embedded by the networks themselves or by a slow
    copy (`target`). Every rank must bring batches of one size. Metrics: accuracy (see the criterion) and the spread of
    the anchors: 1 if they fill the sphere, 0 if all have collapsed to a point.

    SimCLR (Chen et al., ICML 2020, arXiv:2002.05709) is the default. MoCo (He et al., CVPR 2020, arXiv:1911.05722):
    `negatives=Queue(size=65536)`, `target=Momentum(0.999)`. AVTS (Korbar et al., NeurIPS 2018, arXiv:1807.00230):
    `sound=…`, `policy=synchronised()`, `criterion=Margin(0.99)`.

    Args:
        encoder: of video, or of sound for contrasts of sound alone.
        projector: from features to embeddings, which are then made of unit length if the criterion asks for it.
        policy: which pairs attract, repel or are ignored.
        criterion: loss over the pairs.
        negatives: where candidates come from.
        target: a slow copy that embeds the candidates, or None.
        symmetric: whether with a slow copy each clip asks and answers, which takes twice the work; else clip 0 asks and
            the others answer, as in MoCo.
        sound: encoder of the sound that goes with the video.
        sound_projector: its projector.
    """

    def __init__(
        self,
        encoder: Encoder,
        projector: nn.Module,
        *,
        policy: Policy = instances,
        criterion: Criterion | None = None,
        negatives: Negatives | None = None,
        target: Momentum | None = None,
        symmetric: bool = False,
        sound: Encoder | None = None,
        sound_projector: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if (sound is None) != (sound_projector is None):
            raise ValueError("sound and sound_projector: give both or neither")
        streams = {encoder.modality: (encoder, projector)}
        if sound is not None and sound_projector is not None:
            if (encoder.modality, sound.modality) != ("video", "sound"):
                raise ValueError(f"encoder of {encoder.modality} with sound encoder of {sound.modality}: video first")
            streams["sound"] = (sound, sound_projector)
        self.policy = policy
        self.criterion = InfoNCE() if criterion is None else criterion
        self.symmetric = symmetric
        self.online = _Branch(
            {name: streams[name] for name in _MODALITIES if name in streams}, unit=self.criterion.unit
        )
        self.target: nn.Module | None = None if target is None else SlowCopy(self.online, target)
        modalities = [_MODALITIES.index(name) for name in self.online.encoders]
        self.memory: Memory = (InBatch() if negatives is None else negatives).build(modalities)

    def encoders(self) -> dict[str, Encoder]:
        """The encoders by modality, without the slow copies."""
        return self.online.found()

    def before_training(self) -> None:
        """The slow copy starts as the networks do."""
        if isinstance(self.target, SlowCopy):
            self.target.begin(self.online)

    def forward(self, batch: Example) -> dict[str, Tensor]:
        """Loss, accuracy and spread."""
        clips = len(batch.clips)
        asking = 1 if self.target is not None and not self.symmetric else clips
        if clips * len(self.online.encoders) < self.memory.views:
            raise ValueError("one view of each example: there is nothing to compare; let the sampler cut two clips")
        anchors: Tensor = self.online(batch.clips[:asking])
        about = self.online.records(batch, 0, asking)
        if self.target is None:
            own, own_about = anchors, about
        else:
            first = 0 if asking == clips else asking
            own = self.target(batch.clips[first:])
            own_about = self.online.records(batch, first, clips)
        keys, keys_about = gathered(own), own_about.map(gathered)
        found = self.memory.candidates(keys, keys_about)
        compared = torch.where(same_example(about, found.about), found.own, found.others)
        policy = self.policy(about, found.about).masked_fill(~compared, 0)
        similarity = products(anchors, found.embeddings)
        if self.training:
            self.memory.push(keys.detach(), keys_about)
        loss = self.criterion(similarity, policy) * self._weight(policy)
        with torch.no_grad():
            accuracy = self.criterion.accuracy(similarity, policy)
        return {"loss": loss, "accuracy": accuracy, "spread": spread(F.normalize(anchors, dim=1))}

    def _weight(self, policy: Tensor) -> Tensor:
        """How much this rank's loss weighs in the mean over ranks: by its number of terms."""
        terms = self.criterion.terms(policy).float()
        return terms / mean_over_ranks(terms).clamp(min=torch.finfo(terms.dtype).tiny)

    def after_step(self, progress: float) -> None:
        """Let the slow copy follow."""
        if isinstance(self.target, SlowCopy):
            self.target.follow(self.online, progress)
