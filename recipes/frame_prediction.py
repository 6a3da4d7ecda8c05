"""Frame prediction: which frames came before, and which come next?  Srivastava et al., ICML 2015, arXiv:1502.04681.

python recipes/frame_prediction.py --part future --conditional --data.root ~/ucf101/videos --train.epochs 100
"""

from dataclasses import dataclass, field, replace

from avssl.cli import cli
from avssl.data import Data, View, one_thing
from avssl.encoders import FramesDecoder, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Continuation, Part, Restore
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 8
    step: int = 2
    size: int = 32
    data: Data = field(default_factory=one_thing)
    train: Train = field(default_factory=lambda: Train(epochs=40, lr=2e-3, warmup=2, clip_norm=1.0))
    encoder: VideoNet = VideoNet.tiny_lstm
    part: Part = "composite"
    """What is told: the `frames` that were shown, backwards; the `ahead` that follow; or both."""
    ahead: int = 8
    moving: bool = True
    """Whether frames are told by their difference from the mean of those shown, which is not the paper's way."""
    conditional: bool = False
    """Whether the decoders see the frame before each: the true one in training, their own in evaluation."""


# Not as in the paper: no peepholes; the code passes a linear layer; torch's first weights; AdamW, as its code bounds
# the steps of SGD (1e-4 a weight); the epochs and the constant rate. Its figures are of a labelled network's features.
PAPER = Config(
    frames=10,
    step=1,
    ahead=10,
    moving=False,
    encoder=VideoNet.lstm,
    train=Train(lr=1e-4, weight_decay=1e-4, batch_size=100, schedule="constant"),
)


def main(c: Config) -> Run:
    run = start(c)
    world = Continuation.telling(c.part, shown=c.frames, ahead=c.ahead, moving=c.moving)
    sampler = replace(c.cut(RandomClips()), frames=world.frames)
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip()
    encoder = c.encoder.build()
    decoder = FramesDecoder(encoder.dim, c.size, told=world.told, conditional=c.conditional)
    task = Restore(encoder, decoder, riddle=world.puzzle, measure=world.measure)
    fit(run, task, c.data.clips(sampler, transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
