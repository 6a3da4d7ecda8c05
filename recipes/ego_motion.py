"""Ego-motion: how did the camera move from this frame to that one?  Agrawal et al., ICCV 2015, arXiv:1505.01596.

python recipes/ego_motion.py --data.root ~/kitti/manifest.csv --axes x z yaw --train.epochs 60
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View, moving_camera
from avssl.encoders import PlacesHead, VideoNet
from avssl.evaluation import probes, transfer
from avssl.losses import Bins
from avssl.samplers import CameraMotion
from avssl.tasks import Labelled, Regress
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 1
    data: Data = field(default_factory=moving_camera)
    train: Train = field(default_factory=lambda: Train(epochs=15, lr=3e-3, warmup=1))
    encoder: VideoNet = VideoNet.tiny_resnet
    axes: tuple[str, ...] = ("x", "y", "z", "roll")
    """What is told of the camera's motion: of x, y, z, yaw, pitch and roll."""
    longest: float = 0.45
    """Seconds between the frames, at most."""
    bins: int = 5
    """Into which the motion along each axis is parted."""
    reach: int = 2
    """Places of the maps, either way, among which the head is helped to find again what moved; 0: it is not."""


# Not as in the paper: bins of equally many examples, not of equal width; mirror images; batch normalisation.
PAPER = Config(
    size=227,
    encoder=VideoNet.alexnet_pool5,
    axes=("x", "z", "yaw"),
    longest=0.7,  # 7 frames of KITTI
    bins=20,
    reach=0,
    train=Train(optimizer="sgd", lr=1e-3, weight_decay=5e-4, batch_size=128, epochs=60),
)


def main(c: Config) -> Run:
    run = start(c)
    sampler = CameraMotion(longest=c.longest, axes=c.axes)
    transform = RandomCrop(c.size, short_side=c.short_side, scope="sample") | HorizontalFlip(scope="sample")
    clips = c.data.clips(sampler, transform)
    criterion = Bins.balanced(clips.labels(c.axes), c.bins)
    encoder = c.encoder.build()
    head = PlacesHead(encoder.dim, criterion.outputs, reach=c.reach)
    fit(run, Regress(encoder, head, target=Labelled(c.axes), criterion=criterion), clips, probes=probes(c.data, c))
    return transfer(run, {encoder.modality: encoder}, c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
