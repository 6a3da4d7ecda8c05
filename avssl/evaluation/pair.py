"""Two encoders, of video and of sound, whose embeddings can be compared: read from a run, or of random weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

from avssl.core import MediaError
from avssl.encoders import Encoder, Projector, reinitialised
from avssl.evaluation.features import evaluating

__all__ = ["Pair", "load_pair"]

Stream = Literal["video", "sound"]
STREAMS: tuple[Stream, Stream] = ("video", "sound")


class Pair(nn.Module):
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

    def fresh(self, seed: int) -> Pair:
        """The same networks with weights drawn from `seed`: the baseline "random init"."""
        encoders = {s: reinitialised(self.encoder(s), seed) for s in STREAMS}
        projectors = {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for s in STREAMS:
                own = self.projectors[s].state_dict()
                projectors[s] = _projector(own).to(next(iter(own.values())).device)
        return Pair(encoders, projectors)


def load_pair(encoders: Mapping[Stream, Encoder], run: Path) -> Pair:
    """The pair of a run of a contrast between video and sound, such as recipes/avts.py.

    The encoders are those of the run folder; the projectors, which are not kept with them, are read from its newest
    checkpoint.

    Raises:
        MediaError: the run has no checkpoint, or its task has no such projectors.
    """
    remedy = "give the folder of a run of a contrast between video and sound, such as recipes/avts.py makes"
    found = sorted((run / "checkpoints").glob("step-*"))
    if not set(STREAMS) <= set(encoders) or not found:
        what = "no checkpoint" if set(STREAMS) <= set(encoders) else f"only encoders of {', '.join(encoders)}"
        raise MediaError(run, f"it has {what}", remedy)
    prefix = "task.online.projectors."
    kept = FileSystemReader(found[-1]).read_metadata().state_dict_metadata
    state = {
        name: torch.empty(about.size, dtype=about.properties.dtype)
        for name, about in kept.items()
        if name.startswith(prefix) and isinstance(about, TensorStorageMetadata)
    }
    if not state:
        raise MediaError(run, "its task has no embeddings that video and sound share", remedy)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # a single process reads
        load(state, checkpoint_id=found[-1], no_dist=True)
    projectors: dict[Stream, Projector] = {}
    for s in STREAMS:
        own = {n.removeprefix(f"{prefix}{s}."): v for n, v in state.items() if n.startswith(f"{prefix}{s}.")}
        projectors[s] = _projector(own)
        projectors[s].load_state_dict(own)
    return Pair({s: encoders[s] for s in STREAMS}, projectors)


def _projector(state: Mapping[str, Tensor]) -> Projector:
    """A new projector of the shapes that a state tells."""
    linear = [v for name, v in state.items() if name.endswith(".weight") and v.ndim == 2]
    norm: Literal["batch", "none"] = "batch" if any("running_mean" in name for name in state) else "none"
    hidden = linear[0].shape[0] if len(linear) > 1 else None
    return Projector(linear[0].shape[1], linear[-1].shape[0], hidden=hidden, layers=len(linear), norm=norm)
