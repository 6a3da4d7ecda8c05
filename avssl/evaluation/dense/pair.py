"""Two encoders, of video and of sound, that say how well the two fit: read from a run, or of random weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avssl.core import MediaError
from avssl.encoders import Encoder, FusionHead, Projector, reinitialised
from avssl.evaluation.features import evaluating
from avssl.training import task_state

__all__ = ["Fusion", "Matching", "Pair", "load_fusion", "load_pair"]

Stream = Literal["video", "sound"]
STREAMS: tuple[Stream, Stream] = ("video", "sound")


REMEDY = "give the folder of a run of a contrast between video and sound, such as recipes/avts.py makes"


class Matching(nn.Module, ABC):
    """Encoders of video and of sound, and what says how well a clip and a sound fit."""

    @abstractmethod
    def matched(self, video: Tensor, sounds: Tensor) -> Tensor:
        """Scores (B, O), higher where they fit better, of video (B, T, C, H, W) and O sounds each, (B, O, A, N)."""

    @abstractmethod
    def fresh(self, seed: int) -> Self:
        """The same networks with weights drawn from `seed`: the baseline "random init"."""


class Pair(Matching):
    """Encoders of video and of sound with the projectors into the space that they share."""

    def __init__(self, encoders: Mapping[Stream, Encoder], projectors: Mapping[Stream, Projector]) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({s: encoders[s] for s in STREAMS})
        self.projectors = nn.ModuleDict({s: projectors[s] for s in STREAMS})

    def encoder(self, stream: Stream) -> Encoder:
        """The encoder of a stream."""
        found = self.encoders[stream]
        assert isinstance(found, Encoder)  # so they were given
        return found

    @torch.inference_mode()
    def embed(self, stream: Stream, x: Tensor) -> Tensor:
        """Embeddings (B, D) of unit length, of video (B, T, C, H, W) or sound (B, A, N), in `eval`."""
        with evaluating(self):
            y: Tensor = self.projectors[stream](self.encoder(stream)(x))
            return F.normalize(y.float(), dim=1)

    def matched(self, video: Tensor, sounds: Tensor) -> Tensor:
        """Cosines."""
        heard = torch.unflatten(self.embed("sound", sounds.flatten(0, 1)), 0, sounds.shape[:2])
        return torch.einsum("bd,bod->bo", self.embed("video", video), heard)

    @torch.inference_mode()
    def maps(self, video: Tensor, sound: Tensor) -> Tensor:
        """Cosines (B, T', H', W') of each place of the last map of video with the sound beside it, in `eval`.

        The projector sees each place by itself, as it saw their mean in training: Arandjelović and Zisserman, ECCV
        2018, arXiv:1712.06651, section 4.
        """
        heard = self.embed("sound", sound)
        with evaluating(self):
            places = self.encoder("video").last(video).movedim(1, -1)
            y = F.normalize(self.projectors["video"](places).float(), dim=-1)
        return torch.einsum("bthwd,bd->bthw", y, heard)

    def fresh(self, seed: int) -> Self:
        """The same networks with weights drawn from `seed`."""
        encoders = {s: reinitialised(self.encoder(s), seed) for s in STREAMS}
        projectors = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for s in STREAMS:
                own = self.projectors[s].state_dict()
                projectors[s] = _projector(own).to(next(iter(own.values())).device)
        return type(self)(encoders, projectors)


class Fusion(Matching):
    """Encoders of video and of sound with the head of recipes/multisensory.py, which compares instant by instant."""

    def __init__(self, video: Encoder, sound: Encoder, head: FusionHead) -> None:
        super().__init__()
        self.video, self.sound, self.head = video, sound, head

    @torch.inference_mode()
    def matched(self, video: Tensor, sounds: Tensor) -> Tensor:
        """The logit of "in sync" less that of "not", in `eval`."""
        with evaluating(self):
            heard = torch.unflatten(self.sound.sequence(sounds.flatten(0, 1)), 0, sounds.shape[:2])
            logits: Tensor = self.head(self.video.sequence(video)[:, None], heard).float()
            return logits[..., 1] - logits[..., 0]

    def fresh(self, seed: int) -> Self:
        """The same networks with weights drawn from `seed`."""
        device = next(self.head.parameters()).device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = _fusion_head(self.head.state_dict()).to(device)
        return type(self)(reinitialised(self.video, seed), reinitialised(self.sound, seed), head)


def load_pair(encoders: Mapping[Stream, Encoder], run: Path) -> Pair:
    """The pair of a run of a contrast between video and sound, such as recipes/avts.py.

    The encoders are those of the run folder; the projectors, which are not kept with them, are read from its newest
    checkpoint.

    Raises:
        MediaError: the run has no checkpoint, or its task has no such projectors.
    """
    _require_both(encoders, run)
    state = _kept(run, "online.projectors.")
    if not state:
        raise MediaError(run, "its task has no embeddings that video and sound share", REMEDY)
    projectors: dict[Stream, Projector] = {}
    for s in STREAMS:
        own = {n.removeprefix(f"{s}."): v for n, v in state.items() if n.startswith(f"{s}.")}
        projectors[s] = _projector(own)
        projectors[s].load_state_dict(own)
    return Pair({s: encoders[s] for s in STREAMS}, projectors)


def load_fusion(encoders: Mapping[Stream, Encoder], run: Path) -> Fusion:
    """The encoders and the head of a run that tells clips in sync from others, such as recipes/multisensory.py.

    Raises:
        MediaError: the run has no checkpoint, or its task has no such head.
    """
    _require_both(encoders, run)
    state = _kept(run, "head.")
    if not {"video.1.weight", "sound.1.weight"} <= set(state):
        remedy = "give the folder of a run of recipes/multisensory.py"
        raise MediaError(run, "its task has no head that compares video and sound over time", remedy)
    head = _fusion_head(state)
    head.load_state_dict(state)
    return Fusion(encoders["video"], encoders["sound"], head)


def _require_both(encoders: Mapping[Stream, Encoder], run: Path) -> None:
    if not set(STREAMS) <= set(encoders):
        raise MediaError(run, f"it has only encoders of {', '.join(encoders)}", REMEDY)


def _kept(run: Path, prefix: str) -> dict[str, Tensor]:
    """The task's tensors whose names begin with a prefix, by what follows it."""
    try:
        return task_state(run, prefix)
    except FileNotFoundError as error:
        raise MediaError(run, "it has no checkpoint", REMEDY) from error


def _fusion_head(state: Mapping[str, Tensor]) -> FusionHead:
    """A new head of the shapes that a state tells."""
    convolutions = [v for name, v in state.items() if name.startswith("time.") and v.ndim == 3]
    width, video_dim = state["video.1.weight"].shape
    return FusionHead(
        video_dim,
        state["sound.1.weight"].shape[1],
        width=width,
        layers=len(convolutions),
        kernel=convolutions[0].shape[2],
    )


def _projector(state: Mapping[str, Tensor]) -> Projector:
    """A new projector of the shapes that a state tells."""
    linear = [v for name, v in state.items() if name.endswith(".weight") and v.ndim == 2]
    norm: Literal["batch", "none"] = "batch" if any("running_mean" in name for name in state) else "none"
    hidden = linear[0].shape[0] if len(linear) > 1 else None
    return Projector(linear[0].shape[1], linear[-1].shape[0], hidden=hidden, layers=len(linear), norm=norm)
