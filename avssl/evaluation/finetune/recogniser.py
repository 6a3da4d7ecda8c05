"""A network that names actions: an encoder with a classifier on top, kept with its classes to be applied again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avssl.core import MediaError
from avssl.encoders import Encoder, Origin
from avssl.encoders.weights import constructor_of, fill, read_state, write_state
from avssl.evaluation.features import evaluating
from avssl.evaluation.finetune.protocol import ClipProtocol
from avssl.evaluation.layers import pooled_to

__all__ = ["Recogniser", "RecogniserCard", "check_fits", "load_recogniser", "save_recogniser"]

STAGE_SIZE = 9216
"""Numbers to which the map of a stage is pooled by its maxima, at most: Morgado et al., CVPR 2021, arXiv:2004.12943."""


class Recogniser(nn.Module):
    """Clips (B, T, C, H, W) → logits (B, R, K) of R classifiers: one on the feature, or one on each stage.

    Attributes:
        readouts: the names of the R classifiers, from input to output.
    """

    def __init__(self, encoder: Encoder, *, classes: int, protocol: ClipProtocol) -> None:
        """Draw the classifiers from torch's generator.

        Raises:
            ValueError: the encoder cannot take clips as the protocol cuts them.
        """
        super().__init__()
        sizes = check_fits(encoder, protocol)
        self.encoder, self.stages, self.unit = encoder, protocol.stages, protocol.unit
        self.readouts = tuple(sizes)
        self.classifiers = nn.ModuleDict()
        for name, size in sizes.items():
            layers: list[nn.Module] = [nn.BatchNorm1d(size)] if protocol.norm else []
            self.classifiers[name] = nn.Sequential(*layers, nn.Dropout(protocol.dropout), nn.Linear(size, classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return torch.stack([self.classifiers[n](f) for n, f in self.vectors(x).items()], dim=1)

    def vectors(self, x: Tensor) -> dict[str, Tensor]:
        """What each classifier is given, (B, D)."""
        found = _vectors(self.encoder, x, stages=self.stages)
        return {n: F.normalize(f, dim=1) for n, f in found.items()} if self.unit else found


def _vectors(encoder: Encoder, x: Tensor, *, stages: bool) -> dict[str, Tensor]:
    if not stages:
        return {"feature": encoder(x)}
    taps = encoder.taps[1:] or encoder.taps
    maps = encoder.features(x, taps)
    return {tap: pooled_to(maps[tap], STAGE_SIZE, kind="max") for tap in taps}


def check_fits(encoder: Encoder, protocol: ClipProtocol) -> dict[str, int]:
    """The size of what each classifier of a protocol is given, found by one empty clip.

    Raises:
        ValueError: the encoder is of sound, or cannot take so many frames of that size.
    """
    if encoder.modality != "video":
        raise ValueError(f"an encoder of {encoder.modality}: these protocols cut frames; give an encoder of video")
    shape = (1, protocol.frames, 3, protocol.size, protocol.size)
    device = next((p.device for p in encoder.parameters()), torch.device("cpu"))
    try:
        with evaluating(encoder), torch.no_grad():
            found = _vectors(encoder, torch.zeros(shape, dtype=torch.uint8, device=device), stages=protocol.stages)
        wrong = sorted(n for n, f in found.items() if f.ndim != 2 or not f.numel() or not f.isfinite().all())
        why = f"what comes out of {', '.join(wrong)} is empty" if wrong else ""
    except (RuntimeError, ValueError) as error:
        found, why = {}, str(error)
    if why:
        raise ValueError(
            f"{encoder.origin.constructor} cannot take {protocol.frames} frames of {protocol.size} pixels, which "
            f"{protocol.title} cuts: {why}; choose other --frames or another --size"
        )
    return {n: f.shape[1] for n, f in found.items()}


@dataclass(frozen=True, kw_only=True)
class RecogniserCard:
    """What a recogniser answers, and how it was trained."""

    classes: tuple[str, ...]
    """Names of the K classes, in the order of the logits."""
    label: str
    """The column that they are of."""
    counts: tuple[int, ...]
    """Items of each class that it was trained on."""
    protocol: ClipProtocol
    shortened: Mapping[str, str] = field(default_factory=dict)
    """What of the protocol was changed, in words."""
    readout: str = "feature"
    """The classifier that answers."""


def save_recogniser(recogniser: Recogniser, card: RecogniserCard, path: Path | str) -> None:
    """Write a recogniser as safetensors, with its card and the encoder's constructor as metadata."""
    origin = recogniser.encoder.origin
    metadata = {
        "constructor": origin.constructor,
        "arguments": json.dumps(origin.arguments, sort_keys=True),
        "recogniser": json.dumps(asdict(card), sort_keys=True),
    }
    write_state(recogniser, Path(path), metadata)


def load_recogniser(
    path: Path | str, *, constructor: Callable[..., Encoder] | None = None
) -> tuple[Recogniser, RecogniserCard]:
    """Read a recogniser that `save_recogniser` wrote, on the CPU and in evaluation mode, and its card.

    Raises:
        MediaError: the file is missing, no safetensors file, or holds no recogniser.
        ValueError: the encoder's constructor is not one of avssl.encoders (give `constructor`), or does not fit.
    """
    state, metadata = read_state(Path(path))
    if not {"constructor", "arguments", "recogniser"} <= metadata.keys():
        raise MediaError(path, "holds no recogniser", "give a recogniser.safetensors that a fine-tuning wrote")
    origin = Origin(constructor=metadata["constructor"], arguments=json.loads(metadata["arguments"]))
    card = _card(json.loads(metadata["recogniser"]))
    with torch.random.fork_rng(devices=[]):  # drawn only to be filled
        encoder = origin.rebuilt(constructor_of(origin) if constructor is None else constructor)
        recogniser = Recogniser(encoder, classes=len(card.classes), protocol=card.protocol)
    fill(recogniser, state, str(path))
    return recogniser.eval(), card


def _card(values: dict[str, Any]) -> RecogniserCard:
    """The card that was written; where it had tuples, JSON has lists."""

    def tuples(given: Mapping[str, Any]) -> dict[str, Any]:
        return {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}

    known = {f.name for f in fields(ClipProtocol)}
    protocol = ClipProtocol(**{k: v for k, v in tuples(values["protocol"]).items() if k in known})
    return RecogniserCard(**tuples(values) | {"protocol": protocol})
