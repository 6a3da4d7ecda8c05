"""What every encoder is: a trunk cut into named stages, which normalises its own input and pools its own output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["ClipEncoder", "Encoder", "FrameEncoder", "Json", "Modality", "Origin", "RecurrentEncoder", "Trunk"]

Json: TypeAlias = str | int | float | bool | list["Json"] | dict[str, "Json"] | None
Modality: TypeAlias = Literal["video", "sound"]

# Of Kinetics-400, as torchvision's video weights have it, and of ImageNet.
KINETICS_MEAN, KINETICS_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

LUMINANCE = (0.299, 0.587, 0.114)
"""Of red, green and blue, by ITU-R BT.601."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """How an encoder was made: the import path of its constructor and the keyword arguments, fit for JSON."""

    constructor: str
    arguments: Mapping[str, Json]

    @classmethod
    def of(cls, constructor: Callable[..., Encoder], /, arguments: Mapping[str, Json]) -> Origin:
        """The origin of what `constructor(**arguments)` makes."""
        return cls(constructor=f"{constructor.__module__}.{constructor.__qualname__}", arguments=dict(arguments))

    def rebuilt(self, constructor: Callable[..., Encoder]) -> Encoder:
        """A new encoder of this origin, with weights drawn from torch's generator."""
        encoder = constructor(**self.arguments)
        if not isinstance(encoder, Encoder):
            raise TypeError(f"{self.constructor} made a {type(encoder).__name__}; a constructor returns an Encoder")
        return encoder


@dataclass(frozen=True, kw_only=True)
class Trunk:
    """A network and how to run it: `stages` names, in order, the submodules of `net` that lead to each tap.

    `net` keeps the names of its parameters, so weights of its own library fit; `dim` is D, the channels of the last
    map. `set_aside` are the prefixes of those keys of its library's weights that an encoder has no use for.
    """

    net: nn.Module
    stages: Mapping[str, Sequence[str]]
    dim: int
    set_aside: tuple[str, ...] = ()


class Encoder(nn.Module, ABC):
    """Clips in, features out: one vector, a sequence, or the map of any stage; see `forward`, `sequence`, `features`.

    Attributes:
        dim: D, the size of a feature vector.
        taps: names of the stages, from input to output.
        origin: how to make one like it again; it is saved with the weights.
    """

    modality: ClassVar[Modality]

    def __init__(self, trunk: Trunk, *, origin: Origin) -> None:
        super().__init__()
        self.net = trunk.net
        self.dim = trunk.dim
        self.stages = {tap: tuple(names) for tap, names in trunk.stages.items()}
        self.taps = tuple(self.stages)
        self.set_aside = trunk.set_aside
        self.origin = origin

    @abstractmethod
    def prepare(self, x: Tensor) -> Tensor:
        """What the first stage takes, made of clips: normalised and in the trunk's layout."""

    @abstractmethod
    def maps(self, y: Tensor, x: Tensor) -> Tensor:
        """The map of a stage in the layout of `features`, from the trunk's output `y` for the clips `x`."""

    def features(self, x: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        """The maps of the stages asked for: (B, D', T', H', W') of video, (B, D', L, F) of sound (time, frequency).

        Stages after the last one asked for are not run.

        Raises:
            ValueError: a tap that this encoder does not have.
        """
        if unknown := [tap for tap in taps if tap not in self.stages]:
            raise ValueError(f"taps {unknown}: this encoder has {list(self.taps)}")
        found: dict[str, Tensor] = {}
        y = self.prepare(x)
        for tap, names in self.stages.items():
            if len(found) == len(set(taps)):
                break
            for name in names:
                y = self.net.get_submodule(name)(y)
            if tap in taps:
                found[tap] = self.maps(y, x)
        return found

    def last(self, x: Tensor) -> Tensor:
        """The map of the last stage."""
        return self.features(x, self.taps[-1:])[self.taps[-1]]

    def sequence(self, x: Tensor) -> Tensor:
        """Features over time, (B, L, D): the last map, averaged over space or frequency."""
        y = self.last(x)
        return y.mean(dim=tuple(range(3, y.ndim))).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """One vector for each clip, (B, D): the last map, averaged over all places and instants."""
        return self.last(x).flatten(2).mean(dim=2)


class _Video(Encoder):
    """Encoders of (B, T, C, H, W): uint8 0…255 or float 0…1, C = 3, or 1 for grey.

    Without `colour` an encoder makes its frames grey, also where it is measured: it was never shown a colour.
    """

    modality: ClassVar[Modality] = "video"
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        trunk: Trunk,
        *,
        origin: Origin,
        mean: Sequence[float] = KINETICS_MEAN,
        std: Sequence[float] = KINETICS_STD,
        colour: bool = True,
    ) -> None:
        super().__init__(trunk, origin=origin)
        self.colour = colour
        # The constructor knows them, so they are not part of the saved state.
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def normalised(self, x: Tensor) -> Tensor:
        """Frames (*, 3, H, W) with zero mean and unit variance over the data that `mean` and `std` are of."""
        if x.ndim != 5 or x.shape[2] not in {1, 3}:
            raise ValueError(f"video of shape {tuple(x.shape)}: must be (B, T, C, H, W) with C = 3, or 1 for grey")
        top = 1.0 if x.is_floating_point() else 255.0
        x = x.to(self.mean.dtype)
        if not self.colour and x.shape[2] == 3:
            x = (x * x.new_tensor(LUMINANCE)[:, None, None]).sum(dim=2, keepdim=True)
        # Broadcasting makes three channels of a grey clip.
        return (x - top * self.mean) / (top * self.std)


class FrameEncoder(_Video):
    """A 2-D network that sees frames one by one: T is folded into the batch, and the mean over T is the clip's vector.

    A picture is T = 1.
    """

    def prepare(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) → (B·T, 3, H, W)."""
        return self.normalised(x).flatten(0, 1)

    def maps(self, y: Tensor, x: Tensor) -> Tensor:
        """(B·T, D', H', W') → (B, D', T, H', W')."""
        return torch.unflatten(y, 0, x.shape[:2]).transpose(1, 2)


class ClipEncoder(_Video):
    """A 3-D network, which sees motion."""

    def prepare(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) → (B, 3, T, H, W)."""
        return self.normalised(x).transpose(1, 2)

    def maps(self, y: Tensor, x: Tensor) -> Tensor:
        """(B, D', T', H', W') as it is."""
        return y


class RecurrentEncoder(_Video):
    """A network that reads frames one after the other: what it has made of them at the last is the clip's vector.

    Its sequence holds what it has made of the frames up to each.
    """

    def prepare(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) → (B, T, 3, H, W)."""
        return self.normalised(x)

    def maps(self, y: Tensor, x: Tensor) -> Tensor:
        """(B, T, D', H', W') → (B, D', T, H', W')."""
        return y.transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """The last state of each clip, (B, D)."""
        return self.last(x)[:, :, -1].flatten(2).mean(dim=2)
