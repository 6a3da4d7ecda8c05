"""From clips to batches on a device: in a repeatable order, decoded by threads ahead of the trainer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import cycle, islice

import torch

from avssl.core import Example, MediaError, generator
from avssl.data.clips import Clips, collate
from avssl.data.scan import forgotten

__all__ = ["Loader", "batches", "epoch_order"]


def epoch_order(items: int, *, seed: int, epoch: int) -> list[int]:
    """The order in which an epoch visits its items; the same for any number of workers and ranks."""
    return [int(i) for i in generator(seed, epoch).permutation(items)]


@dataclass
class Loader:
    """Batches of the given positions, in that order, whatever thread finishes first.

    Each element of `batches` is one batch: positions in `clips`. Threads decode (the codecs free the interpreter
    lock) at most `ahead` examples before they are asked for. A damaged file raises `MediaError`, or, where
    `clips.damaged` is "skip", is left out of its batch and noted in `skipped`; a batch of nothing else is left out too.
    `waited` adds up the seconds that whoever iterates had to wait.

    Raises:
        MediaError: when iterating, a file is damaged and `clips.damaged` is "stop", or nothing is left of all batches,
            or of one that is to keep its size.
    """

    clips: Clips
    batches: Sequence[Sequence[int]]
    epoch: int = 0
    device: torch.device | str = "cpu"
    ahead: int = 64
    keep_size: bool = False
    """Whether examples of the batch are repeated in the places of damaged files, as ranks need that gather theirs."""
    waited: float = 0.0
    skipped: list[MediaError] = field(default_factory=list)

    def __post_init__(self) -> None:
        decoding = self.clips.decoding.towards(torch.device(self.device))
        self.clips = replace(self.clips, decoding=decoding)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Generator[Example, None, None]:
        given = 0
        last: MediaError | None = None
        with ExitStack() as stack:
            examples = self._examples(stack)
            for positions in self.batches:
                since = time.perf_counter()
                visits = [next(examples) for _ in positions]
                found = [v for v in visits if isinstance(v, Example)]
                damaged = [v for v in visits if isinstance(v, MediaError)]
                self.skipped += damaged  # noted when its batch is due, however far ahead it was read
                last = damaged[-1] if damaged else last
                if last and not found and self.keep_size:
                    raise _nothing_left(last, f"its batch of {len(positions)}")
                if not found:
                    continue
                if self.keep_size:
                    found = list(islice(cycle(found), len(positions)))
                batch = collate(found)
                if torch.device(self.device).type == "cuda":
                    batch = _pinned(batch)
                batch = batch.to(self.device, non_blocking=True)
                self.waited += time.perf_counter() - since
                given += 1
                yield batch if self.clips.transform is None else self.clips.transform.apply(batch)
        if last and not given:
            raise _nothing_left(last, f"all {len(self.batches)} batches")

    def _examples(self, stack: ExitStack) -> Iterator[Example | MediaError]:
        positions = [p for b in self.batches for p in b]
        if self.clips.workers == 0:
            yield from (self._example(p) for p in positions)
            return
        # torch gives a thread that has not computed yet the number that was set last, by whichever thread: ours is to
        # have its own before the readers set theirs
        torch.get_num_threads()
        # a thread that decodes gains nothing from threads of its own, and loses much where the processor is busy
        pool = ThreadPoolExecutor(self.clips.workers, "avssl-read", torch.set_num_threads, (1,))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        pending: deque[Future[Example | MediaError]] = deque()
        upcoming = iter(positions)
        for _ in positions:
            while len(pending) < self.ahead and (p := next(upcoming, None)) is not None:
                pending.append(pool.submit(self._example, p))
            yield pending.popleft().result()

    def _example(self, position: int) -> Example | MediaError:
        try:
            return self.clips.example(position, self.epoch)
        except MediaError as e:
            if self.clips.damaged == "stop":
                raise
            return forgotten(e)


def _nothing_left(last: MediaError, of: str) -> MediaError:
    what = f"{last.what}; so are all the files of {of}"
    return MediaError(last.path, what, f"{last.remedy}, or take larger batches")


def _pinned(batch: Example) -> Example:
    """The same batch in page-locked memory, from where the device copies it while the processor goes on."""

    def pin(x: torch.Tensor | None) -> torch.Tensor | None:
        return x if x is None or x.is_cuda else x.pin_memory()  # what was decoded on the device stays there

    clips = tuple(
        type(c)(video=pin(c.video), audio=pin(c.audio), times=pin(c.times), valid=pin(c.valid)) for c in batch.clips
    )
    return Example(clips=clips, labels=batch.labels, parameters=batch.parameters, index=batch.index)


def batches(
    clips: Clips, *, batch_size: int, device: torch.device | str = "cpu", epoch: int = 0, workers: int | None = None
) -> Loader:
    """All items once, in their own order, the last batch perhaps smaller: the pass of an evaluation."""
    if workers is not None:
        clips = replace(clips, workers=workers)
    positions = range(len(clips))
    chunks = [positions[i : i + batch_size] for i in range(0, len(clips), batch_size)]
    return Loader(clips, chunks, epoch=epoch, device=device, ahead=2 * batch_size)
