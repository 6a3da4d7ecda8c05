"""Losses: pure functions, and the choices among them."""

from avssl.losses.contrastive import Criterion, InfoNCE, Margin, info_nce, margin, retrieved
from avssl.losses.gather import gathered, mean_over_ranks

__all__ = ["Criterion", "InfoNCE", "Margin", "gathered", "info_nce", "margin", "mean_over_ranks", "retrieved"]
