"""Losses: pure functions, and the choices among them."""

from avssl.losses.bins import bins_in_gamut, spread_over_bins
from avssl.losses.contrastive import Criterion, InfoNCE, Margin, info_nce, margin, retrieved
from avssl.losses.dense import absolute_error, cross_entropy, squared_error, weighted_mean
from avssl.losses.gather import from_first_rank, gathered, mean_over_ranks, own_rows
from avssl.losses.lab import lab_to_rgb, nearest, rgb_to_lab

__all__ = [
    "Criterion",
    "InfoNCE",
    "Margin",
    "absolute_error",
    "bins_in_gamut",
    "cross_entropy",
    "from_first_rank",
    "gathered",
    "info_nce",
    "lab_to_rgb",
    "margin",
    "mean_over_ranks",
    "nearest",
    "own_rows",
    "retrieved",
    "rgb_to_lab",
    "spread_over_bins",
    "squared_error",
    "weighted_mean",
]
