"""DeepCluster: in which cluster of its own features is this picture?  Caron et al., ECCV 2018, arXiv:1807.05520.

With `--frames 16 --encoder tiny_r2plus1d` of clips, though that encoder sees colours, which are the easier clusters.

    python recipes/deepcluster.py --data.root ~/pictures --train.epochs 200
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Cluster, KMeans
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomResizedCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=32, batch_size=16, lr=3e-3))
    encoder: VideoNet = VideoNet.tiny_resnet_sobel
    clusters: KMeans = field(default_factory=lambda: KMeans(clusters=20, components=16))
    every: int = 4
    """Epochs from one clustering to the next."""
    smallest: float = 0.2
    """Smallest share of the frame that a crop may have."""


# Not as in the paper: features are clustered with their last ReLU, and the head's SGD has momentum, as all has.
PAPER = Config(
    size=224,
    encoder=VideoNet.alexnet_sobel,
    clusters=KMeans(clusters=10000),
    every=1,
    smallest=0.08,
    train=Train(optimizer="sgd", lr=0.05, weight_decay=1e-5, batch_size=256, epochs=500, schedule="constant"),
)


def main(c: Config) -> Run:
    run = start(c)
    transform = RandomResizedCrop(c.size, scale=(c.smallest, 1.0)) | HorizontalFlip()
    clips = c.data.clips(c.cut(RandomClips()), transform)
    encoder = c.encoder.build()
    task = Cluster(encoder, items=max(clips.numbers) + 1, clusters=c.clusters, even="video", every=c.every)
    fit(run, task, clips, whole=clips.seen_as(*c.steady()), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
