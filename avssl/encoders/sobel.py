"""A fixed filter before the first layer, for encoders that are not to see colours."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Sobel"]


class Sobel(nn.Module):
    """Slopes of the brightness across and down: (N, 3, H, W) → (N, 2, H, W).

    Without it clusters would be of colours: Caron et al., ECCV 2018, arXiv:1807.05520, section 4. The borders are
    repeated outwards. Part of the encoder, so that evaluation cannot forget it.
    """

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
        self.register_buffer("kernel", torch.stack((across, across.T))[:, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The slopes."""
        grey = F.pad(x.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        return F.conv2d(grey, self.kernel.to(grey.dtype))
