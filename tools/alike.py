"""How alike the features of runs are on the same items, for tools/compare.py --alike: linear CKA and RSA of each two.

    python tools/alike.py runs/pace-1 runs/pace-2 runs/vcop-1 --out alike.json
    python tools/compare.py runs/pace-* runs/vcop-* --alike alike.json

Every encoder gets the items cut as in its own run. What was extracted before comes from the cache.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro

from avssl.cli import plainly
from avssl.core import MediaError
from avssl.data import Clips, Data
from avssl.evaluation import FeatureCache, Features, extract, linear_cka, load_trained, representation_similarity
from avssl.training import device_type


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which runs, on what."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders, two at least."""
    data: Path | None = None
    """A folder, a manifest or a data set by name; None: what the first run was trained on."""
    split: str = "test"
    """Value of `split` of the items; '': all."""
    modality: Literal["video", "sound"] = "video"
    """Which of the runs' encoders."""
    items: int = 1000
    """Items at most, evenly spread over the split: RSA takes all pairs of them."""
    clips: int = 4
    """Clips of each item, whose features are averaged."""
    workers: int = 2
    """Threads or processes that decode."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    out: Path = Path("alike.json")


def main(c: Choice) -> None:
    if len(c.runs) < 2:
        raise SystemExit("likeness is of two runs at least: give more run folders")
    with plainly():
        found = {str(run): features_of(run, c) for run in c.runs}
    told = likeness(found)
    c.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    for p in told["pairs"]:
        print(f"{Path(p['a']).name}  {Path(p['b']).name}  CKA {p['cka']:.3f}  RSA {p['rsa']:.3f}")
    print(f"{told['items']} items  {c.out}")


def features_of(run: Path, c: Choice) -> Features:
    """The features of the items of the split, by one run.

    Raises:
        MediaError: the run has no such encoder, or there is no such item.
    """
    trained = load_trained(run)
    encoder = next((e for e in trained.encoders.values() if e.modality == c.modality), None)
    if encoder is None:
        raise MediaError(run, f"no encoder of {c.modality}", "leave it out, or choose another --modality")
    source = c.data if c.data is not None else load_trained(c.runs[0]).data.source()
    items = [i for i in Data(root=source, workers=c.workers).catalogue() if c.split in {"", i.split}]
    if not items:
        raise MediaError(source, f"no item of split {c.split!r}", "name another --split, or '' for all")
    chosen = [items[p] for p in np.unique(np.linspace(0, len(items) - 1, min(c.items, len(items))).round().astype(int))]
    sampler, transform = trained.view.evaluation(c.clips, modality=c.modality)
    clips = Clips.of(chosen, sampler, transform, workers=c.workers, damaged="skip")
    device = device_type(c.device)
    return extract(encoder.to(device), clips, modality=c.modality, device=device, cache=FeatureCache())


def likeness(found: Mapping[str, Features]) -> dict[str, Any]:
    """Linear CKA and RSA of each two, over the items that all have."""
    common = sorted(set.intersection(*(set(f.index.tolist()) for f in found.values())))
    values = {name: f.rows(common) for name, f in found.items()}
    names = list(values)
    pairs = [
        {
            "a": a,
            "b": b,
            "cka": linear_cka(values[a], values[b]),
            "rsa": representation_similarity(values[a], values[b]),
        }
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    return {"items": len(common), "pairs": pairs}


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
