"""Whether a contender gives the frames, and the sound, that were asked for: those that ours gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from bench_jobs import SOUND_RATE, Visit
from bench_worker import Worker

POOLED = 8
"""Pixels each way that are averaged before frames are compared, for scalers differ in what they keep of fine detail."""

TOLERANCE, NEARER, SLACK = 8.0, 1.5, 0.5
"""Mean absolute difference of 255 that the right frame may have, and by which factor and how much more than another."""

NEAR = (-4, -3, -2, -1, 1, 2, 3, 4)
FAR = 4.0
"""Mean absolute difference of all pixels beyond which a scaler is named, for it does another job."""

LATE = 0.002
"""Sound that is further away than this (s) is told."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """How many clips were compared, how many hold other frames, the difference (of 255), how late the sound is (s)."""

    clips: int
    other: int
    difference: float
    late: float | None = None

    @property
    def note(self) -> str:
        """What is to be said of it, if anything."""
        words = [f"other frames in {self.other} of {self.clips} clips"] if self.other else []
        if not self.other and self.difference > FAR:
            words.append(f"pixels differ by {self.difference:.1f} of 255")
        if self.late is not None and abs(self.late) > LATE:
            words.append(f"sound {1000 * self.late:+.0f} ms")
        return ", ".join(words)


class Reference:
    """The clips of some visits as ours reads them, and those some frames before and after."""

    def __init__(self, ours: Worker, visits: Sequence[Visit], frames: Mapping[str, int]) -> None:
        self.visits = list(visits)
        self._right = ours.tell("clips", self.visits)
        self._near = [ours.tell("clips", [v.shifted(k, frames[v.path] - 1) for v in visits]) for k in NEAR]

    def check(self, worker: Worker) -> Check:
        """Compare what a contender reads."""
        found = worker.tell("clips", self.visits)
        other, differences, lates = 0, [], []
        for v, clips in enumerate(found):
            for c, (video, sound) in enumerate(clips):
                right = self._right[v][c]
                wrong, difference = _compared(video, right[0], [near[v][c][0] for near in self._near])
                other += wrong
                differences.append(difference)
                if sound is not None and right[1] is not None:
                    lates.append(_late(sound, right[1]))
        late = float(np.median(lates)) if lates else None
        return Check(clips=len(differences), other=other, difference=float(np.median(differences)), late=late)


def _compared(video: np.ndarray, right: np.ndarray, near: Sequence[np.ndarray]) -> tuple[bool, float]:
    """Whether any frame of a clip is another one, and how far the clip is from ours."""
    if video.shape != right.shape:
        return True, float("nan")
    shown = _pooled(video)
    distance = np.abs(shown - _pooled(right)).mean((1, 2, 3))
    others = np.min([np.abs(shown - _pooled(n)).mean((1, 2, 3)) for n in near], 0)
    wrong = (distance > TOLERANCE) | (distance > NEARER * others + SLACK)
    return bool(wrong.any()), float(np.abs(video.astype(float) - right).mean())


def _pooled(video: np.ndarray) -> np.ndarray:
    frames, channels, high, wide = video.shape
    high, wide = high // POOLED, wide // POOLED
    cut = video[:, :, : high * POOLED, : wide * POOLED].astype(np.float32)
    pooled: np.ndarray = cut.reshape(frames, channels, high, POOLED, wide, POOLED).mean((3, 5))
    return pooled


def _late(sound: np.ndarray, right: np.ndarray) -> float:
    """By how much sound lags behind ours, s."""
    count = 2 * max(sound.shape[-1], right.shape[-1])
    cross = np.fft.irfft(np.fft.rfft(sound[0], count) * np.conj(np.fft.rfft(right[0], count)), count)
    lag = int(np.argmax(cross))
    return (lag if lag < count // 2 else lag - count) / SOUND_RATE
