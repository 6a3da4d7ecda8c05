"""Weights in files (safetensors, which hold numbers and no code) and in the names of other libraries."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from avssl.core import MediaError
from avssl.encoders.base import Encoder, Origin

__all__ = [
    "fill",
    "fingerprint",
    "from_torchvision",
    "load_encoder",
    "load_weights",
    "read_weights",
    "reinitialised",
    "save_encoder",
    "save_weights",
    "to_torchvision",
]

_HOME = "avssl.encoders."


def constructor_of(origin: Origin) -> Callable[..., Encoder]:
    """The function that `origin` names.

    Raises:
        ValueError: it is not a public function inside avssl.encoders; nothing else is ever imported or called.
    """
    module, _, name = origin.constructor.rpartition(".")
    if not module.startswith(_HOME) or name.startswith("_"):
        raise ValueError(
            f"constructor {origin.constructor!r}: only those inside avssl.encoders are called by name; "
            "for your own give load_encoder(path, constructor=…)"
        )
    try:
        room = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(f"constructor {origin.constructor!r}: there is no module {module}") from error
    if name not in getattr(room, "__all__", ()) or not callable(getattr(room, name)):
        raise ValueError(f"constructor {origin.constructor!r}: {module} offers {list(room.__all__)}")
    found: Callable[..., Encoder] = getattr(room, name)
    return found


def save_weights(module: nn.Module, path: Path | str) -> None:
    """Write the state of a module (parameters and buffers) as safetensors."""
    write_state(module, Path(path), {})


def load_weights(module: nn.Module, path: Path | str) -> None:
    """Fill a module with the state that `save_weights` or `save_encoder` wrote.

    Raises:
        MediaError: the file is missing or no safetensors file.
        ValueError: names or shapes differ; says which.
    """
    state, _ = read_state(Path(path))
    fill(module, state, str(path))


def save_encoder(encoder: Encoder, path: Path | str) -> None:
    """Write an encoder as safetensors, with its constructor and arguments as metadata."""
    origin = encoder.origin
    write_state(
        encoder,
        Path(path),
        {"constructor": origin.constructor, "arguments": json.dumps(origin.arguments, sort_keys=True)},
    )


def load_encoder(path: Path | str, *, constructor: Callable[..., Encoder] | None = None) -> Encoder:
    """Read an encoder that `save_encoder` wrote, on the CPU and in evaluation mode.

    The metadata name its constructor, which must be one of avssl.encoders; give `constructor` for one of your own.

    Raises:
        MediaError: the file is missing, no safetensors file, or was not written by `save_encoder`.
        ValueError: a constructor from elsewhere, or weights that do not fit it.
    """
    state, metadata = read_state(Path(path))
    if "constructor" not in metadata or "arguments" not in metadata:
        raise MediaError(path, "names no constructor", "write it with save_encoder, or use load_weights")
    origin = Origin(constructor=metadata["constructor"], arguments=json.loads(metadata["arguments"]))
    encoder = origin.rebuilt(constructor_of(origin) if constructor is None else constructor)
    fill(encoder, state, str(path))
    return encoder.eval()


def from_torchvision(encoder: Encoder, state: Mapping[str, Tensor]) -> None:
    """Fill an encoder with weights of torchvision's network of the same name.

    The classifier (`encoder.set_aside`, such as "fc.") is set aside. Every other key must be there; only the counters
    `num_batches_tracked`, which old files lack, may be missing.

    Raises:
        ValueError: the encoder has no counterpart in torchvision, or keys are missing, unexpected or of other shapes.
    """
    _require_torchvision(encoder)
    kept = {k: v for k, v in state.items() if not k.startswith(encoder.set_aside)}
    counters = {k: v for k, v in encoder.net.state_dict().items() if k.endswith("num_batches_tracked")}
    fill(encoder.net, counters | kept, "torchvision's weights")


def to_torchvision(encoder: Encoder) -> dict[str, Tensor]:
    """The weights under torchvision's names, without a classifier (load them with strict=False).

    Raises:
        ValueError: the encoder has no counterpart in torchvision.
    """
    _require_torchvision(encoder)
    return {k: v.detach().clone() for k, v in encoder.net.state_dict().items()}


def reinitialised(encoder: Encoder, seed: int) -> Encoder:
    """The same architecture with fresh weights, drawn from `seed`: the baseline "random init" of an evaluation.

    It is on the device of `encoder` and in the same mode. The generators of the caller are left as they were.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = encoder.origin.rebuilt(constructor_of(encoder.origin))
    device = next(encoder.parameters()).device
    return fresh.to(device).train(encoder.training)


def fingerprint(encoder: Encoder) -> str:
    """SHA-256 (hex) of an encoder: how it was made and every number of its state, on whatever device."""
    origin = encoder.origin
    digest = hashlib.sha256(json.dumps([origin.constructor, origin.arguments], sort_keys=True).encode())
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _require_torchvision(encoder: Encoder) -> None:
    if not encoder.set_aside:
        raise ValueError(f"{encoder.origin.constructor}: has no counterpart in torchvision")


def write_state(module: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {k: v.detach().cpu().contiguous().clone() for k, v in module.state_dict().items()}
    # A reader never sees half a file: it is written beside and then renamed.
    partial = path.with_name(path.name + ".partial")
    save_file(state, partial, metadata=metadata)
    partial.replace(path)


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.is_file():
        raise MediaError(path, "is not a file", "give the path of a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            return {k: file.get_tensor(k) for k in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise MediaError(
            path, f"cannot be read as safetensors ({error})", "write it again with save_encoder"
        ) from error


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        MediaError: the file is missing or no safetensors file.
    """
    return read_state(path)[0]


def fill(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load a state into a module; `source` is where it comes from.

    Raises:
        ValueError: names or shapes differ; says which.
    """
    own = module.state_dict()
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    shapes = [
        f"{k} {tuple(state[k].shape)} for {tuple(own[k].shape)}"
        for k in sorted(own.keys() & state.keys())
        if state[k].shape != own[k].shape
    ]
    if missing or unexpected or shapes:
        raise ValueError(
            f"{source} does not fit: missing keys {missing}, unexpected keys {unexpected}, "
            f"shapes that differ {shapes}; make the network with the arguments that the weights were trained with"
        )
    module.load_state_dict(dict(state))
