"""How numbers, times and settings are written for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

__all__ = ["brief", "duration", "flatten", "number", "seconds", "share"]

_SHARES = ("top-", "r@", "accuracy", "recall", "precision", "map", "auc", "f1")


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits, thousands kept whole, and no exponent where none is needed."""
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 6 or size < -3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}e{int(exponent)}"
    if size >= digits:
        return f"{value:,.0f}"
    text = f"{value:.{max(0, digits - 1 - size)}f}"
    return f"{value:.0f}" if float(value).is_integer() else text


def share(value: float, metric: str) -> str:
    """A score: shares of one (top-1, R@5, accuracy …) in percent, everything else as a number."""
    return f"{100 * value:.1f} %" if is_share(metric) and abs(value) <= 1 else number(value)


def is_share(metric: str) -> bool:
    """Whether this metric counts a share of things, and so is read best in percent."""
    return any(metric.lower().startswith(name) or f" {name}" in metric.lower() for name in _SHARES)


def seconds(value: float) -> str:
    """An instant (s) to a hundredth: fine enough to tell neighbouring frames apart up to 100 Hz."""
    return f"{value:.2f}"


def duration(value: float) -> str:
    """A stretch of time (s) in the two largest units that fit."""
    if value < 60:
        return f"{number(value, 2)} s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def brief(value: object, limit: int = 90) -> str:
    """A label, parameter or setting in one short line; a large array is told by its shape and its range."""
    if isinstance(value, bool) or value is None:
        return str(value).lower() if value is not None else "none"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = number(value)
        return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    if isinstance(value, str):
        return value if len(value) <= limit else value[: limit - 1] + "…"
    if isinstance(value, list | tuple):
        return _brief_list(list(value), limit)
    if isinstance(value, Mapping):
        value = ", ".join(f"{k} {brief(v, limit)}" for k, v in value.items())
    return brief(str(value), limit)


def _brief_list(values: list[object], limit: int) -> str:
    text = " · ".join(f"({brief(v, limit)})" if isinstance(v, list | tuple) else brief(v, limit) for v in values)
    leaves = list(_leaves(values))
    if len(leaves) <= 12 and len(text) <= limit:
        return text
    numbers = [v for v in leaves if isinstance(v, int | float)]
    shape, inner = [], values
    while isinstance(inner, list) and inner:
        shape.append(str(len(inner)))
        inner = inner[0]  # type: ignore[assignment]
    size = "×".join(shape)
    return f"{size} values, {number(min(numbers))} … {number(max(numbers))}" if numbers else f"{size} values"


def _leaves(values: Iterable[object]) -> Iterable[object]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value


def flatten(config: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, value) in the order written: the names are those of the command line."""
    rows: list[tuple[str, str]] = []
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            rows += flatten(value, f"{prefix}{name}.")
        else:
            rows.append((f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return rows
