"""Flow prediction: where will everything in this picture go next?  Walker et al., ICCV 2015, arXiv:1505.00295.

From what came before it is told, too, so that the encoder sees motion; the paper shows one frame (`--frames 1`).

    python recipes/flow_prediction.py --data.root ~/ucf101/videos --train.epochs 100
"""

from dataclasses import dataclass, field, replace

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import UpDecoder, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import FlowAhead, Restore, by_motion
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 8
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=20, lr=3e-3, warmup=2))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    directions: int = 8
    """Ways to tell apart."""
    speeds: tuple[float, ...] = (0.02, 0.08)
    """Sides of the frame in one step; a place below half of the least counts as still."""
    shrink: int = 4
    """Pixels along each side of a place."""


# Not as in the paper: its 40 motions are clusters, these lie on three circles; its flow is DeepFlow. Of its optimiser
# we know no numbers.
PAPER = Config(
    frames=1,
    size=200,
    encoder=VideoNet.alexnet_pool5,
    directions=13,
    speeds=(0.01, 0.03, 0.08),
    shrink=10,
    train=Train(optimizer="sgd", lr=1e-3, weight_decay=5e-4, batch_size=64, schedule="constant"),
)


def main(c: Config) -> Run:
    run = start(c)
    riddle = FlowAhead(directions=c.directions, speeds=c.speeds, shrink=c.shrink)
    encoder, shown = c.encoder.build(), (c.frames, c.size, c.size)
    decoder = UpDecoder(encoder, riddle.classes, shown=shown, size=riddle.places(c.size), when="last")
    task = Restore(encoder, decoder, riddle=riddle, measure=by_motion)
    sampler = replace(c, frames=c.frames + 1).cut(RandomClips())
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip()
    fit(run, task, c.data.clips(sampler, transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
