"""BYOL: what will a slow copy of the network say of the other view?  Grill et al., NeurIPS 2020, arXiv:2006.07733.

Views are of pictures, with `--frames 16` of clips, with `--modality audio` of sound. ρ-BYOL, Feichtenhofer et al., CVPR
2021, arXiv:2104.14558, is `--preset paper --frames 8 --step 8 --views 4 --encoder r3d_50 --smallest 0.2 --blur 0
--train.lr 1.2 --train.weight-decay 1e-6 --train.batch-size 512 --train.epochs 200 --train.warmup 35`, but for its net.

python recipes/byol.py --data.root ~/pictures --train.epochs 300
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, EitherView
from avssl.encoders import Projector, SoundNet, VideoNet
from avssl.evaluation import probes, transfer
from avssl.losses import unit_distance
from avssl.samplers import RandomClips
from avssl.tasks import Agree, Momentum
from avssl.training import Run, Train, fit, start
from avssl.transforms import contrastive_views


@dataclass(frozen=True, kw_only=True)
class Config(EitherView):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(batch_size=64, epochs=30))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    sound_encoder: SoundNet = SoundNet.tiny_sound
    views: int = 2
    """Clips of each example (ρ), each of which is answered from every other one."""
    widths: tuple[int, int] = (256, 128)
    """Width of the hidden layer of projector and predictor, and numbers of an embedding."""
    momentum: float = 0.97
    """Share of the slow copy that a step keeps, rising to 1 at the end."""
    smallest: float = 0.2
    """Smallest share of the frame that a crop may have."""
    blur: float = 0.0
    """Probability of blurring a view; small pictures need none."""


# Not as in the paper: one blur of both views (there p = 1 and 0.1), no solarisation, saturation within 0.4, not 0.2.
LARS = Train(optimizer="lars", lr=3.2, weight_decay=1.5e-6, batch_size=4096, epochs=1000, warmup=10)
PAPER = Config(
    size=224, encoder=VideoNet.resnet50, widths=(4096, 256), momentum=0.996, smallest=0.08, blur=0.5, train=LARS
)


def main(c: Config) -> Run:
    run, (hidden, out) = start(c), c.widths
    transform = contrastive_views(c.size, smallest=c.smallest, strength=0.5, blur=c.blur)
    encoder = c.pick(c.encoder, c.sound_encoder).build(sample_rate=c.sample_rate)
    heads = Projector(encoder.dim, out, hidden=hidden), Projector(out, out, hidden=hidden)
    task = Agree(encoder, *heads, criterion=unit_distance, target=Momentum(c.momentum, final=1.0))
    fit(run, task, c.data.clips(c.cut(RandomClips(n=c.views)), transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
