"""The modules of `search_spaces.blocks.regions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from search_spaces.operators.roi_align import plain_roi_align, ps_roi_align, roi_align

if TYPE_CHECKING:
    from search_spaces.blocks.base import Pyramid
    from search_spaces.blocks.regions import DeformableRoi, PsRoiAlign, RoiAlign


class RoiAlignModule(nn.Module):
    """RoIAlign, or the greatest of its points."""

    def __init__(self, spec: RoiAlign, inputs: Pyramid) -> None:
        super().__init__()
        self.spec, self.strides = spec, tuple(feature.stride for feature in inputs)

    def forward(self, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Returns maps (N, P, C, size, size) of boxes (N, P, 4) from a pyramid (N, C, H_i, W_i)."""
        size, sampling = self.spec.size, self.spec.sampling
        if self.spec.reduce == "max":
            return plain_roi_align(maps, boxes, self.strides, size, sampling, reduce="max")
        return roi_align(maps, boxes, self.strides, size, sampling)


class DeformableRoiModule(nn.Module):
    """RoIAlign (its cells moved by what `moves` says of the cells that are not)."""

    def __init__(self, spec: DeformableRoi, inputs: Pyramid, channels: int) -> None:
        super().__init__()
        self.spec, self.strides = spec, tuple(feature.stride for feature in inputs)
        cells = spec.size**2
        self.moves = nn.Linear(channels * cells, 2 * cells)
        nn.init.zeros_(self.moves.weight)
        nn.init.zeros_(self.moves.bias)

    def forward(self, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Returns maps (N, P, C, size, size) of boxes (N, P, 4) from a pyramid (N, C, H_i, W_i)."""
        size, sampling = self.spec.size, self.spec.sampling
        plain = roi_align(maps, boxes, self.strides, size, sampling)
        moves = self.moves(plain.flatten(2)).unflatten(2, (size, size, 2))
        sides = (boxes[..., 2:] - boxes[..., :2])[..., None, None, :].detach()
        return plain_roi_align(maps, boxes, self.strides, size, sampling, self.spec.gamma * moves * sides)


class PsRoiAlignModule(nn.Module):
    """Position-sensitive maps, by the convolution `maps` if there is one, and what each cell reads of its own ones."""

    def __init__(self, spec: PsRoiAlign, inputs: Pyramid, channels: int) -> None:
        super().__init__()
        self.spec, self.strides = spec, tuple(feature.stride for feature in inputs)
        made = spec.width is not None
        self.maps = nn.Conv2d(inputs[0].channels, channels * spec.size**2, 1) if made else nn.Identity()

    def forward(self, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Returns maps (N, P, C', size, size) of boxes (N, P, 4) from a pyramid (N, C, H_i, W_i)."""
        scored = [self.maps(x) for x in maps]
        return ps_roi_align(scored, boxes, self.strides, self.spec.size, self.spec.sampling)
