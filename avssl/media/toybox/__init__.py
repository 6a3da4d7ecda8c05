"""The toybox: clips that we make ourselves, of things that move and sound by physics, with all the truth about them."""

from avssl.media.toybox.choice import (
    DEFAULT_MOTIONS,
    MOTIONS,
    ONE_WAY_MOTIONS,
    PROGRESSING_MOTIONS,
    SHAPES,
    TIMBRES,
    MotionName,
    Toybox,
)
from avssl.media.toybox.drawing import Role, Scene, cast, draw_scene
from avssl.media.toybox.facts import Truth, scene_truth
from avssl.media.toybox.facts import read_truth as truth
from avssl.media.toybox.hearing import sound
from avssl.media.toybox.making import cache_root, make_toybox
from avssl.media.toybox.masks import in_toybox, masks
from avssl.media.toybox.picture import frame_times, frames, mask
from avssl.media.toybox.world import Motion, State, draw_motion, reverse

__all__ = [
    "DEFAULT_MOTIONS",
    "MOTIONS",
    "ONE_WAY_MOTIONS",
    "PROGRESSING_MOTIONS",
    "SHAPES",
    "TIMBRES",
    "Motion",
    "MotionName",
    "Role",
    "Scene",
    "State",
    "Toybox",
    "Truth",
    "cache_root",
    "cast",
    "draw_motion",
    "draw_scene",
    "frame_times",
    "frames",
    "in_toybox",
    "make_toybox",
    "mask",
    "masks",
    "reverse",
    "scene_truth",
    "sound",
    "truth",
]
