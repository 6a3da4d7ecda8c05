"""What frame prediction and DPC learn of dots that bounce, where nothing else is to be seen; minutes on one core.

    python tools/measure_dots.py --seeds 0 1 2

Frame prediction: the error of frames 3 to 10 ahead beside that of copying the last frame, and how well the code tells
the dot's velocity linearly (R², of dots never seen), for models that tell the past, the future, or both. DPC: how often
the features of a place that comes next are found, and how often copying the present ones finds them.
"""

import math
from dataclasses import dataclass

import torch
import tyro
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import Ridge
from torch import Tensor

from avssl.core import Clip, Example
from avssl.encoders import ConvGRU, FramesDecoder, tiny_lstm, tiny_r2plus1d
from avssl.tasks import Continuation, Foresee, OneByOne, Part, Restore, Task, among_all, blocks

SHOWN, AHEAD, SIDE = 5, 10, 12
BLOCKS, FRAMES, WIDE = 6, 4, 24


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How much to train."""

    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 400
    """Of frame prediction."""
    dpc_steps: int = 600
    """Of DPC."""


def dots(n: int, frames: int, side: int, rng: torch.Generator, *, slow: float, fast: float) -> tuple[Tensor, Tensor]:
    """Films (n, T, 1, side, side) of a soft dot that bounces off the walls, and its velocities (n, T, 2) in pixels."""
    low, room = 1.5, side - 4.0
    begin = room * torch.rand(n, 2, generator=rng)
    way = 2 * math.pi * torch.rand(n, generator=rng)
    speed = slow + (fast - slow) * torch.rand(n, generator=rng)
    velocity = torch.stack((speed * way.cos(), speed * way.sin()), dim=1)[:, None]
    unfolded = (begin[:, None] + velocity * torch.arange(frames)[None, :, None]) % (2 * room)
    there = unfolded < room
    place = low + torch.where(there, unfolded, 2 * room - unfolded)
    axis = torch.arange(side).float()
    squares = (axis[:, None] - place[..., 0, None, None]) ** 2 + (axis - place[..., 1, None, None]) ** 2
    return torch.exp(-squares / 2)[:, :, None], torch.where(there, velocity, -velocity)


def example(*clips: Tensor) -> Example:
    """A batch of these clips."""
    index = torch.arange(len(clips[0]))
    return Example(clips=tuple(Clip(video=x) for x in clips), labels={}, parameters={}, index=index)


def film(rng: torch.Generator, n: int) -> tuple[Example, Tensor]:
    """Films for frame prediction, and the velocity at the last frame that is shown."""
    video, velocity = dots(n, SHOWN + AHEAD, SIDE, rng, slow=0.3, fast=1.2)
    return example(video), velocity[:, SHOWN - 1]


def parts(rng: torch.Generator) -> Example:
    """Blocks of frames that follow one another, for DPC."""
    video, _ = dots(16, BLOCKS * FRAMES, WIDE, rng, slow=0.5, fast=1.0)
    return example(*(x.contiguous() for x in video.split(FRAMES, dim=1)))


def train(task: Task, steps: int, rng: torch.Generator, *, dpc: bool) -> None:
    """Train a task on films drawn anew for each step."""
    optimiser = torch.optim.AdamW(task.parameters(), lr=3e-3, weight_decay=1e-2 if dpc else 1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps, pct_start=0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        task(parts(rng) if dpc else film(rng, 64)[0])["loss"].backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    task.eval()


def frame_prediction(part: Part, seed: int, steps: int) -> dict[str, float]:
    """Errors on films never seen, and how well the code tells the velocity."""
    torch.manual_seed(seed)
    encoder, world = tiny_lstm(width=8, size=64), Continuation.telling(part, shown=SHOWN, ahead=AHEAD)
    told = (world.behind, world.ahead)
    decoder = FramesDecoder(encoder.dim, SIDE, told=told, conditional=False, width=96, channels=1)
    task = Restore(encoder, decoder, riddle=world.puzzle, measure=world.measure)

    def whole(batch: Example) -> Example:  # a model of the past is shown no more than it tells
        video = batch.clips[0].video
        assert video is not None
        return example(video[:, : world.frames])

    task.register_forward_pre_hook(lambda _, inputs: (whole(inputs[0]),))
    train(task, steps, torch.Generator().manual_seed(seed), dpc=False)
    batch, velocity = film(torch.Generator().manual_seed(999), 2000)
    video = batch.clips[0].video
    assert video is not None
    with torch.no_grad():
        found = {k: float(v) for k, v in task(batch).items()}
        code = encoder(video[:, :SHOWN]).numpy()
    scaled = (code - code[:1000].mean(0)) / (code[:1000].std(0) + 1e-6)
    found["velocity R²"] = Ridge().fit(scaled[:1000], velocity[:1000]).score(scaled[1000:], velocity[1000:])
    return found


def dpc(seed: int, steps: int) -> dict[str, float]:
    """Shares of places found, of films never seen."""
    torch.manual_seed(seed)
    encoder, rng = tiny_r2plus1d(width=8), torch.Generator().manual_seed(seed)
    predictor = OneByOne(encoder.dim, grid=blocks, context=ConvGRU(64), ahead=2)
    task = Foresee(encoder, predictor, contest=among_all)
    train(task, steps, rng, dpc=True)
    with torch.no_grad():
        found = [task(parts(rng)) for _ in range(20)]
    return {k: sum(float(f[k]) for f in found) / len(found) for k in ("accuracy", "copied")}


def main(c: Choice) -> None:
    torch.set_num_threads(1)
    rows: list[tuple[str, list[dict[str, float]]]] = [
        (f"frame prediction, {part}", [frame_prediction(part, s, c.steps) for s in c.seeds])
        for part in ("reconstruct", "future", "composite")
    ]
    rows.append(("DPC", [dpc(s, c.dpc_steps) for s in c.seeds]))
    columns = ("velocity R²", "far", "copied_far", "accuracy", "copied")
    table = Table("", *columns, title=f"Dots that bounce, mean ± sd of seeds {c.seeds}")
    for name, found in rows:
        cells = []
        for column in columns:
            values = torch.tensor([f[column] for f in found if column in f])
            spread = f" ± {float(values.std()):.3f}" if len(values) > 1 else ""
            shown = len(values) and (column != "copied" or name == "DPC")
            cells.append(f"{float(values.mean()):.3f}{spread}" if shown else "")
        table.add_row(name, *cells)
    Console().print(table)


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
