"""Frame prediction: what each frame told may depend on, the baselines, and a world of dots that bounce."""

from __future__ import annotations

import math
from functools import cache
from typing import get_args

import pytest
import torch
from torch import Tensor

from avssl.core import Clip, Example
from avssl.encoders import FramesDecoder, lstm
from avssl.tasks import Continuation, Part, Puzzle, Restore

SHOWN, AHEAD, SIDE = 5, 10, 8


def of(video: Tensor) -> Example:
    return Example(clips=(Clip(video=video),), labels={}, parameters={}, index=torch.arange(len(video)))


def task_of(*, behind: int, ahead: int, conditional: bool = False, shown: int = SHOWN, side: int = SIDE) -> Restore:
    torch.manual_seed(0)
    encoder = lstm(size=64, side=SIDE)
    decoder = FramesDecoder(encoder.dim, side, told=(behind, ahead), conditional=conditional, channels=1)
    world = Continuation(shown=shown, behind=behind, ahead=ahead)
    return Restore(encoder, decoder, riddle=world.puzzle, measure=world.measure)


def test_the_puzzle_shows_what_comes_first_and_asks_for_what_lies_around_the_last_of_it() -> None:
    video = torch.randint(0, 256, (2, 6, 3, 4, 4), dtype=torch.uint8)
    puzzle = Continuation(shown=4, behind=3, ahead=2).puzzle(of(video))
    torch.testing.assert_close(puzzle.shown, video[:, :4] / 255)
    torch.testing.assert_close(puzzle.target, video[:, 1:] / 255)
    parts = {part: Continuation.telling(part, shown=4, ahead=3) for part in get_args(Part)}
    assert {part: (c.behind, c.ahead, c.frames) for part, c in parts.items()} == {
        "reconstruct": (4, 0, 4),
        "future": (0, 3, 7),
        "composite": (4, 3, 7),
    }
    with pytest.raises(ValueError, match=r"6 frames.*4 \+ 3.*cut 7"):
        Continuation(shown=4, behind=4, ahead=3).puzzle(of(video))
    with pytest.raises(ValueError, match="behind 5"):
        Continuation(shown=4, behind=5, ahead=0)


