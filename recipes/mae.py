"""MAE: what was in the patches that are hidden?  He et al., CVPR 2022, arXiv:2111.06377.

VideoMAE, Tong et al., NeurIPS 2022, arXiv:2203.12602, is `--preset paper --frames 16 --step 4 --encoder vit_base
--ratio 0.9 --decoder 384 4 6 --train.lr 6e-4 --train.batch-size 1024`, but for its crops, without mirror images;
AudioMAE, Huang et al., NeurIPS 2022, arXiv:2207.06405, `--preset paper --modality audio --sound 10 --ratio 0.8
--train.lr 4e-4 --train.batch-size 512 --train.weight-decay 1e-4 --train.epochs 33 --train.warmup 3`, but for its
decoder's windows, and 0.24 s of silence after the 10 s that AudioSet's clips have.

    python recipes/mae.py --data.root ~/pictures --train.epochs 400
"""

from dataclasses import dataclass, field

from avssl.cli import cli
from avssl.data import Data, EitherView
from avssl.encoders import PatchDecoder, SoundNet, VideoNet
from avssl.evaluation import probes, transfer
from avssl.samplers import RandomClips
from avssl.tasks import HiddenPatches, Restore
from avssl.training import Run, Train, fit, start
from avssl.transforms import HorizontalFlip, RandomMask, RandomResizedCrop, TubeMask


@dataclass(frozen=True, kw_only=True)
class Config(EitherView):
    frames: int = 1
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=lambda: Train(epochs=30, lr=2e-3, betas=(0.9, 0.95), warmup=2))
    encoder: VideoNet = VideoNet.tiny_vit
    sound_encoder: SoundNet = SoundNet.tiny_sound_vit
    ratio: float = 0.75
    """Share of the patches that is hidden; of clips the same places in all frames."""
    smallest: float = 0.5  # share of the frame that a crop may have
    decoder: tuple[int, int, int] = (64, 2, 4)
    """Width, depth and heads of the decoder."""


PAPER = Config(
    size=224,
    encoder=VideoNet.vit_base_picture,  # not as in the paper: without a class token
    sound_encoder=SoundNet.sound_vit_base,
    smallest=0.2,
    decoder=(512, 8, 16),
    train=Train(lr=2.4e-3, betas=(0.9, 0.95), weight_decay=0.05, batch_size=4096, epochs=800, warmup=40),
)


def main(c: Config) -> Run:
    run = start(c)
    encoder = c.pick(c.encoder, c.sound_encoder).build(sample_rate=c.sample_rate)
    mask = c.pick(TubeMask, RandomMask)(grid=encoder.grid(c.shape), ratio=c.ratio)
    transform = RandomResizedCrop(c.size, scale=(c.smallest, 1.0)) | HorizontalFlip() | mask
    decoder = PatchDecoder(encoder, width=c.decoder[0], depth=c.decoder[1], heads=c.decoder[2])
    task = Restore(encoder, decoder, riddle=HiddenPatches(encoder, by_channel=c.frames > 1))
    fit(run, task, c.data.clips(c.cut(RandomClips()), transform), probes=probes(c.data, c))
    return transfer(run, task.encoders(), c.data, c)


if __name__ == "__main__":
    cli(main, Config, paper=PAPER)
