"""XDC: in which cluster is the sound that goes with these frames?  Alwassel et al., NeurIPS 2020, arXiv:1911.12667.

python recipes/xdc.py --data.root ~/kinetics/videos --train.epochs 100
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, View
from avssl.encoders import SoundNet, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Cluster, KMeans
from avssl.training import Run, Train, fit, start
from avssl.transforms import Gain, HorizontalFlip, RandomCrop


@dataclass(frozen=True, kw_only=True)
class Config(View):
    frames: int = 16
    sound: float | None = 1.0
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=20, batch_size=16, lr=3e-3))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    sound_encoder: SoundNet = SoundNet.tiny_sound
    clusters: KMeans = field(default_factory=lambda: KMeans(clusters=16, components=16))
    every: int = 4
    """Epochs from one clustering to the next."""
    own: bool = False
    """Whether each stream learns its own clusters, not the other's: the paper's SDC."""


# Ours, not the paper's: learning rate, decay, batch and epochs, and the 64 mel bands that the sound network sees.
PAPER = Config(
    frames=32,
    rate=30.0,
    size=112,
    sound=2.0,
    encoder=VideoNet.r2plus1d_18,
    sound_encoder=SoundNet.sound_resnet18,
    clusters=KMeans(clusters=64),
    every=1,
    train=Train(optimizer="sgd", lr=1e-2, weight_decay=1e-4, batch_size=256, epochs=100, warmup=5),
)


def main(c: Config) -> Run:
    run = start(c)
    transform = RandomCrop(c.size, short_side=c.short_side) | HorizontalFlip() | Gain()
    clips = c.data.clips(c.cut(RandomClips()), transform)
    video, sound = c.encoder.build(), c.sound_encoder.build(sample_rate=c.sample_rate)
    teachers = None if c.own else {"video": "sound", "sound": "video"}
    items = max(clips.numbers) + 1
    task = Cluster(video, sound=sound, items=items, clusters=c.clusters, teachers=teachers, every=c.every)
    fit(run, task, clips, whole=clips.seen_as(*c.steady()), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
