"""The module of `search_spaces.blocks.spatial_transformer`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.positions import coordinate_grid

if TYPE_CHECKING:
    from search_spaces.blocks.spatial_transformer import SpatialTransformer

CELLS = 4


class SpatialTransformerModule(nn.Module):
    """A small network for the affine map (`locate`, `affine`), and the sampling by it."""

    def __init__(self, spec: SpatialTransformer, channels: int) -> None:
        super().__init__()
        self.rate = spec.rate
        self.locate = nn.Sequential(
            nn.Conv2d(channels, spec.width, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(spec.width, spec.width, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(CELLS),
        )
        self.affine = nn.Linear(spec.width * CELLS**2, 6)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the transformed map (N, C, H, W)."""
        # On a processor the weight gradient of a convolution of stride 2 is not always finite in bfloat16.
        whole = x.device.type == "cpu"
        with torch.autocast("cpu", enabled=False) if whole else nullcontext():
            seen = self.locate(x.to(self.affine.weight.dtype) if whole else x)
            change = self.affine(seen.flatten(1)).float()
        identity = torch.eye(2, 3, device=change.device)
        return sampled(x, identity + self.rate * change.view(-1, 2, 3))


def sampled(maps: Tensor, theta: Tensor) -> Tensor:
    """Returns maps, each position of which is read where an affine map leads from it; zeros lie around them.

    Places are in float32: bfloat16 cannot even tell the positions of a map of 300 rows apart.

    Args:
        maps: Maps (N, C, H, W).
        theta: Affine maps (N, 2, 3) of (x, y, 1); the map's borders lie at -1 and 1.
    """
    x, y = coordinate_grid(maps.shape[2], maps.shape[3], maps.device)
    columns = theta.float()[..., None, None]
    # Not `F.affine_grid`, whose product of matrices autocast would do in bfloat16.
    grid = columns[:, :, 0] * x + columns[:, :, 1] * y + columns[:, :, 2]
    return F.grid_sample(maps.float(), grid.permute(0, 2, 3, 1), align_corners=False).to(maps.dtype)
