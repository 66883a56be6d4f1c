"""The network of an `Informed` backbone."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class InformedNetwork(nn.Module):
    """The further channels, then the backbone: its maps alone, or with its classifier."""

    def __init__(self, inputs: nn.Module, backbone: nn.Module) -> None:
        super().__init__()
        self.inputs = inputs
        self.backbone = backbone

    def forward(self, image: Tensor) -> Any:
        """Returns what the backbone returns for images (N, C, H, W) with their further channels."""
        return self.backbone(self.inputs(image))
