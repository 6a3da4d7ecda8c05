"""SimCLR: which two views come from the same example?  Chen et al., ICML 2020, arXiv:2002.05709.

CVRL, Qian et al., CVPR 2021, arXiv:2008.03800, is `--preset paper --frames 16 --step 2 --encoder r3d_50 --smallest 0.3
--hidden 3 --train.optimizer sgd --train.lr 0.32 --train.batch-size 1024 --train.epochs 200 --train.warmup 5`, but for
its aspects of 1/2 to 2, and its blur and solarisation of one view more than of the other. With `--modality audio` the
views are stretches of sound.

    python recipes/simclr.py --data.root ~/pictures --train.epochs 200
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, EitherView
from avssl.encoders import Projector, SoundNet, VideoNet
from avssl.evaluation import probes, transfer
from avssl.losses import InfoNCE
from avssl.samplers import RandomClips
from avssl.tasks import Contrast
from avssl.training import Run, Train, fit, start
from avssl.transforms import contrastive_views


@dataclass(frozen=True, kw_only=True)
class Config(EitherView):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(batch_size=64, epochs=30))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    sound_encoder: SoundNet = SoundNet.tiny_sound
    temperature: float = 0.1
    smallest: float = 0.2
    """Smallest share of the frame that a crop may have."""
    blur: float = 0.0
    """Probability of blurring a view; small pictures need none."""
    hidden: int = 1
    """Hidden layers of the projection, as wide as the features."""


PAPER = Config(
    size=224,
    encoder=VideoNet.resnet50,
    smallest=0.08,
    blur=0.5,
    train=Train(optimizer="lars", lr=4.8, weight_decay=1e-6, batch_size=4096, epochs=100, warmup=10),
)


def main(c: Config) -> Run:
    run = start(c)
    transform = contrastive_views(c.size, smallest=c.smallest, blur=c.blur)
    encoder = c.pick(c.encoder, c.sound_encoder).build(sample_rate=c.sample_rate)
    task = Contrast(encoder, Projector(encoder.dim, 128, layers=c.hidden + 1), criterion=InfoNCE(c.temperature))
    fit(run, task, c.data.clips(c.cut(RandomClips(n=2)), transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
