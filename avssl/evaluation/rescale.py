"""Data-dependent scaling of weights before fine-tuning: every layer answers with about the same strength."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from avssl.encoders import Encoder
from avssl.evaluation.features import evaluating

__all__ = ["Per", "rescale"]

Per: TypeAlias = Literal["channel", "layer"]

Weighted: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
Norm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass
class _Layer:
    """A layer with weights, and the batch normalisation that follows it directly, if one does."""

    module: Weighted
    norm: Norm | None = None


def rescale(encoder: Encoder, batches: Iterable[Tensor], *, per: Per = "layer", tolerance: float = 0.05) -> list[float]:
    """Scale the weights of an encoder by what its layers answer to clips, in place; the factor of each layer is given.

    Krähenbühl et al., ICLR 2016, arXiv:1511.06856, section 3.1. The response of a layer is the output of its
    convolution or linear map, or of the batch normalisation directly behind it. `per`:

    "layer": each layer by one number, so that the mean deviation of the responses of its channels is 1. Biases follow,
    so that the features change by one factor only: what a pretrained network knows is kept. It is for chains of
    layers whose non-linearities do not care for scale (ReLU, max pooling).

    "channel": each channel to mean 0 and deviation 1, where it has a bias or a normalisation (to deviation 1 where it
    has none). This is for networks that are drawn at random: features are not kept.

    The change by more than a factor is measured against what tells the clips apart; up to `tolerance` it is let pass.
    `batches` are clips as the encoder takes them, about ten of 16; they are kept in memory. The encoder leaves in the
    mode in which it came.

    Raises:
        ValueError: there are no batches or no layers, or, of "layer", the features changed by more than a factor (a
            residual network, or another normalisation); the encoder is then as it was.
    """
    clips = list(batches)
    if not clips:
        raise ValueError("no batches to measure responses on: give about ten of 16 clips")
    state = {k: v.clone() for k, v in encoder.state_dict().items()}
    with evaluating(encoder), torch.no_grad():
        before = torch.cat([encoder(x) for x in clips])
        layers = _layers(encoder, clips[0])
        if not layers:
            raise ValueError("the encoder has no convolution or linear layer to scale")
        if per == "channel":
            return [_whiten(encoder, layer, clips) for layer in layers]
        factors = _scale(encoder, layers, clips)
        after = torch.cat([encoder(x) for x in clips])
    factor = (after * before).sum() / before.square().sum().clamp_min(1e-30)
    # measured against what tells the clips apart, which may be little beside what they share
    told_apart = (factor * (before - before.mean(dim=0))).norm()
    far = float((after - factor * before).norm() / told_apart.clamp_min(1e-30))
    if not far < tolerance:
        encoder.load_state_dict(state)
        raise ValueError(
            f"{encoder.origin.constructor}: scaling layer by layer changes its features (by {far:.0%}); it is "
            "no chain of layers that do not care for scale, as AlexNet is; fine-tune it as it is, or scale per channel"
        )
    return factors


def _layers(encoder: Encoder, x: Tensor) -> list[_Layer]:
    """The layers in the order in which they run."""
    found: list[_Layer] = []
    last: dict[str, Tensor | None] = {"output": None}

    def weighted(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, WEIGHTED) and all(layer.module is not module for layer in found):
            found.append(_Layer(module))
            last["output"] = output

    def norm(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, NORMS) and found and inputs[0] is last["output"]:
            found[-1].norm = module

    hooks = [m.register_forward_hook(weighted) for m in encoder.modules() if isinstance(m, WEIGHTED)]
    hooks += [m.register_forward_hook(norm) for m in encoder.modules() if isinstance(m, NORMS)]
    try:
        encoder(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found


class _Enough(Exception):
    """The layer that was asked for has run."""


def _responses(encoder: Encoder, module: nn.Module, clips: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel of what a module gives for all the clips; the layers behind do not run."""
    total: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # a linear layer has its channels last, a convolution first
        y = output.flatten(0, -2) if isinstance(module, nn.Linear) else output.transpose(0, 1).flatten(1).T
        y = y.double()
        total.append(torch.stack([torch.full_like(y[0], len(y)), y.sum(dim=0), y.square().sum(dim=0)]))
        raise _Enough

    hook = module.register_forward_hook(keep)
    try:
        for x in clips:
            try:
                encoder(x)
            except _Enough:
                continue
    finally:
        hook.remove()
    count, first, second = torch.stack(total).sum(dim=0)
    mean = first / count
    return mean, (second / count - mean.square()).clamp_min(0).sqrt()


def _whiten(encoder: Encoder, layer: _Layer, clips: list[Tensor]) -> float:
    """Bring each channel of a layer to mean 0 and deviation 1; channels that do not vary stay. Gives 1 / mean dev."""
    module, norm = layer.module, layer.norm
    mean, deviation = _responses(encoder, module, clips)
    alive = deviation > 1e-8
    factor = torch.where(alive, 1 / deviation.clamp_min(1e-8), 1.0)
    if norm is not None and norm.running_mean is not None and norm.running_var is not None:
        # earlier layers have changed, so what it knew of its input is out of date
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(deviation.square())
        if norm.affine:
            # so that eps does not count
            norm.weight.copy_(torch.where(alive, (deviation.square() + norm.eps).sqrt() * factor, norm.weight))
            norm.bias.copy_(torch.where(alive, 0.0, norm.bias))
        return float(factor[alive].mean()) if alive.any() else 1.0
    _times(module, factor)
    if module.bias is not None:
        module.bias.copy_(torch.where(alive, (module.bias - mean) * factor, module.bias))
    return float(factor[alive].mean()) if alive.any() else 1.0


def _scale(encoder: Encoder, layers: list[_Layer], clips: list[Tensor]) -> list[float]:
    """Bring each layer to a mean deviation of 1, so that the output changes by a factor only."""
    so_far = 1.0  # by how much what comes into the next layer is larger than it was
    factors = []
    for layer in layers:
        module, norm = layer.module, layer.norm
        if module.bias is not None:
            module.bias.mul_(so_far)
        if norm is not None and norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.mul_(so_far)
            # what it divides by, eps and all, must grow by just this factor
            norm.running_var.copy_((norm.running_var + norm.eps) * so_far**2 - norm.eps)
            so_far = 1.0
        measured: nn.Module = module if norm is None else norm
        _, deviation = _responses(encoder, measured, clips)
        strength = float(deviation.mean())
        factor = 1 / strength if strength > 1e-8 else 1.0
        factors.append(factor)
        if norm is not None and norm.affine:
            norm.weight.mul_(factor)
            norm.bias.mul_(factor)
        elif norm is None:
            _times(module, torch.full_like(deviation, factor))
            if module.bias is not None:
                module.bias.mul_(factor)
        else:  # its output is what it is
            factors[-1], factor = 1.0, 1.0
        so_far *= factor
    return factors


def _times(module: Weighted, factor: Tensor) -> None:
    """Multiply the weights of each output channel."""
    shape = (-1, *[1] * (module.weight.ndim - 1))
    module.weight.mul_(factor.to(module.weight.dtype).view(shape))
