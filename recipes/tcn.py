"""TCN: is this the same moment?  Sermanet et al., ICRA 2018, arXiv:1704.06888.

python recipes/tcn.py --data.root ~/pouring/manifest.csv --views --train.epochs 500
"""

from dataclasses import dataclass, field
from typing import Literal

from avssl.cli import cli
from avssl.data import Data, View, two_cameras
from avssl.encoders import Projector, VideoNet
from avssl.evaluation import probes, tell_moments, transfer
from avssl.losses import NPairs, Triplet
from avssl.samplers import CloseMoments, SharedMoments
from avssl.tasks import Contrast, same_moment
from avssl.training import Run, Train, fit, start
from avssl.transforms import RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 1
    data: Data = field(default_factory=two_cameras)
    train: Train = field(default_factory=lambda: Train(epochs=10, warmup=1, batch_size=8))
    encoder: VideoNet = VideoNet.tiny_resnet_fc
    views: bool = False
    """Whether two cameras show a moment, whose films share their `scene` in the manifest; else one film does, twice."""
    moments: int = 8
    """Of each film, in an example."""
    radius: float = 0.2
    """Seconds within which moments of one film attract; beyond twice as many they repel."""
    loss: Literal["npairs", "triplet"] = "npairs"


# Not as in the paper: ResNet-50 from scratch for Inception-v3 with ImageNet's weights, two convolutions and a spatial
# softmax; frames are cropped, but keep their colours; the epochs are ours.
PAPER = Config(
    size=299,
    encoder=VideoNet.resnet50,
    moments=18,
    loss="triplet",
    train=Train(optimizer="adam", lr=1e-3, weight_decay=0.0, batch_size=1, epochs=500, schedule="constant"),
)


def main(c: Config) -> Run:
    run = start(c)
    sampler = SharedMoments(n=c.moments) if c.views else CloseMoments(n=c.moments, radius=c.radius)
    policy = same_moment(near=0 if c.views else c.radius, far=2 * c.radius, across="view" if c.views else "")
    encoder = c.encoder.build()
    projector = Projector(encoder.dim, 32, norm="none")
    task = Contrast(encoder, projector, policy=policy, criterion=NPairs() if c.loss == "npairs" else Triplet())
    fit(run, task, c.data.clips(c.cut(sampler), RandomCrop(c.size, short_side=c.short_side)), probes=probes(c.data, c))
    return tell_moments(transfer(run, task.encoders(), c.data, c), encoder, projector, c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
