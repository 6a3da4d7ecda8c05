"""DPC: which features come next, at every place?  Han et al., ICCV workshop 2019, arXiv:1909.04656.

python recipes/dpc.py --data.root ~/kinetics400/videos --train.epochs 100
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import ConvGRU, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import ConsecutiveClips
from avssl.tasks import Foresee, OneByOne, among_all, blocks
from avssl.training import Run, Train, fit, start
from avssl.transforms import ColourJitter, Grey, HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 5
    step: int = 2
    size: int = 48
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=10, lr=2e-3, warmup=1))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    blocks: int = 8
    """Clips of `frames` that follow one another."""
    ahead: int = 3
    """The last of them, which are foreseen."""
    width: int = 128
    """Of the features that are foreseen, and of the state."""


# Not as in the paper: R3D-18 instead of its 2D3D-ResNet-18, whose maps have a quarter of the places; what is foreseen
# are features after a linear layer, instead of those before the last rectifier.
PAPER = Config(
    step=3,
    rate=30.0,
    size=128,
    encoder=VideoNet.r3d_18,
    width=256,
    train=Train(optimizer="adam", lr=1e-3, weight_decay=1e-5, batch_size=128, epochs=300, schedule="constant"),
)


def main(c: Config) -> Run:
    run = start(c)
    sampler = c.cut(ConsecutiveClips(n=c.blocks))
    jitter = ColourJitter(brightness=0.5, contrast=0.5, saturation=0.5, hue=0.25, p=0.8, scope="sample")
    crop = RandomCrop(c.size, short_side=c.short_side, scope="sample") | HorizontalFlip(scope="sample")
    transform = crop | Grey(scope="sample") | jitter
    encoder = c.encoder.build()
    predictor = OneByOne(encoder.dim, grid=blocks, context=ConvGRU(c.width, c.width), ahead=c.ahead)
    task = Foresee(encoder, predictor, contest=among_all)
    fit(run, task, c.data.clips(sampler, transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
