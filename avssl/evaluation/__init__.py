"""Protocols that measure an encoder, each beside random init, naive features and chance."""

from avssl.evaluation.analysis import (
    Health,
    affinity,
    alignment,
    collapsed,
    effective_rank,
    health,
    linear_cka,
    representation_similarity,
    uniformity,
)
from avssl.evaluation.answers import Answers, Labelled, class_accuracy, confusion
from avssl.evaluation.attentive import AttentiveHead, AttentiveProbe, attentive_probe
from avssl.evaluation.baselines import frame_difference, mean_colour, mean_log_mel, naive
from avssl.evaluation.dense.after import transfer_dense
from avssl.evaluation.dense.choice import Dense, few_masks
from avssl.evaluation.dense.crossmodal import CrossModal, cross_modal
from avssl.evaluation.dense.localisation import Localisation, centre_blob, consensus_iou, localisation
from avssl.evaluation.dense.measured import Measured
from avssl.evaluation.dense.overlap import boundary_f, correct_joints, jaccard
from avssl.evaluation.dense.pair import Fusion, Matching, Pair, load_fusion, load_pair
from avssl.evaluation.dense.propagation import Propagation, propagate
from avssl.evaluation.dense.runs import evaluate_dense
from avssl.evaluation.dense.synchrony import SyncCurve, Synchrony, sync_curve, synchrony
from avssl.evaluation.dense.tracking import Tracking, carry_joints, carry_masks, joint_scores, mask_scores
from avssl.evaluation.evaluate import Evaluation, Findings, evaluate
from avssl.evaluation.extraction import FeatureCache, extract, extract_all
from avssl.evaluation.features import FeatureFunction, Features, Modality
from avssl.evaluation.finetune.choice import FineTune
from avssl.evaluation.finetune.presets import ClipProtocols, LinearClipProtocols
from avssl.evaluation.finetune.protocol import ClipProtocol, shortened
from avssl.evaluation.finetune.recogniser import Recogniser, RecogniserCard, load_recogniser, save_recogniser
from avssl.evaluation.finetune.run import apply_recogniser, fine_tune
from avssl.evaluation.fractions import Fractions, fraction, with_fractions
from avssl.evaluation.head import Card, Head, LinearHead, load_head, save_head
from avssl.evaluation.knn import NearestNeighbours, nearest, nearest_neighbours
from avssl.evaluation.layers import Layers, Pooled, Pooling, Tokens, pooled_to
from avssl.evaluation.linear import LinearProbe, fit_linear, linear_probe
from avssl.evaluation.moments import Moments, alignment_error, moments_of, tell_moments
from avssl.evaluation.multilabel import ManyLabelProbe, Ranked, many_label_probe
from avssl.evaluation.neighbours import Neighbours, picture_neighbours
from avssl.evaluation.probe import Probe, probes
from avssl.evaluation.ranking import area_under_curve, average_precision, d_prime
from avssl.evaluation.rescale import rescale
from avssl.evaluation.retrieval import COCLR, SELAVI, VCOP, Retrieval, retrieval
from avssl.evaluation.runs import Trained, evaluate_runs, load_trained, transfer
from avssl.evaluation.scores import Score, across_runs, bootstrap, read_scores, scores_table, write_scores
from avssl.evaluation.sgd import SGDProbe, sgd_probe
from avssl.evaluation.splits import Fold, Split, Unscorable, folds, guard, labels_of, many_labels_of
from avssl.evaluation.svm import VOC07, LinearSVM, linear_svm, many_label_svm, vote

__all__ = [
    "COCLR",
    "SELAVI",
    "VCOP",
    "VOC07",
    "Answers",
    "AttentiveHead",
    "AttentiveProbe",
    "Card",
    "ClipProtocol",
    "ClipProtocols",
    "CrossModal",
    "Dense",
    "Evaluation",
    "FeatureCache",
    "FeatureFunction",
    "Features",
    "Findings",
    "FineTune",
    "Fold",
    "Fractions",
    "Fusion",
    "Head",
    "Health",
    "Labelled",
    "Layers",
    "LinearClipProtocols",
    "LinearHead",
    "LinearProbe",
    "LinearSVM",
    "Localisation",
    "ManyLabelProbe",
    "Matching",
    "Measured",
    "Modality",
    "Moments",
    "NearestNeighbours",
    "Neighbours",
    "Pair",
    "Pooled",
    "Pooling",
    "Probe",
    "Propagation",
    "Ranked",
    "Recogniser",
    "RecogniserCard",
    "Retrieval",
    "SGDProbe",
    "Score",
    "Split",
    "SyncCurve",
    "Synchrony",
    "Tokens",
    "Tracking",
    "Trained",
    "Unscorable",
    "across_runs",
    "affinity",
    "alignment",
    "alignment_error",
    "apply_recogniser",
    "area_under_curve",
    "attentive_probe",
    "average_precision",
    "bootstrap",
    "boundary_f",
    "carry_joints",
    "carry_masks",
    "centre_blob",
    "class_accuracy",
    "collapsed",
    "confusion",
    "consensus_iou",
    "correct_joints",
    "cross_modal",
    "d_prime",
    "effective_rank",
    "evaluate",
    "evaluate_dense",
    "evaluate_runs",
    "extract",
    "extract_all",
    "few_masks",
    "fine_tune",
    "fit_linear",
    "folds",
    "fraction",
    "frame_difference",
    "guard",
    "health",
    "jaccard",
    "joint_scores",
    "labels_of",
    "linear_cka",
    "linear_probe",
    "linear_svm",
    "load_fusion",
    "load_head",
    "load_pair",
    "load_recogniser",
    "load_trained",
    "localisation",
    "many_label_probe",
    "many_label_svm",
    "many_labels_of",
    "mask_scores",
    "mean_colour",
    "mean_log_mel",
    "moments_of",
    "naive",
    "nearest",
    "nearest_neighbours",
    "picture_neighbours",
    "pooled_to",
    "probes",
    "propagate",
    "read_scores",
    "representation_similarity",
    "rescale",
    "retrieval",
    "save_head",
    "save_recogniser",
    "scores_table",
    "sgd_probe",
    "shortened",
    "sync_curve",
    "synchrony",
    "tell_moments",
    "transfer",
    "transfer_dense",
    "uniformity",
    "vote",
    "with_fractions",
    "write_scores",
]
