"""The table of methods is filled from runs, and what people wrote in it stays."""

import json
from pathlib import Path

import pytest

from avssl.report import Column, read_compared, with_runs

TABLE = """# Methods

| method | paper | motion |
|---|---|---|
| [pace](pace.py) | Wang \\| Jiao | ? |
| [vcop](vcop.py) | motion | kept |

Text | with | strokes.
"""
MOTION = Column(heading="motion", label="label", protocol="linear probe")


def run(folder: Path, recipe: str, seed: int, own: float, floor: float | None) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"train": {"seed": seed}, "run": {"recipe": recipe}}))
    values = {"pretrained": own} if floor is None else {"pretrained": own, "random init": floor}
    scores = [
        {"encoder": e, "protocol": "linear probe", "metric": "top-1", "label": "label", "value": v, "seed": seed}
        for e, v in values.items()
    ]
    (folder / "scores.json").write_text(json.dumps({"data": "toybox", "scores": scores}))
    return folder


def filled(*folders: Path) -> list[str]:
    return with_runs(TABLE, MOTION, [read_compared(f) for f in folders]).splitlines()


def test_cells_tell_means_over_seeds_and_mark_what_is_better_than_random_init(tmp_path: Path) -> None:
    better = [run(tmp_path / f"b{s}", "pace.py", s, 0.7 + 0.01 * s, 0.2 - 0.01 * s) for s in range(3)]
    lines = filled(*better)
    assert lines[4] == "| [pace](pace.py) | Wang \\| Jiao | **71.0 ± 1.0** / 19.0 ± 1.0 |"
    assert [line for i, line in enumerate(lines) if i != 4] == [
        line for i, line in enumerate(TABLE.splitlines()) if i != 4
    ]


def test_what_is_not_better_has_no_mark_and_fewer_seeds_are_told(tmp_path: Path) -> None:
    alike = [run(tmp_path / f"a{s}", "pace.py", s, 0.2 + 0.1 * (-1) ** s, 0.2) for s in range(2)]
    worse = [run(tmp_path / f"w{s}", "vcop.py", s, 0.1, 0.5) for s in range(3)]
    lines = filled(*alike, *worse)
    assert lines[4].endswith("| 20.0 ± 14.1 / 20.0 ± 0.0 (n = 2) |")
    assert lines[5].endswith("| 10.0 ± 0.0 / 50.0 ± 0.0 |")


def test_a_run_without_random_init_says_so_and_another_column_is_an_error(tmp_path: Path) -> None:
    alone = run(tmp_path / "alone", "pace.py", 0, 0.3, None)
    assert filled(alone)[4].endswith("| 30.0 / – (n = 1) |")
    with pytest.raises(ValueError, match="no column 'speed'"):
        with_runs(TABLE, Column(heading="speed", label="label", protocol="linear probe"), [])
