"""Region pooling: from a pyramid and boxes to a small map of fixed size for each box."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.base import Block, Feature, Form, Pyramid
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

    from search_spaces.cost import Cost

Size = Annotated[int, Field(ge=1)]


class RegionPooling(Block):
    """Cuts a map of fixed size out of a pyramid for each box, from the level that suits the box.

    The module is called as `pooling(maps, boxes)` with maps (N, C, H_i, W_i), finest first, and boxes (N, P, 4) in
    pixels of the image; it returns maps (N, P, C', size, size).

    Args:
        size: Rows, and columns, of the map of a box; range worth searching: 5 to 14.
        sampling: Points, in each direction, that each of its cells reads; range worth searching: 1 to 4.
    """

    takes: ClassVar[Form] = "regions"
    gives: ClassVar[Form] = "map"
    size: Hole[Size] = 7
    sampling: Hole[Size] = 2

    def channels(self, inputs: Pyramid) -> int:
        """Returns the channels C' of what is cut out.

        Raises:
            SpecError: The pooling cannot take these maps; the path says which field is at odds with them.
        """
        one_width(inputs, "boxes of any size are cut out of")
        return inputs[0].channels

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels and strides."""
        raise NotImplementedError

    def cost(self, channels: int = 64, image_size: tuple[int, int] = (64, 64)) -> Cost | None:
        """Returns what one box costs, cut out of maps of strides 4 to 32."""
        import torch

        from search_spaces.cost import called_cost

        inputs = tuple(Feature(channels, 4 * 2**i) for i in range(4))

        def call(module: nn.Module) -> object:
            maps = [torch.zeros(1, *feature.shape(image_size), device="meta") for feature in inputs]
            return module(maps, torch.zeros(1, 1, 4, device="meta"))

        return called_cost(lambda: self.build(inputs), call)


class RoiAlign(RegionPooling):
    """What lies in a box, by bilinear interpolation at points that are not rounded.

    Args:
        size: Rows, and columns, of the map of a box; range worth searching: 5 to 14.
        sampling: Points, in each direction, that each of its cells reads; range worth searching: 1 to 4.
        reduce: Whether a cell is the `mean` of its points, as in RoIAlign, or the greatest (`max`), as in RoI pooling.

    Paper: He et al., 2017, arXiv 1703.06870, section 3; the maximum: Ren et al., 2015, arXiv 1506.01497.
    Deviation: The maximum is that of interpolated points, too, and not of the pixels of a rounded box; the number of
        points does not depend on the size of the box.
    """

    kind: Literal["roi_align"] = "roi_align"
    reduce: Hole[Literal["mean", "max"]] = "mean"

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module; it has no weights."""
        from search_spaces.networks.regions import RoiAlignModule

        self.channels(inputs)
        return RoiAlignModule(self, inputs)


class DeformableRoi(RegionPooling):
    """RoIAlign, from which a linear layer learns by how much to move every cell, and RoIAlign of the moved cells.

    Args:
        size: Rows, and columns, of the map of a box; range worth searching: 5 to 7.
        sampling: Points, in each direction, that each of its cells reads; range worth searching: 1 to 4.
        gamma: What the moves are multiplied by, in widths and heights of the box; range worth searching: 0.05 to 0.2.

    Paper: Dai et al., 2017, arXiv 1703.06211, section 2.2 (gamma 0.1; moves start at 0).
    """

    kind: Literal["deformable_roi"] = "deformable_roi"
    gamma: Hole[Annotated[float, Field(gt=0)]] = 0.1

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.regions import DeformableRoiModule

        return DeformableRoiModule(self, inputs, self.channels(inputs))


class PsRoiAlign(RegionPooling):
    """RoIAlign of which every cell reads maps of its own: position-sensitive score maps.

    Args:
        size: Rows, and columns, of the map of a box; range worth searching: 3 to 7.
        sampling: Points, in each direction, that each of its cells reads; range worth searching: 1 to 4.
        width: Channels that come out; a 1x1 convolution makes `size` x `size` times as many maps. None: the pyramid's
            maps are these maps, and their channels are a multiple of `size` x `size`.

    Paper: Dai et al., 2016, arXiv 1605.06409, section 2.2; width 5: Qin et al., 2019, arXiv 1903.11752, section 3.2.
    Deviation: Points are interpolated, as in RoIAlign, not the pixels of a rounded box.
    """

    kind: Literal["ps_roi_align"] = "ps_roi_align"
    width: Hole[Size | None] = 5

    def channels(self, inputs: Pyramid) -> int:
        """Returns the channels of what is cut out: `width`, or the maps' channels over the cells of a box."""
        own, cells = super().channels(inputs), self.size**2
        if self.width is not None:
            return self.width
        if own % cells:
            rule = f"position-sensitive maps are a multiple of the cells of a box, {cells}"
            raise SpecError(rule, own, "maps of so many channels, or a width", "width")
        return own // cells

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.regions import PsRoiAlignModule

        return PsRoiAlignModule(self, inputs, self.channels(inputs))


def one_width(inputs: Pyramid, what: str) -> None:
    """Refuses a pyramid whose maps have different channels.

    Raises:
        SpecError: They have.
    """
    channels = [feature.channels for feature in inputs]
    if len(set(channels)) > 1:
        raise SpecError(f"{what} maps of equal channels", channels, "a neck whose maps have one width")