def test_loss_and_baselines_against_loops() -> None:
    video, answer = torch.rand(2, 8, 1, 3, 3), torch.rand(2, 7, 1, 3, 3)
    world = Continuation(shown=4, behind=3, ahead=4)
    puzzle = world.puzzle(of(video))

    def error(a: list[Tensor], b: list[Tensor]) -> float:
        return sum(float((x - y).square().mean()) for x, y in zip(a, b, strict=True)) / len(a)

    told = [x for clip in answer for x in clip], [x for clip in puzzle.target for x in clip]
    behind, ahead = ([n for n in range(14) if (n % 7 < 3) == past] for past in (True, False))
    wanted = {
        "behind": error([told[0][n] for n in behind], [told[1][n] for n in behind]),
        "ahead": error([told[0][n] for n in ahead], [told[1][n] for n in ahead]),
        "far": error([told[0][n] for n in (5, 6, 12, 13)], [told[1][n] for n in (5, 6, 12, 13)]),
        "copied": error([puzzle.shown[n // 7, 3] for n in ahead], [told[1][n] for n in ahead]),
        "copied_far": error([puzzle.shown[n // 7, 3] for n in (5, 6, 12, 13)], [told[1][n] for n in (5, 6, 12, 13)]),
        "averaged": error([puzzle.shown[n // 7].mean(dim=0) for n in ahead], [told[1][n] for n in ahead]),
    }
    wanted["loss"] = wanted["behind"] + wanted["ahead"]
    assert {k: float(v) for k, v in world.measure(answer, puzzle).items()} == pytest.approx(wanted, rel=1e-5)
    moving = Continuation(shown=4, behind=3, ahead=4, moving=True)
    mean = video[:, :4].mean(dim=1, keepdim=True)
    found = moving.measure(answer - mean, moving.puzzle(of(video)))
    assert {k: float(v) for k, v in found.items()} == pytest.approx(wanted, rel=1e-4)


def told(task: Restore, puzzle: Puzzle) -> Tensor:
    with torch.no_grad():
        answer: Tensor = task.decoder(task.encoder, puzzle.shown, hint=puzzle.hint)
    return answer


def test_a_conditional_decoder_is_told_the_frame_before_each_and_the_past_comes_backwards() -> None:
    task = task_of(behind=SHOWN, ahead=4, conditional=True)
    puzzle = task.riddle(of(torch.rand(2, SHOWN + 4, 1, SIDE, SIDE)))
    before = told(task, puzzle)
    for frame in range(SHOWN + 4):
        hint = puzzle.target.clone()
        hint[:, frame] += 1
        change = (told(task, Puzzle(shown=puzzle.shown, target=hint, hint=hint)) - before).abs().amax(dim=(0, 2, 3, 4))
        after = range(frame) if frame < SHOWN else range(frame + 1, SHOWN + 4)
        assert [n for n in range(SHOWN + 4) if change[n] > 0] == [*after]


def test_in_evaluation_a_conditional_decoder_sees_only_what_it_has_told() -> None:
    task = task_of(behind=SHOWN, ahead=4, conditional=True)
    puzzle = task.riddle(of(torch.rand(2, SHOWN + 4, 1, SIDE, SIDE)))
    task.eval()
    own = told(task, puzzle)
    torch.testing.assert_close(own, told(task, Puzzle(shown=puzzle.shown, target=puzzle.target)))
    task.train()
    assert (told(task, puzzle) - own).abs().max() > 1e-4
    torch.testing.assert_close(told(task, Puzzle(shown=puzzle.shown, target=own, hint=own)), own)


def test_an_unconditional_decoder_sees_the_code_alone() -> None:
    task = task_of(behind=SHOWN, ahead=4)
    puzzle = task.riddle(of(torch.rand(2, SHOWN + 4, 1, SIDE, SIDE)))
    torch.testing.assert_close(told(task, puzzle), told(task, Puzzle(shown=puzzle.shown, target=puzzle.target)))
    assert (told(task, puzzle)[0] - told(task, puzzle)[1]).abs().max() > 1e-4


def dots(n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Clips of a soft dot that bounces off the walls, and its velocity in the last frame shown, pixels a frame."""
    low, room = 1.5, SIDE - 4.0
    angle, speed = 2 * math.pi * torch.rand(n, generator=rng), 0.4 + 0.8 * torch.rand(n, generator=rng)
    velocity = speed[:, None] * torch.stack((angle.cos(), angle.sin()), dim=1)
    way = room * torch.rand(n, 1, 2, generator=rng) + velocity[:, None] * torch.arange(SHOWN + AHEAD)[None, :, None]
    way = way % (2 * room)
    there = way < room
    place = low + torch.where(there, way, 2 * room - way)
    grid = torch.arange(float(SIDE))
    square = (grid[:, None] - place[..., 0, None, None]) ** 2 + (grid - place[..., 1, None, None]) ** 2
    return torch.exp(-square / 2)[:, :, None], velocity * torch.where(there[:, SHOWN - 1], 1.0, -1.0)


@cache
def trained(behind: int, ahead: int, shuffled: bool = False, steps: int = 200) -> Restore:
    task = task_of(behind=behind, ahead=ahead)
    rng = torch.Generator().manual_seed(0)
    clips, _ = dots(1024, rng)
    clips = clips[:, : SHOWN + ahead]
    if shuffled:
        order = torch.rand(clips.shape[:2], generator=rng).argsort(dim=1)
        clips = clips.gather(1, order[..., None, None, None].expand_as(clips))
    optimiser = torch.optim.AdamW(task.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        task(of(clips[torch.randint(len(clips), (64,), generator=rng)]))["loss"].backward()
        torch.nn.utils.clip_grad_norm_(task.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return task.eval()


def tell(task: Restore, clips: Tensor) -> dict[str, float]:
    with torch.no_grad():
        return {name: float(value) for name, value in task(of(clips)).items()}


def read_out(task: Restore, clips: Tensor, wanted: Tensor) -> float:
    """R² of what a linear layer reads out of the code of the other half of the clips."""
    with torch.no_grad():
        code = task.encoder(clips[:, :SHOWN])
    code = torch.cat(((code - code.mean(dim=0)) / (code.std(dim=0) + 1e-6), torch.ones(len(code), 1)), dim=1)
    half = len(code) // 2
    x, y = code[:half], wanted[:half]
    weight = torch.linalg.solve(x.T @ x + torch.eye(x.shape[1]), x.T @ y)
    error = (code[half:] @ weight - wanted[half:]).square().sum()
    return 1 - float(error / (wanted[half:] - wanted[half:].mean(dim=0)).square().sum())


def test_the_future_is_told_better_than_by_copying_and_the_code_knows_the_velocity() -> None:
    clips, velocity = dots(1000, torch.Generator().manual_seed(1))
    future, memory = trained(0, AHEAD), trained(SHOWN, 0)
    found = tell(future, clips)
    assert found["far"] < 0.6 * found["copied_far"]
    assert found["ahead"] < 0.7 * found["averaged"]
    assert tell(memory, clips[:, :SHOWN])["behind"] < 0.01
    assert read_out(future, clips, velocity) > read_out(memory, clips, velocity) + 0.08


def test_the_future_of_shuffled_frames_is_their_mean() -> None:
    clips, _ = dots(1000, torch.Generator().manual_seed(1))
    order = torch.rand(clips.shape[:2], generator=torch.Generator().manual_seed(2)).argsort(dim=1)
    found = tell(
        trained(0, AHEAD, shuffled=True, steps=100), clips.gather(1, order[..., None, None, None].expand_as(clips))
    )
    assert found["ahead"] > 0.85 * found["averaged"]
