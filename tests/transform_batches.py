"""Batches of small random clips with drawn parameters, for the tests of transforms."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from avssl.core import Clip, Example, MediaInfo, Plan, Sound, Span, generator
from avssl.transforms import Transform

INFO = MediaInfo(
    duration=6.0, fps=25.0, frames=150, height=48, width=64, sample_rate=16000, channels=1, sound_duration=6.0
)


def plan_of(spans: int = 2, frames: int = 4, *, sound: bool = False) -> Plan:
    heard = Sound(start=0.0, duration=0.1) if sound else None
    return Plan(spans=(Span(times=tuple(0.1 * k for k in range(frames)), sound=heard),) * spans)


def batch_of(
    transform: Transform, plans: Sequence[Plan], *, side: int = 24, first: int = 0, kind: torch.dtype = torch.uint8
) -> Example:
    """Example i has the pixels, sound and draws that follow from number `first` + i."""
    drawn = [transform.draw(p, INFO, generator(first + i)) for i, p in enumerate(plans)]
    spans = drawn[0].spans

    def pixels(i: int, s: int) -> Tensor:
        rng = generator(first + i, s)
        coarse = rng.integers(0, 256, (len(spans[s].times), 3, side // 4, side // 4))
        video = np.clip(np.kron(coarse, np.ones((1, 1, 4, 4), int)) + rng.integers(-20, 20, (1, 1, side, side)), 0, 255)
        whole = torch.from_numpy(video.astype(np.uint8))
        return whole if kind == torch.uint8 else whole.to(kind) / 255

    def audio(i: int, s: int) -> Tensor:
        return torch.from_numpy(generator(first + i, s, 1).normal(0, 0.1, (1, 1600)).astype(np.float32))

    clips = tuple(
        Clip(
            video=torch.stack([pixels(i, s) for i in range(len(plans))]) if span.times else None,
            audio=torch.stack([audio(i, s) for i in range(len(plans))]) if span.sound else None,
        )
        for s, span in enumerate(spans)
    )
    parameters = {k: torch.from_numpy(np.stack([d.parameters[k] for d in drawn])) for k in drawn[0].parameters}
    return Example(clips=clips, labels={}, parameters=parameters, index=torch.arange(len(plans)) + first)


def frames_repeated(batch: Example, times: int) -> Example:
    """Every clip's frames shown several times."""
    clips = tuple(replace(c, video=c.video.repeat_interleave(times, 1)) for c in batch.clips if c.video is not None)
    return replace(batch, clips=clips)
