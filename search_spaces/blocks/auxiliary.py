"""Auxiliary classifiers: heads in the middle of a network, which help it to learn and are gone afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Pyramid
from search_spaces.blocks.pooling import Classifier
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]

CELLS = 5


class AuxiliaryClassifier(Classifier):
    """The coarsest map on a grid of 5x5, a 1x1 and a 5x5 convolution over the whole of it, and a linear layer.

    Args:
        width: Channels of the 1x1 convolution; range worth searching: 32 to 128.
        hidden: Channels of the 5x5 convolution; range worth searching: 128 to 1024.

    Paper: Szegedy et al., 2015, arXiv 1512.00567, section 4 and figure 8, as the authors' code has it (128 and 768).
    Deviation: The grid is 5x5 for maps of any size, not what an average of 5x5 values of stride 3 leaves of 17x17.
    """

    kind: Literal["auxiliary"] = "auxiliary"
    width: Hole[Size] = 128
    hidden: Hole[Size] = 768

    def build(self, inputs: Pyramid, outputs: int) -> nn.Sequential:
        """Returns `grid`, `conv`, `whole`, `flat` and `fc`."""
        from collections import OrderedDict

        from torch import nn

        from search_spaces.networks.auxiliary import Grid
        from search_spaces.networks.convolution import BatchNorm, conv_norm

        whole = nn.Conv2d(self.width, self.hidden, CELLS, bias=False)
        nn.init.kaiming_normal_(whole.weight, nonlinearity="relu")
        return nn.Sequential(
            OrderedDict(
                grid=Grid(CELLS),
                conv=conv_norm(inputs[-1].channels, self.width),
                whole=nn.Sequential(whole, BatchNorm(self.hidden), nn.ReLU(inplace=True)),
                flat=nn.Flatten(),
                fc=nn.Linear(self.hidden, outputs),
            )
        )
