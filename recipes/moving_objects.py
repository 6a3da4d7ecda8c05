"""Objects move: which pixels of this picture belong to what moves?  Pathak et al., CVPR 2017, arXiv:1612.06370.

python recipes/moving_objects.py --data.root ~/ucf101/videos --train.epochs 100
"""

from dataclasses import dataclass, field, replace

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import UpDecoder, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Restore, Things, by_masks
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 1
    """Frames that are shown, which is one."""
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=10, lr=3e-3))
    encoder: VideoNet = VideoNet.tiny_resnet
    reach: int = 1
    """Frames before and after the one shown that the program looks at, `step` apart."""
    shrink: int = 2
    """Pixels along each side of a place that is asked for."""


# Not as in the paper: the program, as `avssl.programs.MovingThings` tells. Of its optimiser we know no numbers.
PAPER = Config(
    size=227,
    encoder=VideoNet.alexnet_pool5,
    reach=3,
    shrink=4,
    train=Train(optimizer="sgd", lr=1e-3, weight_decay=5e-4, batch_size=64, schedule="constant"),
)


def main(c: Config) -> Run:
    run = start(c)
    riddle, encoder = Things(shrink=c.shrink), c.encoder.build()
    decoder = UpDecoder(encoder, 1, shown=(1, c.size, c.size), size=riddle.places(c.size), taps=encoder.taps)
    task = Restore(encoder, decoder, riddle=riddle, measure=by_masks)
    sampler = replace(c, frames=2 * c.reach + 1).cut(RandomClips())
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip()
    fit(run, task, c.data.clips(sampler, transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
