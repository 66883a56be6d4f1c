"""Where things lie: attention that knows coordinates, and coordinates as further channels of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.attention import Size
from search_spaces.blocks.base import Attention, Context, Example, Feature, Pyramid
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

ADDED = {"xy": 2, "xy+shape": 3, "edge": 1}


class CoordinateEncodedAttention(Attention):
    """To every position the same: the map's average, weighed by a softmax of what lies where.

    Args:
        encoding: What is known of a position. `onehot`: which of 16 columns and 16 rows of cells it lies in; `sin`:
            sines and cosines of column and row; `coordconv`: x and y; `none`: nothing.
        hidden: Numbers that map, state and position are added as, in front of the tanh. Range worth searching: 32 to
            256.

    Paper: Wojna et al., 2017, arXiv 1704.03549, its location-aware attention (`onehot`); `coordconv`: Liu et al.,
        2018, arXiv 1807.03247.
    Deviation: The state of the paper's recurrent decoder is the average of the map; what is read is added to the map,
        behind a 1x1 convolution that starts at zero.
    """

    kind: Literal["coordinate_encoded"] = "coordinate_encoded"
    encoding: Hole[Literal["none", "onehot", "sin", "coordconv"]] = "onehot"
    hidden: Hole[Size] = 64

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.coordinates import CoordinateEncodedModule

        return CoordinateEncodedModule(self, inputs[-1].channels)


class InputChannels(Context):
    """An image with further channels: where a pixel lies, what is likely there, or where the image changes.

    The module is called with the image, and with boxes (N, 4) in pixels where coordinates are meant relative to them:
    their middle is 0, their borders are -1 and 1; without boxes those of the image are.

    Args:
        added: `xy`: x and y; `xy+shape`: and a mean mask, aligned with the box; `edge`: the greatest difference
            from one of the four neighbours in any channel, which is 1 at the borders of a one-hot label map.
        extent: Sides of the mean mask, in sides of the box that it is aligned with.

    Paper: Shen et al., 2016, Automatic portrait segmentation for image stylization (`xy`, `xy+shape`);
        Wang et al., 2017, arXiv 1711.11585, section 3.3 (`edge`, of a map of instances).
    Deviation: The mean mask is learned and starts at zero; it may be set to the mean over a data set.
    """

    kind: Literal["input_channels"] = "input_channels"
    added: Hole[Literal["xy", "xy+shape", "edge"]] = "xy"
    extent: Hole[Annotated[float, Field(gt=0)]] = 1.0

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the map with one to three more channels."""
        return (Feature(inputs[-1].channels + ADDED[self.added], inputs[-1].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for images of any number of channels."""
        from search_spaces.networks.coordinates import InputChannelsModule

        return InputChannelsModule(self)

    def example(self, channels: int = 64) -> Example | None:
        """Returns the channels in front of a stem."""
        inputs = (Feature(channels, 1),)
        return Example(lambda: self.build(inputs), inputs, self.outputs(inputs))
