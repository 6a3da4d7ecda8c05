"""The one training loop and all around it."""

from avssl.training.checkpoint import task_state
from avssl.training.choice import Train
from avssl.training.fit import Probe, fit
from avssl.training.ranks import Ranks
from avssl.training.start import Run, device_type, hardware, start

__all__ = ["Probe", "Ranks", "Run", "Train", "device_type", "fit", "hardware", "start", "task_state"]
