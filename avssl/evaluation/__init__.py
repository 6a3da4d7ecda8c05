"""Protocols that measure an encoder, each beside random init, naive features and chance."""

from avssl.evaluation.answers import Answers, Labelled, confusion
from avssl.evaluation.baselines import frame_difference, mean_colour, mean_log_mel, naive
from avssl.evaluation.evaluate import Evaluation, Findings, evaluate
from avssl.evaluation.extraction import FeatureCache, extract, extract_all
from avssl.evaluation.features import FeatureFunction, Features, Modality
from avssl.evaluation.knn import NearestNeighbours, nearest, nearest_neighbours
from avssl.evaluation.linear import LinearProbe, linear_probe
from avssl.evaluation.neighbours import Neighbours, picture_neighbours
from avssl.evaluation.probe import Probe, probes
from avssl.evaluation.retrieval import Retrieval, retrieval
from avssl.evaluation.runs import Trained, evaluate_runs, load_trained, transfer
from avssl.evaluation.scores import Score, across_runs, bootstrap, read_scores, scores_table, write_scores
from avssl.evaluation.splits import Fold, Split, Unscorable, folds, guard, labels_of

__all__ = [
    "Answers",
    "Evaluation",
    "FeatureCache",
    "FeatureFunction",
    "Features",
    "Findings",
    "Fold",
    "Labelled",
    "LinearProbe",
    "Modality",
    "NearestNeighbours",
    "Neighbours",
    "Probe",
    "Retrieval",
    "Score",
    "Split",
    "Trained",
    "Unscorable",
    "across_runs",
    "bootstrap",
    "confusion",
    "evaluate",
    "evaluate_runs",
    "extract",
    "extract_all",
    "folds",
    "frame_difference",
    "guard",
    "labels_of",
    "linear_probe",
    "load_trained",
    "mean_colour",
    "mean_log_mel",
    "naive",
    "nearest",
    "nearest_neighbours",
    "picture_neighbours",
    "probes",
    "read_scores",
    "retrieval",
    "scores_table",
    "transfer",
    "write_scores",
]
