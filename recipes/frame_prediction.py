"""Frame prediction: which frames came before, and which come next?  Srivastava et al., ICML 2015, arXiv:1502.04681.

python recipes/frame_prediction.py --part future --conditional --data.root ~/ucf101/videos --train.epochs 100
"""

from dataclasses import dataclass, field
from typing import Literal

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import FramesDecoder, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Continuation, Restore
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 8
    size: int = 32
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=40, lr=2e-3, warmup=2, clip_norm=1.0))
    encoder: VideoNet = VideoNet.tiny_lstm
    part: Literal["reconstruct", "future", "composite"] = "composite"
    """What is told: the frames that were shown, backwards; those that follow; or both."""
    ahead: int = 8
    """Frames that follow."""
    conditional: bool = False
    """Whether the decoders see the frame before each: the true one in training, their own in evaluation."""
    width: int = 256
    """Units of the decoders."""


# Not as in the paper: no peepholes; the code passes a linear layer into the decoders; weights are drawn as by torch;
# epochs, of which the paper tells only steps, and so its decay of the rate every 10 000 of them.
PAPER = Config(
    frames=10,
    ahead=10,
    size=32,
    encoder=VideoNet.lstm,
    width=2048,
    train=Train(
        optimizer="sgd", lr=1e-4, weight_decay=1e-4, clip_norm=1e-4, batch_size=100, epochs=1000, schedule="constant"
    ),
)


def main(c: Config) -> Run:
    run = start(c)
    told = {"reconstruct": (c.frames, 0), "future": (0, c.ahead), "composite": (c.frames, c.ahead)}
    behind, ahead = told[c.part]
    world = Continuation(shown=c.frames, behind=behind, ahead=ahead)
    sampler = RandomClips(frames=c.frames + ahead, step=c.step, rate=c.rate)
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip()
    encoder = c.encoder.build()
    decoder = FramesDecoder(encoder.dim, c.size, behind=behind, ahead=ahead, conditional=c.conditional, width=c.width)
    task = Restore(encoder, decoder, riddle=world.puzzle, measure=world.measure)
    fit(run, task, c.data.clips(sampler, transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
