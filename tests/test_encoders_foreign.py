"""Networks of torchvision and timm, and state dicts from anywhere, as encoders that can be evaluated."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from avssl.core import MediaError
from avssl.encoders import (
    Foreign,
    load_encoder,
    load_foreign,
    reinitialised,
    resnet18,
    save_encoder,
    tiny_resnet,
    tiny_sound,
    torchvision_net,
)
from avssl.evaluation import load_trained

SHUFFLENET = "shufflenet_v2_x0_5"


@pytest.fixture(scope="module")
def shufflenet() -> nn.Module:
    torch.manual_seed(3)
    return torchvision.models.get_model(SHUFFLENET, weights=None).eval()


def test_a_network_says_what_torchvisions_says_before_its_classifier(shufflenet: nn.Module, tmp_path: Path) -> None:
    torch.save(shufflenet.state_dict(), tmp_path / "weights.pth")
    encoder = load_foreign(Foreign(network=f"torchvision:{SHUFFLENET}", file=tmp_path / "weights.pth"))
    x = torch.randint(256, (2, 3, 3, 64, 64), dtype=torch.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    frames = (x.float() / 255 - mean[:, None, None]) / std[:, None, None]
    found: list[Tensor] = []
    shufflenet.fc.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))  # type: ignore[union-attr]
    with torch.no_grad():
        shufflenet(frames.flatten(0, 1))
        y = encoder(x)
        assert encoder.sequence(x).shape == (2, 3, 1024)
    assert encoder.dim == 1024
    torch.testing.assert_close(y, found[0].view(2, 3, -1).mean(dim=1), rtol=1e-4, atol=1e-5)
    assert not encoder.training
    save_encoder(encoder, tmp_path / "encoder.safetensors")
    torch.testing.assert_close(load_encoder(tmp_path / "encoder.safetensors")(x), y)
    assert not torch.equal(reinitialised(encoder, 0)(x), y)


def test_networks_whose_stages_are_known_keep_them(tmp_path: Path) -> None:
    weights = torchvision.models.resnet18(weights=None).state_dict()
    save_file(weights, tmp_path / "weights.safetensors")
    encoder = load_foreign(Foreign(network="torchvision:resnet18", file=tmp_path / "weights.safetensors"))
    assert encoder.taps == resnet18().taps
    assert torch.equal(encoder.net.state_dict()["layer4.1.bn2.weight"], weights["layer4.1.bn2.weight"])


@pytest.mark.parametrize(
    "packed",
    [
        lambda s: s,
        lambda s: {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {"model": {f"backbone.{k}": v for k, v in s.items()} | {"head.weight": torch.ones(2)}},
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
    ],
)
def test_weights_are_found_wherever_they_lie(packed: Callable[[dict[str, Tensor]], object], tmp_path: Path) -> None:
    source = tiny_resnet(width=16)
    torch.save(packed(source.net.state_dict()), tmp_path / "weights.pth")
    encoder = load_foreign(Foreign(network="tiny_resnet", file=tmp_path / "weights.pth"))
    x = torch.rand(1, 1, 3, 16, 16)
    torch.testing.assert_close(encoder(x), source.eval()(x))


def test_keys_that_do_not_fit_are_named(tmp_path: Path) -> None:
    state = {f"module.{k}": v for k, v in tiny_resnet().net.state_dict().items()}
    whole = dict(state)
    state["module.more.weight"] = state.pop("module.stage1.conv1.weight")
    torch.save(state, tmp_path / "weights.pth")
    choice = Foreign(network="tiny_resnet", file=tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"missing keys \['stage1.conv1.weight'\], unexpected keys \['more.weight'\]"):
        load_foreign(choice)
    twice = {"student": whole, "teacher": {k: v + 1 for k, v in whole.items()}}
    torch.save(twice, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"under 'student.module.', 'teacher.module.': choose by tiny_resnet="):
        load_foreign(choice)
    parsed = Foreign.parse(f"tiny_resnet={tmp_path / 'weights.pth'}#teacher.module.")
    assert parsed is not None
    chosen = load_foreign(parsed).net.state_dict()["stage1.conv1.weight"]
    assert torch.equal(chosen, whole["module.stage1.conv1.weight"] + 1)


def test_files_that_hold_no_weights_are_named(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    choice = Foreign(network="tiny_resnet", file=file)
    with pytest.raises(MediaError, match="is not a file"):
        load_foreign(choice)
    file.write_bytes(b"nothing of that kind")
    with pytest.raises(MediaError, match="nothing that torch"):
        load_foreign(choice)
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("a", "b")
    with pytest.raises(MediaError, match="cannot be read as"):
        load_foreign(choice)
    torch.save({"a": 1}, file)
    with pytest.raises(MediaError, match="holds no tensors"):
        load_foreign(choice)
    torch.save({"a": SimpleNamespace()}, file)
    with pytest.raises(MediaError, match="holds more than numbers"):
        load_foreign(choice)


def test_what_there_is_not_is_told_with_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ValueError, match="list_models"):
        load_foreign(Foreign(network="torchvision:nothing", file=tmp_path))
    with pytest.raises(ValueError, match="so none can be removed"):
        torchvision_net(name="squeezenet1_1")
    with pytest.raises(MediaError, match=r"no weights of torchvision:resnet18 here; fetch https://.*resnet18.*pth"):
        load_trained(Path("torchvision:resnet18"))
    with pytest.raises(MediaError, match="has no weights; give timm:resnet18=FILE"):
        load_trained(Path("timm:resnet18"))
    (tmp_path / "weights.pth").write_bytes(b"")
    with pytest.raises(MediaError, match="NETWORK=FILE"):
        load_trained(tmp_path / "weights.pth")
    assert Foreign.parse("runs/moco=2") is None
    assert Foreign.parse("nothing=weights.pth") is None


def test_weights_that_torchvision_has_downloaded_are_taken(
    shufflenet: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    url = torchvision.models.get_model_weights(SHUFFLENET).DEFAULT.url
    torch.save(shufflenet.state_dict(), folder / Path(url).name)
    trained = load_trained(Path(f"torchvision:{SHUFFLENET}"))
    assert trained.folder == Path(f"torchvision-{SHUFFLENET}-evaluation")
    state = trained.encoders["video"].net.state_dict()
    assert torch.equal(state["conv1.0.weight"], shufflenet.state_dict()["conv1.0.weight"])


def test_a_state_dict_of_sound_is_evaluated_as_such(tmp_path: Path) -> None:
    torch.save(tiny_sound(sample_rate=16000).net.state_dict(), tmp_path / "heard.pth")
    trained = load_trained(Path(f"tiny_sound={tmp_path / 'heard.pth'}"))
    assert list(trained.encoders) == ["sound"]
    assert trained.folder == tmp_path / "heard-evaluation"


class Small(nn.Module):
    """As timm makes one without a classifier."""

    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.pretrained_cfg = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "classifier": "head.fc"}

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x).mean(dim=(2, 3))
        return y


def test_timm_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    choice = Foreign(network="timm:small", file=tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="pip install timm"):
        load_foreign(choice)

    def create_model(name: str, *, pretrained: bool, num_classes: int) -> nn.Module:
        assert (pretrained, num_classes) == (False, 0)
        if name != "small":
            raise RuntimeError(f"Unknown model ({name})")
        return Small()

    timm = ModuleType("timm")
    timm.create_model = create_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", timm)
    torch.save(Small().state_dict() | {"head.fc.weight": torch.ones(10, 4)}, tmp_path / "weights.pth")
    encoder = load_foreign(choice)
    assert encoder.dim == 4
    x = torch.rand(2, 3, 3, 8, 8)
    expected = torch.stack([encoder.net((v - 0.5) / 0.5).mean(dim=0) for v in x])
    torch.testing.assert_close(encoder(x), expected)
    with pytest.raises(ValueError, match="Unknown model"):
        load_foreign(Foreign(network="timm:other", file=tmp_path / "weights.pth"))
