"""A number with everything that is needed to believe it, and the table that sets it beside its floors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["ON_SOUND", "Score", "across_runs", "bootstrap", "read_scores", "scores_of", "scores_table", "write_scores"]


ON_SOUND = " on sound"
"""Ends the name of a protocol that was given sound, so that its scores stand beside their own floors."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number of an evaluation, with its protocol, n, spread, chance level and settings.

    `value`, `low`, `high` and `chance` are shares (0…1); `interval` says what [low, high] is. `encoder` names what made
    the features: "pretrained", "random init" or a naive baseline such as "mean colour".
    """

    encoder: str
    protocol: str
    metric: str
    label: str
    value: float
    low: float
    high: float
    interval: str
    n_train: int
    n_test: int
    chance: float
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What was chosen beforehand, the same for every seed."""
    found: Mapping[str, Any] = field(default_factory=dict)
    """What came out besides: the C that was chosen, the folds' own values, the mean over classes."""

    def __post_init__(self) -> None:
        for name in ("value", "low", "high", "chance"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} of {self.encoder!r}, {self.protocol}: {getattr(self, name)} must be finite")

    def to_json(self) -> dict[str, Any]:
        """The score as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Score:
        """The score that `to_json` wrote.

        Raises:
            ValueError: a field is missing or unknown.
        """
        known = {f.name for f in fields(cls)}
        if wrong := (set(values) - known) | (known - {"seed", "settings", "found"} - set(values)):
            raise ValueError(f"score with missing or unknown fields {sorted(wrong)}: written by another version?")
        return cls(**values)


def write_scores(scores: Sequence[Score], path: Path, *, command: str = "", data: str = "", hardware: str = "") -> None:
    """Write `scores.json` of a run folder."""
    content = {"command": command, "data": data, "hardware": hardware, "scores": [s.to_json() for s in scores]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_scores(path: Path) -> list[Score]:
    """The scores of a `scores.json`."""
    return [Score.from_json(s) for s in json.loads(path.read_text(encoding="utf-8"))["scores"]]


def bootstrap(
    correct: np.ndarray, *, groups: Sequence[str] = (), resamples: int = 2000, seed: int = 0
) -> tuple[float, float, str]:
    """The 95 % percentile interval of the mean of `correct` (M,), and what was resampled.

    Items of one group (the same person, the same source video) are not independent: when some group has several items
    and there are at least five groups, whole groups are resampled, otherwise items.
    """
    if len(correct) == 0:
        raise ValueError("an interval over 0 test items: give a test set")
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    grouped = len(groups) == len(correct) and 5 <= len(names) < len(correct) and "" not in names
    if not grouped:
        member = np.arange(len(correct))
    sums = np.bincount(member, weights=correct)
    counts = np.bincount(member).astype(float)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    some = max(1, 500_000 // len(sums))  # (resamples, M) would not fit for a large test set
    for start in range(0, resamples, some):
        drawn = rng.integers(len(sums), size=(min(some, resamples - start), len(sums)))
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high), f"95 %, bootstrap over test {'groups' if grouped else 'items'}"


def scores_of(
    values: Mapping[str, np.ndarray],
    chance: Mapping[str, float],
    *,
    encoder: str,
    protocol: str,
    label: str,
    n_train: int,
    groups: Sequence[str],
    seed: int,
    settings: Mapping[str, Any],
    found: Callable[[str, np.ndarray], Mapping[str, Any]],
) -> list[Score]:
    """One score for each metric: the mean of its `values` (M,), with a bootstrap interval over test items, or groups.

    `found` says of each metric and its values what came out besides.
    """
    scores = []
    for metric, of_items in values.items():
        low, high, interval = bootstrap(of_items, groups=groups, seed=seed)
        scores.append(
            Score(
                encoder=encoder,
                protocol=protocol,
                metric=metric,
                label=label,
                value=float(of_items.mean()),
                low=low,
                high=high,
                interval=interval,
                n_train=n_train,
                n_test=len(of_items),
                chance=chance[metric],
                seed=seed,
                settings=dict(settings),
                found=dict(found(metric, of_items)),
            )
        )
    return scores


def across_runs(runs: Sequence[Sequence[Score]]) -> list[Score]:
    """Mean and standard deviation (n - 1) of the same scores over several runs; [low, high] is mean ∓ deviation."""
    if len(runs) < 2:
        return [s for run in runs for s in run]
    found: dict[tuple[str, str, str, str], list[Score]] = {}
    for run in runs:
        for s in run:
            found.setdefault((s.encoder, s.protocol, s.metric, s.label), []).append(s)
    merged = []
    for same in found.values():
        values = np.array([s.value for s in same])
        mean, spread = float(values.mean()), float(values.std(ddof=1)) if len(same) > 1 else 0.0
        merged.append(
            replace(
                same[0],
                value=mean,
                low=mean - spread,
                high=mean + spread,
                interval=f"mean ± standard deviation over {len(same)} scores",
                found={"values": values.tolist(), "seeds": [s.seed for s in same]},
            )
        )
    return merged


def scores_table(scores: Iterable[Score], *, title: str = "Scores") -> Table:
    """Encoders in rows, protocols in columns, one section for each label; percent, chance in the last row of each."""
    from rich import box
    from rich.table import Table

    scores = list(scores)
    columns = list(dict.fromkeys((s.protocol.removesuffix(ON_SOUND), s.metric) for s in scores))
    intervals = "; ".join(dict.fromkeys(s.interval for s in scores))
    # narrow enough for five columns in a terminal of 80
    table = Table(
        title=title, caption=intervals, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False
    )
    table.add_column("label")
    table.add_column("encoder", no_wrap=True)
    for n, (protocol, metric) in enumerate(columns):
        told = n > 0 and columns[n - 1][0] == protocol  # the column to the left has said it
        table.add_column(f"{'' if told else protocol}\n{metric}", justify="right", overflow="fold")
    sections: dict[str, dict[str, dict[tuple[str, str], list[Score]]]] = {}
    for s in scores:
        section = s.label + (ON_SOUND if s.protocol.endswith(ON_SOUND) else "")
        row = sections.setdefault(section, {}).setdefault(s.encoder, {})
        row.setdefault((s.protocol.removesuffix(ON_SOUND), s.metric), []).append(s)
    for section, rows in sections.items():
        chance: dict[tuple[str, str], float] = {}
        for n, (encoder, cells) in enumerate(rows.items()):
            any_score = next(iter(cells.values()))[0]
            note = f"{section}\n[dim]{any_score.n_train} / {any_score.n_test}[/dim]" if n == 0 else ""
            table.add_row(note, encoder, *(_cell(cells.get(c, [])) for c in columns))
            chance |= {c: found[0].chance for c, found in cells.items()}
        floor = (f"[dim]{100 * chance[c]:.1f}[/dim]" if c in chance else "" for c in columns)
        table.add_row("[dim]train / test[/dim]", "[dim]chance[/dim]", *floor)
        table.add_section()
    return table


def _cell(scores: Sequence[Score]) -> str:
    """The value in percent above its interval; several scores (seeds) of one cell as mean and standard deviation."""
    if not scores:
        return ""
    values = 100 * np.array([s.value for s in scores])
    s = scores[0]
    if len(scores) > 1:
        below = f"±{values.std(ddof=1):.1f}"
    elif s.interval.startswith("mean ±"):
        below = f"±{50 * (s.high - s.low):.1f}"
    else:
        below = f"{100 * s.low:.0f}–{100 * s.high:.0f}"
    return f"{values.mean():.1f}\n[dim]{below}[/dim]"
