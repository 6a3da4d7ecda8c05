"""From clips to batches on a device: in a repeatable order, read and put together ahead of the trainer."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain, cycle, islice
from typing import Any

import torch

from avssl.core import Example, MediaError, generator
from avssl.data.clips import Clips
from avssl.data.collate import collate
from avssl.data.readers import Readers
from avssl.data.scan import forgotten
from avssl.data.upload import Upload
from avssl.data.visit import Visited
from avssl.media import Spent

__all__ = ["Loader", "batches", "epoch_order"]


def epoch_order(items: int, *, seed: int, epoch: int) -> list[int]:
    """The order in which an epoch visits its items; the same for any number of workers and ranks."""
    return [int(i) for i in generator(seed, epoch).permutation(items)]


@dataclass
class Loader:
    """Batches of the given positions, in that order, whoever finishes first.

    Each element of `batches` is one batch: positions in `clips`, each of which gives `clips.repeats` examples of it.
    At most `ahead` examples are read before they are asked for, by `readers`, or, where none are given, by
    `clips.workers` threads or processes (`clips.reading`) that end with the iteration. One further thread puts together
    the batch that comes next, and sends it to the device, while the one before is worked on. A damaged file raises
    `MediaError`, or, where `clips.damaged` is "skip", is left out of its batch and noted in `skipped`; a batch of
    nothing else is left out too.

    `waited` adds up the seconds that whoever iterates had to wait, `transformed` those of the transform (on CUDA, only
    until its work is queued there), and `spent` those of all who read, for the batches given so far.

    Raises:
        MediaError: when iterating, a file is damaged and `clips.damaged` is "stop", or nothing is left of all batches,
            or of one that is to keep its size.
        ReaderDied: when iterating, a process that reads has been ended.
    """

    clips: Clips
    batches: Sequence[Sequence[int]]
    epoch: int = 0
    device: torch.device | str = "cpu"
    ahead: int = 64
    keep_size: bool = False
    """Whether examples of the batch are repeated in the places of damaged files, as ranks need that gather theirs."""
    readers: Readers | None = None
    waited: float = 0.0
    transformed: float = 0.0
    spent: Spent = field(default_factory=Spent)
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
            readers = self.readers or stack.enter_context(Readers.of(self.clips))
            upload = Upload(self.device)
            made = self._made(readers, upload, stack)
            while True:
                since = time.perf_counter()
                found = next(made, None)
                if found is None:
                    break
                readers.check()  # whatever is still to come, nobody is to train on without knowing
                self.skipped += found.damaged  # noted when its batch is due, however far ahead it was read
                self.spent.add(found.spent)
                last = found.damaged[-1] if found.damaged else last
                if found.batch is None:
                    if self.keep_size and last is not None:
                        raise _nothing_left(last, f"its batch of {found.size}")
                    continue
                ready, given = [upload.receive(found.batch, found.sent)], given + 1
                del found  # nothing here keeps a batch that has been given
                self.waited += time.perf_counter() - since
                yield self._transformed(ready.pop())
        if last and not given:
            raise _nothing_left(last, f"all {len(self.batches)} batches")

    def _transformed(self, batch: Example) -> Example:
        if self.clips.transform is None:
            return batch
        since = time.perf_counter()
        try:
            return self.clips.transform.apply(batch)
        finally:
            self.transformed += time.perf_counter() - since

    def _made(self, readers: Readers, upload: Upload, stack: ExitStack) -> Iterator[_Made]:
        """The batches in order, each made while the one before is worked on; without workers, when it is asked for."""
        if not readers.at_once:
            here = (self._visited(p, readers) for p in chain.from_iterable(self.batches))
            yield from (self._batch(positions, here, upload) for positions in self.batches)
            return
        # torch gives a thread that has not computed yet the number that was set last, by whichever thread: ours is to
        # have its own before the readers set theirs
        torch.get_num_threads()
        # a thread that decodes gains nothing from threads of its own, and loses much where the processor is busy
        alone: dict[str, Any] = {"initializer": torch.set_num_threads, "initargs": (1,)}
        makes = ThreadPoolExecutor(1, "avssl-batch", **alone)
        stack.callback(makes.shutdown, wait=True, cancel_futures=True)
        reads = ThreadPoolExecutor(readers.at_once, "avssl-read", **alone)
        stack.callback(reads.shutdown, wait=True, cancel_futures=True)
        if self.readers is None:
            stack.callback(readers.stop)  # first of all, so that no thread has to wait for a process
        visits = self._ahead(readers, reads)
        coming = makes.submit(self._batch, self.batches[0], visits, upload) if self.batches else None
        for positions in (*self.batches[1:], None):
            if coming is None:
                return
            made = [coming.result()]
            coming = makes.submit(self._batch, positions, visits, upload) if positions is not None else None
            yield made.pop()

    def _ahead(self, readers: Readers, reads: ThreadPoolExecutor) -> Iterator[Visited | MediaError]:
        """The visits in order, some of them read ahead."""
        window = max(1, self.ahead // self.clips.repeats)
        pending: deque[Future[Visited | MediaError]] = deque()
        upcoming = chain.from_iterable(self.batches)
        for _ in range(sum(map(len, self.batches))):
            while len(pending) < window and (p := next(upcoming, None)) is not None:
                pending.append(reads.submit(self._visited, p, readers))
            yield pending.popleft().result()

    def _visited(self, position: int, readers: Readers) -> Visited | MediaError:
        try:
            return readers.read(self.clips.visit(position, self.epoch), self.clips.cutter)
        except MediaError as e:
            if self.clips.damaged == "stop":
                raise
            return forgotten(e)

    def _batch(self, positions: Sequence[int], visits: Iterator[Visited | MediaError], upload: Upload) -> _Made:
        size = len(positions) * self.clips.repeats
        examples: list[Example] = []
        damaged, spent = [], Spent()
        for visit in islice(visits, len(positions)):
            if isinstance(visit, MediaError):
                damaged.append(visit)
            else:
                examples += visit.examples
                spent.add(visit.spent)
        if not examples:
            return _Made(None, None, damaged, spent, size)
        kept: Iterable[Example] = islice(cycle(examples), size) if self.keep_size else examples
        return _Made(*upload.send(collate(list(kept))), damaged, spent, size)


@dataclass(frozen=True)
class _Made:
    """A batch on its way to the device, and what was found when it was made; of damaged files alone there is none."""

    batch: Example | None
    sent: torch.cuda.Event | None
    damaged: list[MediaError]
    spent: Spent
    size: int


def _nothing_left(last: MediaError, of: str) -> MediaError:
    what = f"{last.what}; so are all the files of {of}"
    return MediaError(last.path, what, f"{last.remedy}, or take larger batches")


def batches(
    clips: Clips, *, batch_size: int, device: torch.device | str = "cpu", epoch: int = 0, workers: int | None = None
) -> Loader:
    """All items once, in their own order, the last batch perhaps smaller: the pass of an evaluation."""
    if workers is not None:
        clips = replace(clips, workers=workers)
    clips = replace(clips, repeats=1)
    positions = range(len(clips))
    chunks = [positions[i : i + batch_size] for i in range(0, len(clips), batch_size)]
    return Loader(clips, chunks, epoch=epoch, device=device, ahead=2 * batch_size)
