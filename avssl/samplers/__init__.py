"""When to cut: pure functions from what a file holds and a generator to a plan; numbers only."""

from avssl.samplers.camera import AXES, CameraMotion, camera_motion, rotations
from avssl.samplers.clips import ConsecutiveClips, RandomClips, SlidingClips, UniformClips
from avssl.samplers.grid import ClipSampler, SoundingSampler
from avssl.samplers.multiview import CloseMoments, SharedMoments
from avssl.samplers.offsets import SoundOffsets
from avssl.samplers.order import ClipOrder, TemporalOrderTriple, permutation, permutation_index
from avssl.samplers.speed import Pace
from avssl.samplers.stages import ForeignSound, Frozen, Stages
from avssl.samplers.sync import AudioOffset, easy_then_hard

__all__ = [
    "AXES",
    "AudioOffset",
    "CameraMotion",
    "ClipOrder",
    "ClipSampler",
    "CloseMoments",
    "ConsecutiveClips",
    "ForeignSound",
    "Frozen",
    "Pace",
    "RandomClips",
    "SharedMoments",
    "SlidingClips",
    "SoundOffsets",
    "SoundingSampler",
    "Stages",
    "TemporalOrderTriple",
    "UniformClips",
    "camera_motion",
    "easy_then_hard",
    "permutation",
    "permutation_index",
    "rotations",
]
