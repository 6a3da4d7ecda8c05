"""SimSiam: can the embedding of one view be told from the other's?  Chen and He, CVPR 2021, arXiv:2011.10566.

Views are of pictures, with `--frames 16` of clips, with `--modality audio` of sound. `--no-stop-gradient` collapses.

    python recipes/simsiam.py --data.root ~/pictures --train.epochs 100
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, EitherView
from avssl.encoders import Projector, SoundNet, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import Agree
from avssl.training import Run, Train, fit, start
from avssl.transforms import contrastive_views


@dataclass(frozen=True, kw_only=True)
class Config(EitherView):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(batch_size=64, epochs=30))
    encoder: VideoNet = VideoNet.tiny_r2plus1d
    sound_encoder: SoundNet = SoundNet.tiny_sound
    embedding: int = 256
    """Numbers of an embedding, and of the hidden layers of the projector."""
    layers: int = 2
    """Linear layers of the projector."""
    bottleneck: int = 64
    """Width of the predictor's hidden layer."""
    blur: float = 0.0
    """Probability of blurring a view; small pictures need none."""
    stop_gradient: bool = True
    """Whether the other view's embedding is taken as given; without that all embeddings fall on one point."""


TRAIN = Train(optimizer="sgd", lr=0.1, weight_decay=1e-4, batch_size=512, epochs=100)
PAPER = Config(size=224, encoder=VideoNet.resnet50, embedding=2048, layers=3, bottleneck=512, blur=0.5, train=TRAIN)


def main(c: Config) -> Run:
    run = start(c)
    transform = contrastive_views(c.size, strength=0.5, blur=c.blur)
    encoder = c.pick(c.encoder, c.sound_encoder).build(sample_rate=c.sample_rate)
    projector = Projector(encoder.dim, c.embedding, hidden=c.embedding, layers=c.layers, normed_output=True)
    predictor = Projector(c.embedding, c.embedding, hidden=c.bottleneck)
    task = Agree(encoder, projector, predictor, stop_gradient=c.stop_gradient, steady_predictor=True)
    fit(run, task, c.data.clips(c.cut(RandomClips(n=2)), transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
