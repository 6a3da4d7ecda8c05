"""A sheet shows what was hidden of a clip where the masks and holes were drawn."""

import numpy as np
import pytest

from avssl.core import MediaInfo, Plan, Span, generator
from avssl.report.hidden import hidden, shown
from avssl.report.reading import Draw, Drawn
from avssl.transforms import Holes, PatchMask, RandomMask, TubeMask


def drawn(transform: PatchMask | Holes, clips: int = 2) -> dict[str, object]:
    """The parameters of a plan as a run writes them down."""
    plan = Plan(spans=(Span(times=(0.0,)),) * clips)
    found = transform.draw(plan, MediaInfo(duration=1.0, fps=8, frames=8, height=16, width=24), generator(0))
    return {name: value.tolist() for name, value in found.parameters.items()}


@pytest.mark.parametrize("mask", [RandomMask(grid=(2, 2, 3), ratio=0.5), TubeMask(grid=(2, 2, 3), ratio=0.5)])
def test_hidden_patches_are_where_the_encoder_has_them(mask: PatchMask) -> None:
    parameters = drawn(mask)
    for clip, hide in enumerate(parameters["mask.hide"]):  # type: ignore[arg-type]
        covered = hidden(parameters, clip, (4, 17, 24))  # the last row of pixels belongs to no patch
        assert covered is not None
        for step in range(2):
            for row in range(2):
                for column in range(3):
                    patch = covered[2 * step : 2 * step + 2, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
                    assert patch.all() == patch.any() == ((step * 2 + row) * 3 + column in hide)
        assert not covered[:, 16].any()


def test_holes_are_dark_and_all_else_is_as_it_was() -> None:
    video = np.full((3, 3, 16, 16), 200, np.uint8)
    draw = Draw(path="x.mp4", clips=(Drawn(video=video),), parameters=drawn(Holes(), clips=1))
    frames = shown(draw, 0)
    assert (frames[:, 4:12, 4:12] == 50).all()
    frames[:, 4:12, 4:12] = 200
    assert (frames == 200).all()


@pytest.mark.parametrize("told", [{}, {"mask.hide": [[1]]}, {"mask.hide": [[9]], "mask.grid": [[1, 2, 2]]},
                                  {"x.boxes": "none"}, {"mask.hide": [[1]], "mask.grid": [[4, 8]]}])  # fmt: skip
def test_what_cannot_be_read_is_not_shown(told: dict[str, object]) -> None:
    assert hidden(told, 0, (1, 16, 16)) is None
