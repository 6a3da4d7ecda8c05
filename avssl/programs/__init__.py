"""Programs that look at pixels and tell something of them without weights and without labels: what tasks learn from."""

from avssl.programs.colour import bins_in_gamut, lab, rgb, spread_over_bins
from avssl.programs.flow import motion_codes, nearest_code, optical_flow, warped
from avssl.programs.moving import MovingThings

__all__ = [
    "MovingThings",
    "bins_in_gamut",
    "lab",
    "motion_codes",
    "nearest_code",
    "optical_flow",
    "rgb",
    "spread_over_bins",
    "warped",
]
