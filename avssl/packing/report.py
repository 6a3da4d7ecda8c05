"""What a pack is worth: bytes, likeness and speed beside its source."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from avssl.core import MediaError
from avssl.data import Catalogue, Entry, Item
from avssl.media import look, unpacked
from avssl.packing.choice import Pack
from avssl.packing.clip import Made
from avssl.packing.speed import Side, Speed, speed

__all__ = ["Report", "report_table", "reported", "write_report"]

TIMED = 32
"""Videos whose reading is timed, at most."""

BEST = 100.0
"""dB that are told of a frame without any error."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """The figures of a pack; PSNR in dB, over some frames of each clip against the source scaled alike."""

    files: int
    shards: int
    seconds: float
    bytes: int
    source_bytes: int
    damaged: tuple[str, ...]
    """The files that were left out, with the reasons."""
    frames: int
    """Those that were compared."""
    psnr_mean: float | None
    psnr_worst: float | None
    worst: str
    """The clip that has the worst frame."""
    speed: Speed | None
    """None: there are no videos."""
    choice: Mapping[str, Any]

    @property
    def share(self) -> float:
        """Bytes of the clips over those of their source."""
        return self.bytes / self.source_bytes if self.source_bytes else 0.0


def reported(
    choice: Pack,
    found: Catalogue,
    listed: Sequence[Entry],
    packed: Mapping[str, Made],
    *,
    shards: int,
    damaged: Sequence[MediaError],
) -> Report:
    """The figures of what was made, `packed` by the path below the folder of the shards; reading is timed here."""
    made = list(packed.values())
    frames = [(_psnr(e), listed[m.index].path) for m in made for e in m.errors]
    worst = min(frames, key=lambda f: f[0]) if frames else None
    return Report(
        files=len(made),
        shards=shards,
        seconds=sum(m.seconds for m in made),
        bytes=sum(m.bytes for m in made),
        source_bytes=sum(m.source_bytes for m in made),
        damaged=tuple(map(str, damaged)),
        frames=len(frames),
        psnr_mean=float(np.mean([f for f, _ in frames])) if frames else None,
        psnr_worst=worst[0] if worst else None,
        worst=str(worst[1]) if worst else "",
        speed=_speed(choice, {i.index: i for i in found}, packed),
        choice={k: str(v) if isinstance(v, Path) else v for k, v in asdict(choice).items()},
    )


def _psnr(error: float) -> float:
    return BEST if error <= 0 else min(BEST, float(10 * np.log10(255**2 / error)))


def _speed(choice: Pack, items: Mapping[int, Item], packed: Mapping[str, Made]) -> Speed | None:
    films = [(p, m) for p, m in packed.items() if (item := items.get(m.index)) and item.info.frames > 1]
    pairs = []
    for path, made in films[:: max(1, -(-len(films) // TIMED))]:
        item, member = items[made.index], choice.out / path
        source = look(item.path) if item.table is None else unpacked(item.table)
        pairs.append((Side(path=item.path, table=source, start=made.start), Side(path=member, table=look(member))))
    try:
        return speed(pairs) if pairs else None
    except MediaError:  # what was copied unseen may be damaged anywhere
        return None


def report_table(report: Report) -> Table:
    """The figures, to be printed."""
    table = Table("", "source", "pack", "pack : source", title=f"{report.files} files in {report.shards} shards")
    table.add_row("media", f"{report.seconds:.1f} s", "", "")
    table.add_row("bytes", _bytes(report.source_bytes), _bytes(report.bytes), f"{report.share:.2f}")
    if report.psnr_mean is not None and report.psnr_worst is not None:
        likeness = f"mean {report.psnr_mean:.1f}, worst {report.psnr_worst:.1f}"
        table.add_row(f"PSNR, dB ({report.frames} frames)", "", likeness, "")
    if (s := report.speed) is not None:
        spread = f"{s.ratio:.1f} ({min(s.ratios):.1f} to {max(s.ratios):.1f})"
        table.add_row("clips / s of processor", f"{s.source_cpu:.1f}", f"{s.packed_cpu:.1f}", spread)
        wall = f"{s.packed_wall / s.source_wall:.1f}"
        table.add_row("clips / s, one thread", f"{s.source_wall:.1f}", f"{s.packed_wall:.1f}", wall)
        sound = f", {s.sounds} of them with 1 s of sound" if s.sounds else ""
        table.caption = f"Clips: {s.frames} frames, every {s.step}., → {s.size} pixels, of {s.files} files{sound}"
    if report.damaged:
        table.add_row("damaged, left out", str(len(report.damaged)), "", "")
    return table


def _bytes(count: int) -> str:
    return f"{count / 1e6:.2f} MB"


def write_report(folder: Path, report: Report) -> None:
    """Write `report.json` and, as a table, `report.txt`.

    Raises:
        OSError: they cannot be written.
    """
    content = asdict(report) | {"share": report.share}
    if report.speed is not None:
        content["speed"]["ratio"] = report.speed.ratio
    (folder / "report.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    with (folder / "report.txt").open("w", encoding="utf-8") as file:
        Console(file=file, width=120).print(report_table(report))
