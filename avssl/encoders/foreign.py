"""Networks of torchvision and timm, and weights in the files of other programs, as encoders; nothing is downloaded."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from avssl.core import MediaError
from avssl.encoders import clip, frame
from avssl.encoders.base import ClipEncoder, Encoder, FrameEncoder, Origin, Trunk
from avssl.encoders.choice import SoundNet, VideoNet
from avssl.encoders.weights import fill, read_weights

__all__ = ["Foreign", "load_foreign", "timm_net", "torchvision_net"]

TAPPED: Mapping[str, Callable[[], Encoder]] = MappingProxyType(
    {
        "resnet18": frame.resnet18,
        "resnet50": frame.resnet50,
        "r3d_18": clip.r3d_18,
        "mc3_18": clip.mc3_18,
        "r2plus1d_18": clip.r2plus1d_18,
        "s3d": clip.s3d,
    }
)
"""Networks of torchvision whose stages are known here."""

HOW = (
    "give NETWORK=FILE or NETWORK=FILE#PREFIX, where NETWORK is torchvision:NAME, timm:NAME or one of avssl's "
    f"({', '.join(n.name for kind in (VideoNet, SoundNet) for n in kind)})"
)


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A network by name, the file of its weights, and the prefix under which they are there, if there are several."""

    network: str
    file: Path | None = None
    prefix: str | None = None

    @classmethod
    def parse(cls, text: str) -> Foreign | None:
        """`NETWORK=FILE#PREFIX`, `NETWORK=FILE` or `torchvision:NAME`; None if it is none of these."""
        network, equals, rest = text.partition("=")
        named = network.startswith(("torchvision:", "timm:"))
        if not named and not (equals and network in {n.name for kind in (VideoNet, SoundNet) for n in kind}):
            return None
        file, mark, prefix = rest.partition("#")
        return cls(network=network, file=Path(file) if file else None, prefix=prefix if mark else None)

    @property
    def weights(self) -> Path:
        """The file, or, of torchvision's own weights, where torch keeps those that were downloaded.

        Raises:
            MediaError: there are no weights.
        """
        if self.file is not None:
            return self.file
        home, _, name = self.network.partition(":")
        if home != "torchvision":
            raise MediaError(self.network, "has no weights", f"give {self.network}=FILE")
        url = _torchvision_weights(name).url
        path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
        if not path.is_file():
            raise MediaError(path, f"there are no weights of {self.network} here", f"fetch {url}, or give =FILE")
        return path


def load_foreign(choice: Foreign, *, sample_rate: int = 16000) -> Encoder:
    """An encoder with weights of other programs, on the CPU and in evaluation mode; `sample_rate` is that of sound, Hz.

    The file may be safetensors, or what `torch.save` wrote of tensors in dictionaries. Its weights may lie anywhere in
    it, under any prefix, as long as every key of the network is there. Other keys under that prefix are an error, but
    for those of the network's own classifier, which is set aside.

    Raises:
        MediaError: there is no file, or it cannot be read.
        ValueError: there is no such network, keys are missing, unexpected or of other shapes, or lie under several
            prefixes.
    """
    path = choice.weights
    encoder = _built(choice.network, sample_rate)
    state = _state(path)
    own = encoder.net.state_dict()
    prefix = choice.prefix if choice.prefix is not None else _prefix(state, own, choice)
    under = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if encoder.set_aside:
        under = {k: v for k, v in under.items() if not k.startswith(encoder.set_aside)}
    counters = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")}  # which old files lack
    fill(encoder.net, counters | under, f"{path} under {prefix!r}" if prefix else str(path))
    return encoder.eval()


def torchvision_net(*, name: str) -> Encoder:
    """A network of torchvision for pictures or clips, without its classifier and with one tap, its vector.

    It takes pictures or clips of the size that the network wants, and normalises them as torchvision's weights do.

    Raises:
        ValueError: torchvision has no classifier of this name.
    """
    weights = _torchvision_weights(name)
    net = torchvision.models.get_model(name, weights=None)
    count = len(weights.meta["categories"])
    heads = [(n, m) for n, m in net.named_modules() if isinstance(m, nn.Linear) and m.out_features == count]
    if not heads:
        raise ValueError(f"torchvision:{name}: no known layer gives its {count} classes, so none can be removed")
    head, layer = heads[-1]
    net.set_submodule(head, nn.Identity())
    trunk = Trunk(net=net, stages={"vector": ("",)}, dim=layer.in_features, set_aside=(f"{head}.",))
    looks = weights.transforms()
    moving = name in torchvision.models.list_models(module=torchvision.models.video)
    kind = _VectorOfClips if moving else _VectorOfFrames
    return kind(trunk, origin=Origin.of(torchvision_net, {"name": name}), mean=looks.mean, std=looks.std)


