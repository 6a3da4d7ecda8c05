"""The dense protocols right after pretraining, among the scores that the run's report shows."""

from __future__ import annotations

import json
from dataclasses import replace

from rich.console import Console

from avssl.data import Data
from avssl.evaluation.dense.choice import Dense
from avssl.evaluation.dense.runs import dense_scores
from avssl.evaluation.scores import read_scores, scores_table, write_scores
from avssl.evaluation.splits import Unscorable
from avssl.training import Run, hardware

__all__ = ["transfer_dense"]


def transfer_dense(run: Run, data: Data, choice: Dense) -> Run:
    """Score what a run has learnt of single places on its own data, and write that beside the scores of `transfer`.

    Drawings go into the folder `dense`. Where the data allow none of the protocols, it says why and leaves the run as
    it is.
    """
    if not run.ranks.first or not run.train.epochs:
        return run
    console = Console()
    # so that several runs of a recipe stand beside as many random inits
    choice = replace(choice, seeds=tuple(s + run.train.seed for s in choice.seeds))
    try:
        scores = dense_scores(run.folder, data=data.source(), choice=choice, device=run.device)
    except Unscorable as e:
        console.print(f"No dense scores: {e}", markup=False, highlight=False, soft_wrap=True)
        return run
    for protocol in dict.fromkeys(s.protocol for s in scores):
        shown = [s for s in scores if s.protocol == protocol]
        console.print(scores_table(shown, title=f"{protocol.capitalize()} (%)"))
    path = run.folder / "scores.json"
    about = {"command": "after pretraining", "data": str(data.source()), "hardware": hardware(run.device)}
    before = []
    if path.is_file():
        before = read_scores(path)
        told = json.loads(path.read_text(encoding="utf-8"))
        about = {name: told[name] for name in about}
    protocols = {s.protocol for s in scores}  # which a resumed run has again
    write_scores([*(s for s in before if s.protocol not in protocols), *scores], path, **about)
    return run
