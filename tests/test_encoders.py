"""The whole zoo on tiny inputs: shapes, pictures as T = 1, input types, and what normalisation may not change."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor

from avssl import encoders as zoo
from avssl.encoders import Encoder, FrameEncoder

FRAME: dict[str, tuple[Callable[[], Encoder], int]] = {
    "resnet18": (zoo.resnet18, 512),
    "resnet18 small group": (lambda: zoo.resnet18(stem="small", norm="group"), 512),
    "resnet18 fine": (lambda: zoo.resnet18(last="layer3", stride=8, padding="reflect"), 256),
    "resnet50": (zoo.resnet50, 2048),
    "alexnet": (lambda: zoo.alexnet(last="fc6", width=0.25), 4096),
    "alexnet local": (lambda: zoo.alexnet(last="pool5", norm="local"), 256),
    "alexnet without groups": (lambda: zoo.alexnet(last="pool5", groups=1, channels=(8, 16, 24, 16, 8), padding=2), 8),
    "alexnet local and batch": (lambda: zoo.alexnet(last="pool5", norm="local and batch"), 256),
    "tiny_resnet": (zoo.tiny_resnet, 128),
    "tiny_resnet fine": (lambda: zoo.tiny_resnet(width=8, stride=2, padding="reflect", colour=False), 64),
    "tiny_resnet sobel": (lambda: zoo.tiny_resnet(width=8, sobel=True), 64),
    "alexnet sobel": (lambda: zoo.alexnet(last="pool5", sobel=True, width=0.25), 64),
}
CLIP: dict[str, tuple[Callable[[], Encoder], int]] = {
    "r3d_18": (zoo.r3d_18, 512),
    "mc3_18": (zoo.mc3_18, 512),
    "r2plus1d_18": (zoo.r2plus1d_18, 512),
    "r3d_50": (zoo.r3d_50, 2048),
    "r3d_10": (zoo.r3d_10, 512),
    "r2plus1d_10": (zoo.r2plus1d_10, 512),
    "s3d": (zoo.s3d, 1024),
    "slow_r50": (zoo.slow_r50, 2048),
    "slowfast_r50": (lambda: zoo.slowfast_r50(width=16), 576),
    "tsm_resnet18": (zoo.tsm_resnet18, 512),
    "tsm_resnet50": (zoo.tsm_resnet50, 2048),
    "c3d": (lambda: zoo.c3d(width=8), 64),
    "tiny_r2plus1d": (zoo.tiny_r2plus1d, 128),
    "tiny_r2plus1d group": (lambda: zoo.tiny_r2plus1d(norm="group", width=24), 192),
    "tiny_vit": (zoo.tiny_vit, 96),
    "vit_small": (zoo.vit_small, 384),
}
SOUND: dict[str, tuple[Callable[[], Encoder], int]] = {
    "sound_resnet18": (zoo.sound_resnet18, 512),
    "sound_vgg": (zoo.sound_vgg, 128),
    "tiny_sound": (zoo.tiny_sound, 128),
    "tiny_sound group": (lambda: zoo.tiny_sound(norm="group", width=8), 64),
    "tiny_sound_vit": (zoo.tiny_sound_vit, 96),
    "tiny_sound_vit 8 kHz": (lambda: zoo.tiny_sound_vit(sample_rate=8000, n_mels=32, hop=0.02, width=24), 24),
    "sound_vgg 8 kHz": (lambda: zoo.sound_vgg(sample_rate=8000, n_mels=32, hop=0.02, width=8), 64),
}


def frames(steps: int = 2, side: int = 67) -> Tensor:
    return torch.rand(1, steps, 3, side, side, generator=torch.Generator().manual_seed(1))


def inputs(name: str) -> Tensor:
    if name in SOUND:
        return torch.randn(1, 2, 9001, generator=torch.Generator().manual_seed(1)) / 10
    return frames() if name in FRAME else frames(8, 32)


@pytest.mark.parametrize("name", [*FRAME, *CLIP, *SOUND])
def test_shapes_and_agreement_of_the_three_views(name: str) -> None:
    make, dim = (FRAME | CLIP | SOUND)[name]
    encoder, x = make().eval(), inputs(name)
    with torch.no_grad():
        maps = encoder.features(x, encoder.taps)
        vector, sequence = encoder(x), encoder.sequence(x)
        middle = encoder.taps[1]
        alone = encoder.features(x, [middle])
    assert list(maps) == list(encoder.taps)
    assert encoder.dim == dim
    assert vector.shape == (1, dim)
    assert maps[encoder.taps[-1]].shape[:2] == (1, dim)
    assert all(m.ndim == (4 if name in SOUND else 5) for m in maps.values())
    assert sequence.shape == (1, maps[encoder.taps[-1]].shape[2], dim)
    torch.testing.assert_close(vector, sequence.mean(dim=1))
    assert list(alone) == [middle]
    torch.testing.assert_close(alone[middle], maps[middle])
    assert vector.std() > 0


@pytest.mark.parametrize("name", FRAME)
def test_a_picture_equals_the_same_picture_repeated(name: str) -> None:
    encoder, x = FRAME[name][0]().eval(), frames(1)
    assert isinstance(encoder, FrameEncoder)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), encoder(x.expand(1, 4, 3, 67, 67)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make", [zoo.tiny_r2plus1d, zoo.tiny_resnet])
def test_whole_numbers_and_fractions_agree_and_grey_is_three_equal_channels(make: Callable[[], Encoder]) -> None:
    encoder = make().eval()
    whole = torch.randint(0, 256, (2, 4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    grey = whole[:, :, :1]
    with torch.no_grad():
        torch.testing.assert_close(encoder(whole), encoder(whole / 255), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder(grey), encoder(grey.expand_as(whole)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("net", ["tiny_resnet_fine", "resnet18_fine", "tiny_resnet_fine_grey"])
def test_features_of_a_picture_of_one_colour_tell_no_place(net: str) -> None:
    plain = torch.tensor([0.8, 0.3, 0.1]).view(1, 1, 3, 1, 1).expand(1, 1, 3, 64, 64)
    with torch.no_grad():
        y = zoo.VideoNet[net].build().eval().last(plain).flatten(2)
        zeros = zoo.tiny_resnet().eval().last(plain).flatten(2)
    scale = float(y.std(dim=1).mean())
    assert scale > 0
    assert float(y.std(dim=2).max()) < 1e-4 * scale
    assert float(zeros.std(dim=2).max()) > 0.1 * float(zeros.std(dim=1).mean())  # which zeros beyond the border do


def test_maps_of_fine_networks() -> None:
    x = torch.rand(1, 1, 3, 64, 64)
    with torch.no_grad():
        for make, side in (
            (lambda: zoo.tiny_resnet(width=8, stride=2), 32),
            (lambda: zoo.tiny_resnet(width=8, stride=4), 16),
            (lambda: zoo.resnet18(last="layer3", stride=8), 8),
            (lambda: zoo.resnet18(stride=16), 4),
            (lambda: zoo.resnet50(stride=8), 8),
        ):
            assert make().eval().last(x).shape[-1] == side


def test_a_network_for_grey_sees_no_colour() -> None:
    encoder = zoo.tiny_resnet(colour=False).eval()
    grey = torch.full((1, 1, 3, 32, 32), 0.299)
    grey[..., :16, :] = 0.587
    colour = torch.zeros_like(grey)
    colour[:, :, 0], colour[:, :, 0, :16], colour[:, :, 1, :16] = 1.0, 0.0, 1.0  # red below and green above, as light
    with torch.no_grad():
        torch.testing.assert_close(encoder(grey), encoder(colour), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(encoder(grey[:, :, :1]), encoder(colour), rtol=1e-4, atol=1e-5)
        whole = (colour * 255).to(torch.uint8)
        torch.testing.assert_close(encoder(whole), encoder(colour), rtol=1e-4, atol=1e-5)


def test_input_is_normalised_with_the_statistics_of_the_data_set() -> None:
    encoder = zoo.resnet18()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 1, 3, 1, 1)
    torch.testing.assert_close(encoder.prepare(mean.expand(1, 1, 3, 4, 4)), torch.zeros(1, 3, 4, 4))
    torch.testing.assert_close(encoder.prepare((mean + std).expand(1, 1, 3, 4, 4)), torch.ones(1, 3, 4, 4))


def test_motion_is_seen_by_clip_networks_only() -> None:
    x = frames(8, 32)
    shuffled = x.flip(1)
    with torch.no_grad():
        two, three = zoo.tiny_resnet().eval(), zoo.tiny_r2plus1d().eval()
        torch.testing.assert_close(two(x), two(shuffled), rtol=1e-4, atol=1e-5)
        assert (three(x) - three(shuffled)).abs().max() > 1e-3


GROUPED = [n for n in (*zoo.VideoNet, *zoo.SoundNet) if n.name.endswith("_gn")]


@pytest.mark.parametrize("net", GROUPED, ids=lambda n: n.name)
def test_group_normalisation_keeps_clips_apart(net: zoo.VideoNet | zoo.SoundNet) -> None:
    encoder = net.build().train()
    x = torch.rand(3, 4, 3, 32, 32) if encoder.modality == "video" else torch.randn(3, 1, 4000)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x)[:1], encoder(x[:1]), rtol=1e-3, atol=1e-4)
    assert not [m for m in encoder.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]


# The arguments of each member that is not simply the constructor of its name.
MEMBERS: dict[zoo.VideoNet | zoo.SoundNet, tuple[str, dict[str, object]]] = {
    # shared dossier video_audio.md 2.2: batch normalisation after conv3 to fc7, local after the others, dropout 0.5
    zoo.VideoNet.caffenet: (
        "alexnet",
        {"norm": "local and batch", "last": "fc7", "groups": 2, "channels": [96, 256, 384, 384, 256], "dropout": 0.5},
    ),
    # image.md 3.14 and 4.1: batch normalisation after every layer, no groups, 64 … 256 channels
    zoo.VideoNet.alexnet_rotnet: (
        "alexnet",
        {"norm": "batch", "last": "fc7", "groups": 1, "channels": [64, 192, 384, 256, 256], "dropout": 0.0},
    ),
    # image.md 3.8: the features are those of pool5
    zoo.VideoNet.alexnet_pool5: ("alexnet", {"last": "pool5", "groups": 2}),
    zoo.VideoNet.alexnet_pool5_grey: ("alexnet", {"last": "pool5", "groups": 2, "colour": False}),
    zoo.VideoNet.resnet18_small: ("resnet18", {"stem": "small"}),
    zoo.SoundNet.sound_vgg_64: ("sound_vgg", {"width": 64}),  # video_audio.md 3.4: 512 features
    zoo.VideoNet.tiny_r2plus1d_gn: ("tiny_r2plus1d", {"norm": "group"}),
    # image.md 3.18: no colours, batch normalisation, dropout after the full layers
    zoo.VideoNet.alexnet_sobel: (
        "alexnet",
        {
            "norm": "batch",
            "last": "fc7",
            "groups": 1,
            "channels": [96, 256, 384, 384, 256],
            "dropout": 0.5,
            "sobel": True,
        },
    ),
    zoo.VideoNet.tiny_resnet_grey: ("tiny_resnet", {"colour": False, "padding": "zeros"}),
    zoo.VideoNet.tiny_resnet_sobel: ("tiny_resnet", {"sobel": True}),
    zoo.VideoNet.tiny_resnet_gn: ("tiny_resnet", {"norm": "group"}),
    zoo.VideoNet.tiny_resnet_fc: ("tiny_resnet", {"last": "fc"}),
    zoo.VideoNet.tiny_resnet_fine: ("tiny_resnet", {"padding": "reflect", "stride": 4, "colour": True}),
    zoo.VideoNet.tiny_resnet_fine_grey: ("tiny_resnet", {"padding": "reflect", "stride": 4, "colour": False}),
    # video_audio.md 2.15: the fourth stage left out, the third at the stride of the second, no zeros beyond the border
    zoo.VideoNet.resnet18_fine: ("resnet18", {"last": "layer3", "padding": "reflect", "stride": 8, "colour": True}),
    zoo.VideoNet.resnet18_fine_grey: ("resnet18", {"last": "layer3", "padding": "reflect", "colour": False}),
    zoo.VideoNet.resnet18_gn: ("resnet18", {"norm": "group"}),
    zoo.VideoNet.resnet50_gn: ("resnet50", {"norm": "group"}),
    zoo.SoundNet.tiny_sound_gn: ("tiny_sound", {"norm": "group"}),
    zoo.VideoNet.vit_base_picture: ("vit_base", {"tubelet": 1}),
}


@pytest.mark.parametrize("net", [*zoo.VideoNet, *zoo.SoundNet], ids=lambda n: n.name)
def test_every_choice_is_the_network_that_its_name_says(net: zoo.VideoNet | zoo.SoundNet) -> None:
    constructor, wanted = MEMBERS.get(net, (net.name, {}))
    # numbers need not be drawn to see what a network is; the mel bands of sound are looked at as they are made
    with torch.device("meta") if isinstance(net, zoo.VideoNet) else nullcontext():
        origin = net.build().origin
        assert net in MEMBERS or origin == getattr(zoo, constructor)().origin
    assert origin.constructor.rpartition(".")[2] == constructor
    assert {name: origin.arguments[name] for name in wanted} == wanted


def test_alexnets_of_the_papers_see_their_pictures_whole() -> None:
    for net, side, widths in (
        (zoo.VideoNet.caffenet, 227, [96, 256, 384, 384, 256, 256, 4096, 4096]),
        (zoo.VideoNet.alexnet_rotnet, 224, [64, 192, 384, 256, 256, 256, 4096, 4096]),
    ):
        encoder = net.build().eval()
        with torch.no_grad():
            maps = encoder.features(torch.rand(1, 1, 3, side, side), encoder.taps)
        assert [m.shape[1] for m in maps.values()] == widths
        assert [m.shape[-1] for m in maps.values()] == [55, 27, 13, 13, 13, 6, 1, 1]


def test_sobel_sees_slopes_and_no_colours() -> None:
    sobel = zoo.Sobel()
    ramp = torch.arange(6.0).expand(1, 3, 6, 6)
    across, down = sobel(ramp)[0]
    assert across[:, 1:-1].eq(8).all()  # kernel weights 1, 2, 1 over a distance of 2
    assert down.eq(0).all()
    assert torch.equal(sobel(ramp.mT)[0, 1], across.T)
    assert sobel(torch.full((1, 3, 5, 5), 0.7)).abs().max() < 1e-6  # at the borders, too
    encoder = zoo.tiny_resnet(width=8, sobel=True).eval()
    first = torch.rand(1, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    turned = first[:, :, [1, 2, 0]]
    # the same brightness once colours are normalised, as `prepare` does
    mean, std = encoder.mean, encoder.std
    other = ((turned - mean[[1, 2, 0]]) / std[[1, 2, 0]]) * std + mean
    torch.testing.assert_close(encoder(first), encoder(other), rtol=1e-3, atol=1e-4)


def test_the_clip_network_of_cvrl_sees_time_where_it_says() -> None:
    net = zoo.r3d_50().net
    spans = {name: m.kernel_size[0] for name, m in net.named_modules() if isinstance(m, torch.nn.Conv3d)}
    assert spans.pop("conv1") == 5
    assert {n for n, span in spans.items() if span == 3} == {
        f"layer{i}.{k}.conv1" for i, blocks in ((3, 6), (4, 3)) for k in range(blocks)
    }
    assert set(spans.values()) == {1, 3}
    maps = zoo.r3d_50().eval().features(torch.rand(1, 8, 3, 64, 64), ["stem", "layer4"])
    assert maps["stem"].shape == (1, 64, 4, 16, 16)
    assert maps["layer4"].shape == (1, 2048, 4, 2, 2)


def test_factored_convolutions_equal_three_dimensional_ones() -> None:
    from avssl.encoders.tiny import _Spatial, _Temporal

    x = torch.rand(2, 3, 5, 8, 8)
    space, time = _Spatial(3, 4, stride=2), _Temporal(3, 4, stride=2)
    conv = torch.nn.functional.conv3d
    wanted = conv(x, space.weight[:, :, None], stride=(1, 2, 2), padding=(0, 1, 1))
    torch.testing.assert_close(space(x), wanted, rtol=1e-4, atol=1e-5)
    wanted = conv(x, time.weight[..., None], stride=(2, 1, 1), padding=(1, 0, 0))
    torch.testing.assert_close(time(x), wanted, rtol=1e-4, atol=1e-5)


def test_log_mel_finds_the_tone_at_its_instant_and_ignores_loudness() -> None:
    front = zoo.LogMel(sample_rate=16000, n_mels=64, hop=0.01)
    t = torch.arange(16000) / 16000
    tone = torch.sin(2 * torch.pi * 1000 * t) * ((t >= 0.5) & (t < 0.6))
    y = front(tone.view(1, 1, -1))[0, 0]
    assert y.shape == (101, 64)
    step, band = divmod(int(y.argmax()), 64)
    assert 50 <= step <= 60
    # 64 bands equally wide on the HTK mel scale up to 8 kHz: 1000 Hz = 1000 mel of 2840, in band 1000 / 2840 · 65 − 1.
    assert band == pytest.approx(1000 / 2840 * 65 - 1, abs=1)
    loud = torch.randn(1, 1, 16000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(front(0.5 * loud), front(loud), rtol=1e-2, atol=1e-2)
    assert front(torch.zeros(1, 2, 16000)).abs().max() == 0
    assert front(loud.expand(1, 2, -1)).isfinite().all()
    # also the narrowest of many bands holds a frequency
    assert zoo.LogMel(n_mels=128).mel.mel_scale.fb.amax(dim=0).min() > 0
    assert zoo.LogMel(n_mels=64).n_fft == 512


def test_errors_name_the_value() -> None:
    encoder = zoo.tiny_r2plus1d()
    with pytest.raises(ValueError, match=r"stage9.*stage4"):
        encoder.features(frames(), ["stage9"])
    with pytest.raises(ValueError, match=r"\(2, 3, 32, 32\)"):
        encoder(torch.rand(2, 3, 32, 32))
    with pytest.raises(ValueError, match=r"channels \(1, 2\)"):
        zoo.alexnet(channels=(1, 2))
    with pytest.raises(ValueError, match="width 12"):
        zoo.tiny_r2plus1d(width=12)
    with pytest.raises(ValueError, match="n_mels 8"):
        zoo.sound_vgg(n_mels=8)
    with pytest.raises(ValueError, match="n_mels 8"):
        zoo.tiny_sound(n_mels=8)
    with pytest.raises(ValueError, match="100 samples"):
        zoo.sound_vgg()(torch.zeros(1, 1, 100))
