"""Tasks: families of pretext tasks, each a module from a batch to a loss."""

from avssl.tasks.adversary import Adversary
from avssl.tasks.agree import Agree
from avssl.tasks.bank import Bank, BankMemory
from avssl.tasks.base import Features, Task, encoded, grouped
from avssl.tasks.classify import Classify
from avssl.tasks.cluster import Cluster
from avssl.tasks.clustering import Clustering, KMeans
from avssl.tasks.colouring import Colouring, Rebalanced
from avssl.tasks.colours import CopyColours
from avssl.tasks.contrast import Contrast
from avssl.tasks.foresee import Contest, Foresee, Foreseen, Predictor, among_all, by_absolute_error
from avssl.tasks.frames import Continuation, Part
from avssl.tasks.inpainting import Inpainting, by_inpainting
from avssl.tasks.masked import HiddenFeatures, HiddenPatches
from avssl.tasks.memory import BatchMemory, Candidates, InBatch, Memory, Negatives, Queue, QueueMemory
from avssl.tasks.motion import FlowAhead, Things, by_masks, by_motion
from avssl.tasks.policies import Policy, Records, cross_modal, instances, same_moment, synchronised
from avssl.tasks.predictors import Grid, OneByOne, Patches, StepsAhead, blocks, over_time
from avssl.tasks.regress import Drawn, Labelled, Numbers, Regress
from avssl.tasks.restore import Measure, Puzzle, Restore, Riddle, by_squared_error
from avssl.tasks.target import Momentum, SlowCopy
from avssl.tasks.track import Nodes, PatchNodes, PlaceNodes, Question, Track, WalkThereAndBack

__all__ = [
    "Adversary",
    "Agree",
    "Bank",
    "BankMemory",
    "BatchMemory",
    "Candidates",
    "Classify",
    "Cluster",
    "Clustering",
    "Colouring",
    "Contest",
    "Continuation",
    "Contrast",
    "CopyColours",
    "Drawn",
    "Features",
    "FlowAhead",
    "Foresee",
    "Foreseen",
    "Grid",
    "HiddenFeatures",
    "HiddenPatches",
    "InBatch",
    "Inpainting",
    "KMeans",
    "Labelled",
    "Measure",
    "Memory",
    "Momentum",
    "Negatives",
    "Nodes",
    "Numbers",
    "OneByOne",
    "Part",
    "PatchNodes",
    "Patches",
    "PlaceNodes",
    "Policy",
    "Predictor",
    "Puzzle",
    "Question",
    "Queue",
    "QueueMemory",
    "Rebalanced",
    "Records",
    "Regress",
    "Restore",
    "Riddle",
    "SlowCopy",
    "StepsAhead",
    "Task",
    "Things",
    "Track",
    "WalkThereAndBack",
    "among_all",
    "blocks",
    "by_absolute_error",
    "by_inpainting",
    "by_masks",
    "by_motion",
    "by_squared_error",
    "cross_modal",
    "encoded",
    "grouped",
    "instances",
    "over_time",
    "same_moment",
    "synchronised",
]
