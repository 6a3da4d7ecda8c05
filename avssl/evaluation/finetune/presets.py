"""How papers train a network for action recognition on labelled clips, number by number, and how they test it."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, member

from avssl.evaluation.finetune.protocol import ClipProtocol

__all__ = [
    "AVID",
    "AVID_LINEAR",
    "COCLR",
    "COCLR_LINEAR",
    "GDT",
    "SEVERE",
    "SEVERE_SSV2",
    "VCOP",
    "VIDEOMAE",
    "VIDEOMAE_HMDB",
    "ClipProtocols",
    "LinearClipProtocols",
]

_LAST_WEIGHTS = "the released code keeps the weights that test best; here the last ones are tested"

# Of the frames there: their shorter side is scaled to 128 and their longer side to 171, whatever their shape.
VCOP = ClipProtocol(
    name="vcop",
    source="Xu et al., CVPR 2019; numbers of the authors' code (xudejing/video-clip-order-prediction, ft_classify.py)",
    departures=(
        "frames keep their shape, and their shorter side becomes 8/7 of the crop",
        "800 of 9,537 videos of UCF101 are held out there, here whole groups, the same share; their middle clip "
        "decides, not a random one",
        "a video that is too short for a clip has its last frame repeated; there it is dropped",
    ),
    frames=16,
    size=112,
    flip=False,
    batch_size=8,
    epochs=150,
    optimizer="sgd",
    lr=1e-3,
    weight_decay=5e-4,
    held_out=0.084,
    choose_epoch=True,
    test_clips=10,
)

COCLR = ClipProtocol(
    name="coclr",
    source="Han et al., NeurIPS 2020, arXiv:2010.09709; numbers of the authors' code (TengdaHan/CoCLR, eval/)",
    departures=(
        "the released code chooses the epoch on 30 % of the test list; here the last weights are tested",
        "it jitters the colours of 30 % of the clips in test; here none are",
        "a video that is too short has its last frame repeated; there its first one",
    ),
    frames=32,
    size=128,
    crop="resized",
    smallest=0.2,
    jitter=(0.4, 0.4, 0.4, 0.1),
    jitter_p=0.3,
    batch_size=32,
    epochs=500,
    optimizer="adam",
    lr=1e-3,
    trunk_lr=0.1,
    weight_decay=1e-3,
    schedule="steps",
    milestones=(400, 450),
    dropout=0.9,
    test_clips=None,
    test_crops=10,
)

COCLR_LINEAR = replace(
    COCLR,
    source="Han et al., NeurIPS 2020, arXiv:2010.09709; numbers of the authors' code (TengdaHan/CoCLR, eval/)",
    linear=True,
    epochs=100,
    optimizer="sgd",
    lr=0.1,
    trunk_lr=1.0,
    milestones=(60, 80),
    dropout=0.0,
    unit=True,
    norm=True,
)

AVID = ClipProtocol(
    name="avid",
    source="Morgado et al., CVPR 2021, arXiv:2004.12943; numbers of the authors' code (facebookresearch/AVID-CMA, "
    "configs/benchmark/ucf/32at16)",
    departures=(
        "every item is seen once before any is seen again; there its 5 clips are shuffled among all others",
        "clip@1, over 25 clips one by one, is not scored",
    ),
    frames=32,
    size=224,
    rate=16.0,
    clips=5,
    crop="resized",
    smallest=0.08,
    jitter=(0.4, 0.4, 0.4, 0.2),
    batch_size=32,
    epochs=16,
    head_first=5,
    optimizer="adam",
    lr=1e-4,
    weight_decay=0.0,
    schedule="steps",
    milestones=(6, 10, 14),
    gamma=0.3,
    dropout=0.5,
    test_clips=10,
)

AVID_LINEAR = replace(
    AVID,
    source="Morgado et al., CVPR 2021, arXiv:2004.12943; numbers of the authors' code (facebookresearch/AVID-CMA, "
    "configs/benchmark/kinetics/r2plus1d/8x224x224-linear)",
    departures=(
        "all stages are scored; there the best in test is reported, here the one that is chosen on 10 % of the "
        "training items is named",
        "the warm-up of the classifiers is left out, since nothing else is trained",
    ),
    linear=True,
    frames=8,
    clips=1,
    crop="random",
    jitter=None,
    batch_size=128,
    epochs=12,
    head_first=0,
    milestones=(6, 9),
    gamma=0.1,
    dropout=0.0,
    norm=True,
    stages=True,
    held_out=0.1,
)

GDT = ClipProtocol(
    name="gdt",
    source="Patrick et al., ICCV 2021, arXiv:2003.04298; numbers of the authors' code (facebookresearch/GDT, "
    "scripts/run_finetune.sh)",
    departures=(
        "every item is seen once before any is seen again",
        _LAST_WEIGHTS,
        "the released code multiplies both rates by 8 while it warms up and crops 128 pixels unless told otherwise; "
        "here rates and crop are those that it names",
        "the strength of its colour jitter and of its crops was not to be had: they are half of SimCLR's and at least "
        "8 % of the area",
    ),
    frames=32,
    size=112,
    rate=30.0,
    clips=10,
    crop="resized",
    jitter=(0.4, 0.4, 0.4, 0.1),
    jitter_p=0.8,
    batch_size=32,
    epochs=12,
    optimizer="sgd",
    lr=2.5e-3,
    trunk_lr=0.1,
    weight_decay=5e-3,
    schedule="steps",
    milestones=(6, 10),
    gamma=0.05,
    warmup=2,
    test_clips=10,
    test_crops=3,
)

VIDEOMAE = ClipProtocol(
    name="videomae",
    source="Tong et al., NeurIPS 2022, arXiv:2203.12602; numbers of the authors' code (MCG-NJU/VideoMAE, "
    "scripts/ucf101/videomae_vit_base…/finetune.sh)",
    departures=(
        "no drop path (0.2 there), which an encoder would have to have inside",
        "no RandAugment (two of magnitude 7) and no random erasing (of 25 %); a colour jitter of 0.4 stands for them",
        "the rate falls to 0; there to 1e-5",
        "a layer of the decay is a stage of the encoder; there a block of the transformer",
    ),
    frames=16,
    size=224,
    step=4,
    clips=2,
    together=True,
    crop="resized",
    jitter=(0.4, 0.4, 0.4, 0.1),
    mixup=0.8,
    cutmix=1.0,
    smoothing=0.1,
    batch_size=256,
    epochs=100,
    optimizer="adamw",
    lr=5e-4,
    lr_per=256,
    layer_decay=0.7,
    weight_decay=0.05,
    decay_all=False,
    schedule="cosine",
    warmup=5,
    dropout=0.5,
    test_clips=5,
    test_crops=3,
)

VIDEOMAE_HMDB = replace(
    VIDEOMAE,
    name="videomae-hmdb",
    source="Tong et al., NeurIPS 2022, arXiv:2203.12602; step, epochs, rate and clips as others report them for HMDB51",
    step=2,
    epochs=50,
    lr=1e-3,
    test_clips=10,
)

SEVERE = ClipProtocol(
    name="severe",
    source="Thoker et al., ECCV 2022, arXiv:2203.14221; numbers of the authors' code (fmthoker/SEVERE-BENCHMARK, "
    "action_recognition/configs/benchmark/ucf)",
    departures=(
        "every item is seen once before any is seen again; there its 10 clips are shuffled among all others",
        "training from random init takes as long as from weights; there 20 epochs with a weight decay of 1e-4",
    ),
    frames=32,
    size=112,
    rate=16.0,
    clips=10,
    crop="resized",
    smallest=0.08,
    jitter=(0.4, 0.4, 0.4, 0.2),
    batch_size=32,
    epochs=16,
    optimizer="adam",
    lr=1e-4,
    weight_decay=0.0,
    schedule="steps",
    milestones=(6, 10, 14),
    gamma=0.3,
    test_clips=10,
)

SEVERE_SSV2 = replace(
    SEVERE, name="severe-ssv2", flip=False, clips=2, epochs=22, milestones=(12, 17, 20)
)  # its labels tell left from right


class ClipProtocols(Enum):
    """Fine-tuning of the whole network, named after the paper whose numbers it takes."""

    vcop = member(VCOP)
    coclr = member(COCLR)
    avid = member(AVID)
    gdt = member(GDT)
    videomae = member(VIDEOMAE)
    videomae_hmdb = member(VIDEOMAE_HMDB)
    severe = member(SEVERE)
    severe_ssv2 = member(SEVERE_SSV2)


class LinearClipProtocols(Enum):
    """Linear probes that are trained on clips, of the papers that do so."""

    coclr = member(COCLR_LINEAR)
    avid = member(AVID_LINEAR)