def timm_net(*, name: str) -> FrameEncoder:
    """A network of timm for pictures, without its classifier and with one tap, its vector.

    Raises:
        ValueError: timm is not installed, or has no network of this name.
    """
    try:
        import timm  # optional
    except ImportError as e:
        raise ValueError(f"timm:{name}: timm is not installed: pip install timm") from e
    try:
        net: Any = timm.create_model(name, pretrained=False, num_classes=0)
    except RuntimeError as e:
        raise ValueError(f"timm:{name}: {e}; timm.list_models() tells those there are") from e
    told = net.pretrained_cfg
    heads = told.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    dim = int(getattr(net, "head_hidden_size", None) or net.num_features)
    trunk = Trunk(net=net, stages={"vector": ("",)}, dim=dim, set_aside=tuple(f"{h}." for h in heads))
    origin = Origin.of(timm_net, {"name": name})
    return _VectorOfFrames(trunk, origin=origin, mean=told["mean"], std=told["std"])


class _VectorOfFrames(FrameEncoder):
    def maps(self, y: Tensor, x: Tensor) -> Tensor:
        """(B·T, D) → (B, D, T, 1, 1)."""
        return super().maps(y[:, :, None, None], x)


class _VectorOfClips(ClipEncoder):
    def maps(self, y: Tensor, x: Tensor) -> Tensor:
        """(B, D) → (B, D, 1, 1, 1)."""
        return y[:, :, None, None, None]


def _built(network: str, sample_rate: int) -> Encoder:
    home, _, name = network.partition(":")
    if home == "torchvision":
        return TAPPED[name]() if name in TAPPED else torchvision_net(name=name)
    if home == "timm":
        return timm_net(name=name)
    for kind in (VideoNet, SoundNet):
        if network in kind.__members__:
            return kind[network].build(sample_rate=sample_rate)
    raise ValueError(f"network {network!r}: {HOW}")


def _torchvision_weights(name: str) -> Any:
    try:
        return torchvision.models.get_model_weights(name).DEFAULT
    except (ValueError, AttributeError) as e:
        raise ValueError(f"torchvision:{name}: {e}; torchvision.models.list_models() tells those there are") from e


def _state(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, those in dictionaries under the names of these and a dot."""
    if path.suffix == ".safetensors":
        return read_weights(path)
    if not path.is_file():
        raise MediaError(path, "is not a file", "give the path of a file of weights")
    with path.open("rb") as file:
        old = file.read(2) == b"\x80\x02"  # a pickle, where files of today are zip files
    if not old and not zipfile.is_zipfile(path):
        raise MediaError(path, "is nothing that torch.save writes", "give a state dict, or a .safetensors file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as e:
        what = "holds more than numbers, and might run anything if it were read"
        raise MediaError(path, what, "save the state dict of its network alone, where you trust it") from e
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as e:
        raise MediaError(path, f"cannot be read as what torch.save writes ({e})", "save the state dict again") from e
    found: dict[str, Tensor] = {}
    _flatten(content, "", found)
    if not found:
        raise MediaError(path, "holds no tensors", "save the state dict of a network")
    return found


def _flatten(content: object, prefix: str, found: dict[str, Tensor]) -> None:
    if isinstance(content, Tensor):
        found[prefix.removesuffix(".")] = content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            _flatten(value, f"{prefix}{name}.", found)


def _prefix(state: Mapping[str, Tensor], own: Mapping[str, Tensor], choice: Foreign) -> str:
    """Under which all keys of a network are; where they are not all under any, that under which most are."""
    needed = [k for k in own if not k.endswith("num_batches_tracked")]
    there = {k.removesuffix(n) for n in needed[:1] for k in state if k == n or k.endswith(f".{n}")}
    whole = sorted(p for p in there if all(p + n in state for n in needed))
    if len(whole) > 1:
        raise ValueError(
            f"{choice.weights} has weights of {choice.network} under {', '.join(map(repr, whole))}: choose by "
            f"{choice.network}={choice.weights}#PREFIX"
        )
    if whole:
        return whole[0]
    return max(sorted(there), key=lambda p: sum(p + n in state for n in needed), default="")
