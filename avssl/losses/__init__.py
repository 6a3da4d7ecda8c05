"""Losses: pure functions, and the choices among them."""

from avssl.losses.agreement import Agreement, negative_cosine, spread, unit_distance
from avssl.losses.bins import bins_in_gamut, spread_over_bins
from avssl.losses.contrastive import Criterion, InfoNCE, Margin, info_nce, margin, products, retrieved
from avssl.losses.dense import absolute_error, cross_entropy, squared_error, weighted_mean
from avssl.losses.gather import from_first_rank, gathered, is_first_rank, mean_over_ranks, own_rows
from avssl.losses.lab import lab_to_rgb, nearest, rgb_to_lab
from avssl.losses.numbers import Bins, Regression, Standardised
from avssl.losses.triplet import NPairs, Triplet, n_pairs, semi_hard

__all__ = [
    "Agreement",
    "Bins",
    "Criterion",
    "InfoNCE",
    "Margin",
    "NPairs",
    "Regression",
    "Standardised",
    "Triplet",
    "absolute_error",
    "bins_in_gamut",
    "cross_entropy",
    "from_first_rank",
    "gathered",
    "info_nce",
    "is_first_rank",
    "lab_to_rgb",
    "margin",
    "mean_over_ranks",
    "n_pairs",
    "nearest",
    "negative_cosine",
    "own_rows",
    "products",
    "retrieved",
    "rgb_to_lab",
    "semi_hard",
    "spread",
    "spread_over_bins",
    "squared_error",
    "unit_distance",
    "weighted_mean",
]
