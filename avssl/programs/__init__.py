"""Programs that look at pixels and tell something of them without weights and without labels: what tasks learn from."""

from avssl.programs.flow import motion_codes, nearest_code, optical_flow, warped
from avssl.programs.moving import MovingThings

__all__ = [
    "MovingThings",
    "motion_codes",
    "nearest_code",
    "optical_flow",
    "warped",
]
