"""Batches on their way to a device, while it is busy with the one before."""

from __future__ import annotations

import torch
from torch import Tensor

from avssl.core import Clip, Example

__all__ = ["Upload"]


class Upload:
    """Brings batches to a device: to CUDA on a stream of its own, from page-locked memory.

    `send` may be called by a thread ahead of time; `receive` by whoever computes with the batch.
    """

    def __init__(self, device: torch.device | str) -> None:
        self._device = torch.device(device)
        self._stream: torch.cuda.Stream | None = None
        if self._device.type == "cuda":
            self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]

    def send(self, batch: Example) -> tuple[Example, torch.cuda.Event | None]:
        """Begin to copy a batch; it can be used once it has been received."""
        if self._stream is None or any(t.is_cuda for t in _tensors(batch)):  # what was decoded there is there
            return batch.to(self._device, non_blocking=True), None
        with torch.cuda.stream(self._stream):
            sent = _pinned(batch).to(self._device, non_blocking=True)
            return sent, self._stream.record_event()

    def receive(self, batch: Example, sent: torch.cuda.Event | None) -> Example:
        """The batch, which the current stream waits for; the processor does not."""
        if sent is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(sent)
            for tensor in _tensors(batch):  # or its memory would be taken for the batch after next too early
                tensor.record_stream(stream)
        return batch


def _tensors(batch: Example) -> list[Tensor]:
    parts = [t for c in batch.clips for t in (c.video, c.audio, c.times, c.valid) if t is not None]
    return [*parts, *batch.labels.values(), *batch.parameters.values(), batch.index]


def _pinned(batch: Example) -> Example:
    """The same batch in page-locked memory, from where the device copies it while the processor goes on."""

    def maybe(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.pin_memory()

    return Example(
        clips=tuple(
            Clip(video=maybe(c.video), audio=maybe(c.audio), times=maybe(c.times), valid=maybe(c.valid))
            for c in batch.clips
        ),
        labels={k: v.pin_memory() for k, v in batch.labels.items()},
        parameters={k: v.pin_memory() for k, v in batch.parameters.items()},
        index=batch.index.pin_memory(),
    )
