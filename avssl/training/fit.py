"""The one training loop: any task, any clips, one process or many, from any step on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from avssl.core import Example, MediaError, generator
from avssl.data import Clips, Loader, Readers, announce
from avssl.encoders import Encoder, save_encoder
from avssl.tasks import Features, Task
from avssl.training.beginning import compare_items, encoder_file, take_over
from avssl.training.checkpoint import restore, save
from avssl.training.draws import write_draws
from avssl.training.everything import everything
from avssl.training.held_out import held_out
from avssl.training.log import Log
from avssl.training.optimisers import Optimisers
from avssl.training.order import visits
from avssl.training.progress import TrainingProgress
from avssl.training.schedules import rate
from avssl.training.start import Run

__all__ = ["Probe", "fit"]

Probe = Callable[[Mapping[str, Encoder]], Iterable[tuple[str, float]]]
"""Measures the encoders while they are trained: names and values."""


def fit(
    run: Run,
    task: Task,
    clips: Clips,
    *,
    whole: Clips | None = None,
    probes: Sequence[Probe] = (),
) -> Run:
    """Train a task on clips, and leave in the run folder the draws, the metrics, the checkpoints and the encoders.

    The probes are also taken before the first step, of the untrained networks. `whole` is how all items are cut for a
    task that passes over them before an epoch.

    Raises:
        MediaError: a file is damaged and `clips.damaged` is "stop".
        ReaderDied: a process that reads has been ended.
        ValueError: there are fewer items than fill a batch; the task passes over all items and `whole` is not given; or
            a parameter has no gradient in the first step.
        FloatingPointError: the loss is not finite.
    """
    clips = replace(clips, seed=run.train.seed)
    compare_items(run, clips)
    loop = _Loop(run, task.to(run.device), clips, whole)
    if run.ranks.first:
        write_draws(run.folder, clips)
    loop.train(probes)
    if run.ranks.first:
        for name, encoder in task.encoders().items():
            save_encoder(encoder, run.folder / encoder_file(name))
    run.ranks.wait()
    return run


@dataclass
class _Pending:
    """A step whose numbers are still on the device."""

    values: dict[str, float | int]
    metrics: dict[str, Tensor]


class _Loop:
    def __init__(self, run: Run, task: Task, clips: Clips, whole: Clips | None) -> None:
        train = run.train
        self.run, self.train_as, self.task, self.clips, self.whole = run, train, task, clips, whole
        self.steps_per_epoch = len(clips) * clips.repeats // train.batch_size
        if train.epochs and not self.steps_per_epoch:
            raise ValueError(
                f"{len(clips)} items do not fill one batch of {train.batch_size}: choose --train.batch-size "
                f"{len(clips) * clips.repeats} or less, or give more data"
            )
        share = run.ranks.world * train.accumulate
        if train.batch_size % share:
            raise ValueError(
                f"batch_size {train.batch_size} is not a multiple of {run.ranks.world} ranks × {train.accumulate} "
                "micro-batches"
            )
        self.micro = train.batch_size // share
        if self.micro % clips.repeats:
            raise ValueError(
                f"batches of {self.micro} (batch_size {train.batch_size} in {share} parts) are not a multiple of the "
                f"{clips.repeats} examples of a visit: choose --train.batch-size or --data.repeats so that they are"
            )
        self.optimisers = Optimisers(task, train)
        self.step = restore(run, task, self.optimisers) if train.resume else 0
        if self.step == 0:
            if train.init is not None:
                take_over(task, train.init)
            task.before_training()
        self.forward = self._wrapped()
        self.looked = False
        self.pending: list[_Pending] = []
        self.totals: dict[str, float] = {}

    def _wrapped(self) -> nn.Module:
        module: nn.Module = self.task
        cuda = self.run.device.type == "cuda"
        if self.run.ranks.world > 1:
            if cuda:  # gloo has no synchronised batch norm
                module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
            module = DistributedDataParallel(
                module, device_ids=[self.run.ranks.local] if cuda else None, broadcast_buffers=False
            )
        if self.train_as.compile:
            module.compile()
        return module

    def train(self, probes: Sequence[Probe]) -> None:
        train, total = self.train_as, self.train_as.epochs * self.steps_per_epoch
        self.log = Log(self.run, step=self.step)
        self.began = time.perf_counter()
        for error in (*self.clips.rejected, *self.clips.unfit) if self.step == 0 else ():
            self.log.event({"step": 0, "what": "left out", "path": error.path, "why": error.what})
        if (unfit := self.clips.unfit) and self.run.ranks.first:
            what = f"{len(unfit)} of {len(unfit) + len(self.clips)} files cannot be cut and are left out"
            announce(f"{what} (all are named in {self.run.metrics}):", unfit, most=10)
        try:
            with (
                TrainingProgress(steps=total, done=self.step, shown=self.run.ranks.first) as self.progress,
                # for the whole run, since processes take a while to start
                Readers.of(self.clips if self.step < total else replace(self.clips, workers=0)) as self.readers,
            ):
                if train.probe_every and total and self.step == 0:
                    self._probe(probes, epoch=0)
                while self.step < total:
                    epoch = self.step // self.steps_per_epoch
                    self._epoch(epoch)
                    last = epoch + 1 == train.epochs
                    if train.probe_every and (last or (epoch + 1) % train.probe_every == 0):
                        self._probe(probes, epoch)
                    if not train.checkpoint_every or last or self.step % train.checkpoint_every == 0:
                        save(self.run, self.task, self.optimisers, step=self.step)
        finally:
            self.log.close()

    def _epoch(self, epoch: int) -> None:
        first = self.step % self.steps_per_epoch
        if not first:
            # what it draws is a function of the epoch, and alike on all ranks
            torch.manual_seed(int(generator(self.train_as.seed, epoch, 0, 0).integers(2**62)))
            self.optimisers.forget(self.task.before_epoch(epoch, self._everything))
        loader = Loader(
            self.clips,
            self._positions(epoch, first),
            epoch=epoch,
            device=self.run.device,
            ahead=max(64, 2 * self.micro),
            readers=self.readers,
            keep_size=True,  # a smaller batch on one rank would fail where the ranks gather their embeddings
        )
        self.forward.train()
        with closing(iter(loader)) as batches:  # also when training stops half way, as threads read ahead
            seconds = self._steps(epoch, first, loader, batches)
        self._flush(loader)
        times = _times(loader, seconds)
        examples = (self.steps_per_epoch - first) * self.micro * self.train_as.accumulate
        self.log.times({"step": self.step - 1, "epoch": epoch, "examples": examples, **times})
        means = {name: total / (self.steps_per_epoch - first) for name, total in self.totals.items()}
        self.totals.clear()
        self.progress.epoch_done(epoch=epoch, epochs=self.train_as.epochs, means=means, times=times)

    def _steps(self, epoch: int, first: int, loader: Loader, batches: Iterator[Example]) -> float:
        """The steps of an epoch; the seconds that they took."""
        every = self.train_as.checkpoint_every
        since, waited = time.perf_counter(), 0.0
        began = since
        for _ in range(first, self.steps_per_epoch):
            values: dict[str, float | int] = {"step": self.step, "epoch": epoch}
            metrics, clips = self._update(batches, values)
            now = time.perf_counter()
            values |= {
                "clips_per_second": clips * self.run.ranks.world / (now - since),
                "waiting": (loader.waited - waited) / (now - since),
                "seconds": now - self.began,
            }
            since, waited = now, loader.waited
            self.pending.append(_Pending(values, metrics))
            self.step += 1
            # the state at the end of an epoch is saved by `train`, after the probes, which a resumed run skips
            if every and self.step % every == 0 and self.step % self.steps_per_epoch:
                self._flush(loader)
                save(self.run, self.task, self.optimisers, step=self.step)
            elif self.run.device.type == "cpu" or len(self.pending) == 20:  # reading a number makes the device wait
                self._flush(loader)
        return time.perf_counter() - began

    def _positions(self, epoch: int, first: int) -> list[list[int]]:
        """This rank's micro-batches of the epoch, from step `first` on; each item gives several examples, maybe."""
        order = visits(self.task, self.clips, seed=self.train_as.seed, epoch=epoch)
        size, micro = (n // self.clips.repeats for n in (self.train_as.batch_size, self.micro))
        chunks = []
        for step in range(first, self.steps_per_epoch):
            start = step * size + self.run.ranks.rank * micro * self.train_as.accumulate
            chunks += [[*order[start + k * micro : start + (k + 1) * micro]] for k in range(self.train_as.accumulate)]
        return chunks

    def _everything(self) -> Features:
        """The task's features of all items, told on the way what of them is damaged."""
        if self.whole is None:
            raise ValueError(
                f"{type(self.task).__name__} passes over all items before an epoch: say how they are cut for it, "
                "with fit(…, whole=clips.seen_as(*c.steady()))"
            )
        features, skipped = everything(
            self.task,
            self.whole,
            batch_size=self.micro,
            device=self.run.device,
            ranks=self.run.ranks,
            readers=self.readers,
        )
        self._tell_skipped(skipped)
        return features

    def _update(self, batches: Iterator[Example], values: dict[str, float | int]) -> tuple[dict[str, Tensor], int]:
        train = self.train_as
        where = self.step / self.steps_per_epoch
        lr = rate(train, where)
        self.optimisers.set_rate(lr)
        # what dropout draws is a function of the step, so that resuming needs no generator's state
        torch.manual_seed(int(generator(train.seed, self.step, self.run.ranks.rank).integers(2**62)))
        self.optimisers.zero_grad()
        summed: dict[str, Tensor] = {}
        clips = 0
        for micro in range(train.accumulate):
            batch = next(batches)
            clips += len(batch) * len(batch.clips)
            several = isinstance(self.forward, DistributedDataParallel) and micro + 1 < train.accumulate
            with self.forward.no_sync() if several else nullcontext():  # type: ignore[operator]
                with torch.autocast(self.run.device.type, torch.bfloat16, enabled=train.precision == "bfloat16"):
                    out: dict[str, Tensor] = self.forward(batch)
                torch.autograd.backward(out["loss"] / train.accumulate)
            for name, value in out.items():
                summed[name] = summed.get(name, torch.zeros_like(value.detach())) + value.detach() / train.accumulate
        if not self.looked:
            self.optimisers.require_gradients(self.task)
            self.looked = True
        if train.clip_norm is not None:
            summed["gradient_norm"] = nn.utils.clip_grad_norm_(self.task.parameters(), train.clip_norm).detach()
        self.optimisers.step()
        self.task.after_step((self.step + 1) / max(1, train.epochs * self.steps_per_epoch))
        values["lr"] = lr
        return summed, clips

    def _flush(self, loader: Loader) -> None:
        """Bring the numbers of the pending steps from the device, average them over the ranks and write them."""
        self._tell_skipped(loader.skipped)
        loader.skipped.clear()
        for pending in self.pending:
            names = sorted(pending.metrics)
            numbers = self.run.ranks.mean(torch.stack([pending.metrics[n].float() for n in names])).tolist()
            metrics = dict(zip(names, numbers, strict=True))
            if not torch.isfinite(torch.tensor(metrics["loss"])):
                raise FloatingPointError(
                    f"the loss of step {pending.values['step']} is {metrics['loss']}: lower --train.lr or set "
                    "--train.clip-norm"
                )
            values = pending.values | metrics
            self.log.step(values)
            self.progress.update(
                step=int(values["step"]) + 1,
                epoch=int(values["epoch"]),
                loss=metrics["loss"],
                rate=float(values["clips_per_second"]),
                waiting=float(values["waiting"]),
            )
            for name in ("loss", "accuracy", "clips_per_second", "waiting"):
                if name in values:
                    self.totals[name] = self.totals.get(name, 0.0) + float(values[name])
        self.pending.clear()
        self.log.flush()

    def _tell_skipped(self, skipped: Sequence[MediaError]) -> None:
        """Log the damaged files of all ranks, once each."""
        for path, why in dict(self.run.ranks.together([(e.path, e.what) for e in skipped])).items():
            self.log.event({"step": max(0, self.step - 1), "what": "skipped", "path": path, "why": why})
            self.progress.skipped(path, why)

    def _probe(self, probes: Sequence[Probe], epoch: int) -> None:
        self.task.eval()
        found, skipped = held_out(
            self.task,
            self.clips,
            batch_size=self.micro,
            device=self.run.device,
            ranks=self.run.ranks,
            readers=self.readers,
        )
        self._tell_skipped(skipped)
        if self.run.ranks.first:
            for probe in probes:
                found += probe(self.task.encoders())
            for name, value in found:
                self.log.probe(step=self.step, epoch=epoch, name=name, value=value)
            self.log.flush()
            self.progress.probed("  ".join(f"{name} {value:.3f}" for name, value in found))
        self.task.train()
        self.run.ranks.wait()


def _times(loader: Loader, seconds: float) -> dict[str, float]:
    """Where the time of an epoch went: three that add up to it, and, of all who read, four of what they did meanwhile.

    On CUDA the transform ends when its work is queued; the device does it in the time of the step.
    """
    spent = loader.spent
    return {
        "waiting_seconds": loader.waited,
        "transform_seconds": loader.transformed,
        "step_seconds": seconds - loader.waited - loader.transformed,
        "decode_seconds": spent.decode,
        "convert_seconds": spent.convert,
        "sound_seconds": spent.sound,
        "other_reading_seconds": spent.other,
    }
