"""Tasks: families of pretext tasks, each a module from a batch to a loss."""

from avssl.tasks.agree import Agree
from avssl.tasks.bank import Bank, BankMemory
from avssl.tasks.base import Features, Task, encoded, grouped
from avssl.tasks.classify import Classify
from avssl.tasks.cluster import Cluster
from avssl.tasks.clustering import KMeans
from avssl.tasks.contrast import Contrast
from avssl.tasks.foresee import Contest, Foresee, Foreseen, Predictor
from avssl.tasks.memory import BatchMemory, Candidates, InBatch, Memory, Negatives, Queue, QueueMemory
from avssl.tasks.policies import Policy, Records, cross_modal, instances, synchronised
from avssl.tasks.restore import Measure, Puzzle, Restore, Riddle
from avssl.tasks.target import Momentum, SlowCopy

__all__ = [
    "Agree",
    "Bank",
    "BankMemory",
    "BatchMemory",
    "Candidates",
    "Classify",
    "Cluster",
    "Contest",
    "Contrast",
    "Features",
    "Foresee",
    "Foreseen",
    "InBatch",
    "KMeans",
    "Measure",
    "Memory",
    "Momentum",
    "Negatives",
    "Policy",
    "Predictor",
    "Puzzle",
    "Queue",
    "QueueMemory",
    "Records",
    "Restore",
    "Riddle",
    "SlowCopy",
    "Task",
    "cross_modal",
    "encoded",
    "grouped",
    "instances",
    "synchronised",
]
