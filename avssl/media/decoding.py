"""The choice of what decodes films, and where."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch

from avssl.media.table import FileTable

__all__ = ["Backend", "Decoding", "device_of"]

Backend = Literal["auto", "pyav", "torchcodec", "decord"]


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """What decodes films, and where their frames come."""

    backend: Backend = "pyav"
    """pyav: FFmpeg on the processor, right on the most files. torchcodec: on the device, from the same packets. decord:
    on the processor, the plainest files only. auto: pyav, or torchcodec where that was measured to be quicker."""
    device: str = "cpu"
    """Where frames come: cpu, cuda, cuda:1 …; auto: where the batches go."""

    def towards(self, device: torch.device) -> Decoding:
        """The same for batches that go to a device: it is the GPU that "cuda" means, and all that "auto" does.

        The thread that asks has to be the one whose GPU is meant: those that decode know of the first one only.
        """
        if str(device) == "cuda":
            device = torch.device("cuda", torch.cuda.current_device())
        if self.device == "auto" or (self.device == "cuda" and device.type == "cuda"):
            return replace(self, device=str(device))
        return self

    def backend_for(self, table: FileTable | None) -> Backend:
        """The backend for a file; without its table nothing is known of it."""
        return self.backend


def device_of(device: str | torch.device) -> torch.device:
    """The device that is meant; "auto" is CUDA where there is any.

    Raises:
        ValueError: there is no such device, or frames cannot be decoded for it.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as e:
        raise ValueError(f"device {device!r} is not known: choose auto, cpu, cuda or cuda:N") from e
    if found.type not in {"cpu", "cuda"}:
        raise ValueError(f"frames cannot be decoded for device {device!r}: choose auto, cpu, cuda or cuda:N")
    if found.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device {device!r}: there is no CUDA here; choose auto or cpu")
    return found
