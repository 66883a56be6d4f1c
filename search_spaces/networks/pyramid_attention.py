"""The modules of `search_spaces.blocks.pyramid_attention`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from search_spaces.networks.context import PooledContext
from search_spaces.networks.convolution import conv_norm, resized

if TYPE_CHECKING:
    from search_spaces.blocks.pyramid_attention import FeaturePyramidAttention


class FpaModule(nn.Module):
    """The map behind a 1x1 convolution (`main`), its weights (`pyramid`) and its average (`average`)."""

    def __init__(self, spec: FeaturePyramidAttention, channels: int) -> None:
        super().__init__()
        self.main = conv_norm(channels, channels)
        self.pyramid = AttentionPyramid(channels, 1 if spec.weights == "one" else channels, spec.levels)
        self.average = PooledContext(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a map of the same shape."""
        weights = resized(self.pyramid(x), (x.shape[2], x.shape[3]))
        out: Tensor = self.main(x) * weights + self.average(x)
        return out


class AttentionPyramid(nn.Module):
    """A level of the pyramid and all coarser ones."""

    def __init__(self, channels: int, width: int, levels: int) -> None:
        super().__init__()
        kernel = 2 * levels + 1
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.down = conv_norm(channels, width, kernel)
        self.across = conv_norm(width, width, kernel)
        self.below = AttentionPyramid(width, width, levels - 1) if levels > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """Returns the weights (N, width, ceil(H / 2), ceil(W / 2)) of a map (N, C, H, W)."""
        x = self.down(self.pool(x))
        out: Tensor = self.across(x)
        return out if self.below is None else out + resized(self.below(x), (x.shape[2], x.shape[3]))
