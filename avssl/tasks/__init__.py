"""Tasks: families of pretext tasks, each a module from a batch to a loss."""

from avssl.tasks.base import Features, Task, encoded, grouped
from avssl.tasks.classify import Classify
from avssl.tasks.colours import CopyColours
from avssl.tasks.contrast import Contrast
from avssl.tasks.foresee import Contest, Foresee, Foreseen, Predictor, among_all
from avssl.tasks.memory import InBatch, Memory, Queue
from avssl.tasks.policies import Policy, Records, cross_modal, instances, synchronised
from avssl.tasks.restore import Measure, Puzzle, Restore, Riddle, by_squared_error
from avssl.tasks.target import Momentum, SlowCopy
from avssl.tasks.track import Nodes, PatchNodes, PlaceNodes, Question, Track, WalkThereAndBack

__all__ = [
    "Classify",
    "Contest",
    "Contrast",
    "CopyColours",
    "Features",
    "Foresee",
    "Foreseen",
    "InBatch",
    "Measure",
    "Memory",
    "Momentum",
    "Nodes",
    "PatchNodes",
    "PlaceNodes",
    "Policy",
    "Predictor",
    "Puzzle",
    "Question",
    "Queue",
    "Records",
    "Restore",
    "Riddle",
    "SlowCopy",
    "Task",
    "Track",
    "WalkThereAndBack",
    "among_all",
    "by_squared_error",
    "cross_modal",
    "encoded",
    "grouped",
    "instances",
    "synchronised",
]
