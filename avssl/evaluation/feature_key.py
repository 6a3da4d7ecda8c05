"""What cached features depend on, as text and hashes: who makes them, of which files, cut how, by which software."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import is_dataclass
from types import FunctionType

from avssl.core import MediaError
from avssl.data import Clips, Item
from avssl.encoders import Encoder, fingerprint
from avssl.media import DECODERS, Stamp, stamp_of

__all__ = ["clip_key", "data_key", "feature_key", "identity"]

VERSION = 1  # to be raised whenever the same network makes something else of the same clips

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def identity(function: object) -> str:
    """What tells a feature function from all others.

    Of an `Encoder` its weights and how it was made; of anything with a text `identity`, that and its class; of a
    dataclass its class and fields; of a plain function of avssl its name.

    Raises:
        ValueError: none of these, so that features of one function could be taken for those of another.
    """
    kind = f"{type(function).__module__}.{type(function).__qualname__}"
    told = getattr(function, "identity", None)
    if isinstance(told, str):
        return f"{kind} {told}"
    if isinstance(function, Encoder):
        return f"{kind} {fingerprint(function)}"
    if is_dataclass(function):
        return f"{kind} {_plain(function)}"
    if isinstance(function, FunctionType):
        name = f"{function.__module__}.{function.__qualname__}"
        if name.startswith("avssl.") and "<" not in name:
            return name
    raise ValueError(
        f"features of {function!r} cannot be cached, as nothing tells it from others: give it a text attribute "
        "`identity` that says all it depends on, or make them without a cache"
    )


def data_key(clips: Clips, *, modality: str) -> str:
    """A hash (hex) of the items, the stamps of their files, and how they are cut and decoded.

    Raises:
        ValueError: the sampler or the transform does not say what it is.
    """
    digest = hashlib.sha256(repr((modality, clips.fingerprint, *_cut(clips))).encode(errors="surrogateescape"))
    for item in clips.items:
        digest.update(_told(item))
    return digest.hexdigest()


def clip_key(clips: Clips, position: int) -> str:
    """A hash (hex) of one item, the stamp of its file, and how it is cut and decoded."""
    digest = hashlib.sha256(repr(_cut(clips)).encode())
    digest.update(_told(clips.items[position]))
    return digest.hexdigest()


def feature_key(data: str, function: str, dtype: str) -> str:
    """The name of the folder for the features of some data by a function, stored as `dtype`."""
    return hashlib.sha256(f"{data}\n{function}\n{dtype}".encode()).hexdigest()[:32]


def _cut(clips: Clips) -> tuple[object, ...]:
    decoding = (DECODERS, clips.decoding.backend, clips.decoding.device)
    return (VERSION, *decoding, clips.seed, _plain(clips.sampler), _plain(clips.transform))


def _told(item: Item) -> bytes:
    told = (item.index, os.path.abspath(item.path), item.start, item.info.duration, item.info.frames, _stamp(item))
    return repr(told).encode(errors="surrogateescape")


def _stamp(item: Item) -> Stamp | None:
    try:
        return stamp_of(item.path)
    except (OSError, ValueError, MediaError):  # a file that is gone is damaged, which its reader says
        return None


def _plain(choice: object) -> str:
    told = repr(choice)
    if _ADDRESS.search(told):
        raise ValueError(
            f"{told} does not say what it is, so features that depend on it cannot be cached: make it a dataclass, or "
            "switch the cache off"
        )
    return told
