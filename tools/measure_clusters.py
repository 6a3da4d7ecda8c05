"""How alike the clusters of runs of DeepCluster or XDC are to the labels of a column, beside random init's clusters.

    python tools/measure_clusters.py runs/xdc-* --labels timbre label

Normalised mutual information (0…1) over the items that were clustered: those of the last clustering, and of the same
network with fresh weights, clustered in the same way. Labels shuffled among the items tell what chance gives.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from sklearn.metrics import normalized_mutual_info_score

from avssl.data import Clips, Item
from avssl.encoders import Encoder, reinitialised
from avssl.evaluation import Trained, extract, labels_of, load_trained
from avssl.tasks import Clustering, KMeans
from avssl.training import task_state


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which runs, and which labels."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders of recipes/xdc.py or recipes/deepcluster.py."""
    labels: tuple[str, ...] = ("label", "timbre")
    """Columns of the manifest."""
    components: int = 16
    """Directions that are kept of random init's features, as `--clusters.components` of the recipe."""
    workers: int = 2
    """Threads that read."""


def found(run: Path, c: Choice) -> dict[tuple[str, str, str], float]:
    """The mutual information by stream, whose clusters they are, and label."""
    trained = load_trained(run)
    items = trained.data.catalogue().items
    told: dict[tuple[str, str, str], float] = {}
    for stream, encoder in trained.encoders.items():
        state = task_state(run, f"clusters.{stream}.")
        rows = [n for n, i in enumerate(items) if i.index < len(state["assigned"]) and state["assigned"][i.index] >= 0]
        own = state["assigned"][[items[n].index for n in rows]].numpy()
        fresh = clusters_of(reinitialised(encoder, 0), trained, [items[n] for n in rows], len(state["centres"]), c)
        for label in c.labels:
            truth = labels_of([items[n] for n in rows], label)[0]
            shuffled = np.random.default_rng(0).permutation(own)
            for name, clusters in (("run", own), ("random init", fresh), ("shuffled", shuffled)):
                told[stream, label, name] = float(normalized_mutual_info_score(truth, clusters))
    return told


def clusters_of(encoder: Encoder, trained: Trained, items: list[Item], count: int, c: Choice) -> np.ndarray:
    """The clusters of an encoder's features of items, made as a run makes its own."""
    sampler, transform = trained.view.steady()
    clips = Clips.of(items, sampler, transform, workers=c.workers)
    told = extract(encoder, clips, modality=encoder.modality, progress=False)
    features = torch.from_numpy(told.rows([i.index for i in items]).copy())
    clustering = Clustering(KMeans(clusters=count, components=c.components), items=len(items), dim=features.shape[1])
    clustering.renew(torch.arange(len(items)), features, seed=0)
    return clustering.assigned.numpy()


def main(c: Choice) -> None:
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for run in c.runs:
        for key, value in found(run, c).items():
            values[key].append(value)
    table = Table("clusters of", "label", *(names := ("run", "random init", "shuffled")), title="NMI, mean ± sd")
    for stream, label in dict.fromkeys(key[:2] for key in values):
        cells = [values[stream, label, name] for name in names]
        table.add_row(stream, label, *(f"{np.mean(v):.3f} ± {np.std(v, ddof=min(1, len(v) - 1)):.3f}" for v in cells))
    console = Console()
    console.print(table)
    console.print(f"n = {len(c.runs)} runs")


if __name__ == "__main__":
    main(tyro.cli(Choice, description=__doc__))
