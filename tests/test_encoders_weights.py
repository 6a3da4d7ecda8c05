"""Weights: round trips are identical, every key is accounted for, and no code outside the zoo is ever called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from avssl import encoders as zoo
from avssl.core import MediaError
from avssl.encoders import Encoder, Origin, Trunk

video = torch.rand(2, 8, 3, 32, 32, generator=torch.Generator().manual_seed(3))
sound = torch.randn(2, 1, 8000, generator=torch.Generator().manual_seed(3))

MAKERS: dict[str, Callable[[], Encoder]] = {
    "tiny_r2plus1d": lambda: zoo.tiny_r2plus1d(width=8, norm="group"),
    "tiny_resnet": lambda: zoo.tiny_resnet(width=8),
    "r3d_10": zoo.r3d_10,
    "r2plus1d_10": zoo.r2plus1d_10,
    "s3d": zoo.s3d,
    "c3d": lambda: zoo.c3d(width=8),
    "resnet18": lambda: zoo.resnet18(norm="group", stem="small"),
    "alexnet": lambda: zoo.alexnet(
        norm="local", last="pool5", width=0.25, groups=1, channels=(64, 192, 384, 256, 256), padding=2
    ),
    "sound_vgg": lambda: zoo.sound_vgg(sample_rate=8000, n_mels=32, width=8),
    "tiny_sound": lambda: zoo.tiny_sound(n_mels=32),
    "sound_resnet18": lambda: zoo.sound_resnet18(n_mels=32),
}


@pytest.mark.parametrize("name", MAKERS)
def test_saved_and_loaded_gives_identical_outputs(name: str, tmp_path: Path) -> None:
    encoder = MAKERS[name]()
    x = sound if encoder.modality == "sound" else (torch.rand(2, 1, 3, 67, 67) if name == "alexnet" else video)
    encoder.train()(x)  # moves the running statistics, which must be kept too
    zoo.save_encoder(encoder, tmp_path / "deep" / "encoder.safetensors")
    again = zoo.load_encoder(tmp_path / "deep" / "encoder.safetensors")
    assert again.origin == encoder.origin
    assert again.origin.constructor.rpartition(".")[2] == name
    assert not again.training
    with torch.no_grad():
        assert torch.equal(again(x), encoder.eval()(x))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["encoder.safetensors"]


def test_reinitialised_depends_on_the_seed_alone() -> None:
    encoder = zoo.tiny_r2plus1d(width=8).eval()
    state = torch.get_rng_state()
    one, same, other = (zoo.reinitialised(encoder, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one(video), same(video))
    assert not torch.equal(one(video), other(video))
    assert not torch.equal(one(video), encoder(video))
    assert one.origin == encoder.origin
    assert not one.training


@pytest.mark.parametrize(
    ("name", "classifier"),
    [("resnet18", "fc."), ("resnet50", "fc."), ("r3d_18", "fc."), ("r2plus1d_18", "fc."), ("mc3_18", "fc."),
     ("s3d", "classifier.")],
)  # fmt: skip
def test_torchvision_weights_round_trip_with_every_key(name: str, classifier: str) -> None:
    source = getattr(torchvision.models if "resnet" in name else torchvision.models.video, name)(weights=None)
    state = source.state_dict()
    encoder = getattr(zoo, name)()
    zoo.from_torchvision(encoder, state)
    back = zoo.to_torchvision(encoder)
    assert set(state) - set(back) == {k for k in state if k.startswith(classifier)} != set()
    assert set(back) <= set(state)
    assert all(torch.equal(back[k], state[k]) for k in back)


def test_torchvision_weights_give_torchvisions_outputs() -> None:
    source, encoder = torchvision.models.video.r3d_18(weights=None).eval(), zoo.r3d_18().eval()
    zoo.from_torchvision(encoder, source.state_dict())
    with torch.no_grad():
        wanted = source(encoder.prepare(video))
        torch.testing.assert_close(source.fc(encoder(video)), wanted, rtol=1e-4, atol=1e-5)


def test_keys_that_do_not_fit_are_named() -> None:
    encoder = zoo.resnet18()
    state = torchvision.models.resnet18(weights=None).state_dict()
    zoo.from_torchvision(encoder, {k: v for k, v in state.items() if "num_batches_tracked" not in k})
    with pytest.raises(ValueError, match=r"missing keys \['bn1.weight'\]"):
        zoo.from_torchvision(encoder, {k: v for k, v in state.items() if k != "bn1.weight"})
    with pytest.raises(ValueError, match=r"unexpected keys \['more'\]"):
        zoo.from_torchvision(encoder, {**state, "more": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"conv1.weight \(64, 3, 7, 7\) for \(64, 3, 3, 3\)"):
        zoo.from_torchvision(zoo.resnet18(stem="small"), state)
    with pytest.raises(ValueError, match="tiny_resnet"):
        zoo.from_torchvision(zoo.tiny_resnet(), state)


@pytest.mark.parametrize(
    "constructor",
    ["os.system", "avssl.encoders.weights.Path", "avssl.encoders.frame._norm", "avssl.encoders.nothing.tiny", "eval",
     "avssl.encoders", "avssl.encodersx.tiny"],
)  # fmt: skip
def test_constructors_from_elsewhere_are_refused(constructor: str, tmp_path: Path) -> None:
    metadata = {"constructor": constructor, "arguments": json.dumps({})}
    save_file({"x": torch.zeros(1)}, tmp_path / "bad.safetensors", metadata=metadata)
    with pytest.raises(ValueError, match=constructor):
        zoo.load_encoder(tmp_path / "bad.safetensors")


def own(*, dim: int) -> Encoder:
    net = nn.Module()
    net.add_module("conv", nn.Conv2d(3, dim, 8, 8))
    trunk = Trunk(net=net, stages={"conv": ("conv",)}, dim=dim)
    return zoo.FrameEncoder(trunk, origin=Origin.of(own, {"dim": dim}))


def test_an_encoder_of_ones_own_is_loaded_with_its_constructor(tmp_path: Path) -> None:
    encoder = own(dim=5)
    zoo.save_encoder(encoder, tmp_path / "own.safetensors")
    with pytest.raises(ValueError, match="constructor="):
        zoo.load_encoder(tmp_path / "own.safetensors")
    again = zoo.load_encoder(tmp_path / "own.safetensors", constructor=own)
    assert torch.equal(again(video), encoder(video))


def test_files_that_are_no_encoders(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="not a file"):
        zoo.load_encoder(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello, this is no tensor")
    with pytest.raises(MediaError, match="cannot be read"):
        zoo.load_encoder(tmp_path / "text.safetensors")
    zoo.save_weights(nn.Linear(2, 3), tmp_path / "linear.safetensors")
    with pytest.raises(MediaError, match="no constructor"):
        zoo.load_encoder(tmp_path / "linear.safetensors")


def test_weights_of_any_module(tmp_path: Path) -> None:
    one, two = zoo.Projector(4, 3), zoo.Projector(4, 3)
    zoo.save_weights(one, tmp_path / "head.safetensors")
    zoo.load_weights(two, tmp_path / "head.safetensors")
    x = torch.rand(5, 4)
    assert torch.equal(one(x), two(x))
    with pytest.raises(ValueError, match=r"layers.3.weight \(3, 4\) for \(2, 4\)"):
        zoo.load_weights(zoo.Projector(4, 2), tmp_path / "head.safetensors")
