"""Tasks: families of pretext tasks, each a module from a batch to a loss."""

from avssl.tasks.base import Task, encoded
from avssl.tasks.classify import Classify
from avssl.tasks.contrast import Contrast
from avssl.tasks.memory import InBatch, Memory, Momentum, Queue
from avssl.tasks.policies import Policy, Records, cross_modal, instances, synchronised

__all__ = [
    "Classify",
    "Contrast",
    "InBatch",
    "Memory",
    "Momentum",
    "Policy",
    "Queue",
    "Records",
    "Task",
    "cross_modal",
    "encoded",
    "instances",
    "synchronised",
]
