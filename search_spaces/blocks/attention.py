"""Attention to channels: maps whose channels are weighed by what the whole map holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Attention, Pyramid
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


def must_divide(value: int, whole: int, what: str, path: str) -> None:
    """Refuses a number that does not divide another one.

    Args:
        value: The number.
        whole: What it has to divide.
        what: The rule's first words, such as "heads divide the channels".
        path: The field that holds the number.

    Raises:
        SpecError: It does not divide it.
    """
    if whole % value:
        allowed = ", ".join(str(i) for i in range(1, whole + 1) if whole % i == 0)
        raise SpecError(f"{what}, {whole}", value, allowed, path)


class SqueezeExcitation(Attention):
    """Each channel times a weight in (0, 1) that two linear layers derive from the averages of all channels.

    Args:
        reduction: Channels over the numbers between the two layers; at least one number is left. Range worth
            searching: 4 to 32.

    Paper: Hu et al., 2017, arXiv 1709.01507, section 3.
    """

    kind: Literal["se"] = "se"
    reduction: Hole[Size] = 16

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.attention import SqueezeExcitationModule

        return SqueezeExcitationModule(self, inputs[-1].channels)


class Cbam(Attention):
    """A weight in (0, 1) a channel, from averages and maxima of the channels, then one a position, from those of all.

    Args:
        reduction: Channels over the numbers between the two layers of the channel gate; at least one number is left.
            Range worth searching: 4 to 32.
        kernel: Height and width of the filter of the spatial gate.

    Paper: Woo et al., 2018, arXiv 1807.06521, section 3, equations 1 to 3.
    Deviation: Batch norm behind the filter of the spatial gate, as in the authors' code.
    """

    kind: Literal["cbam"] = "cbam"
    reduction: Hole[Size] = 16
    kernel: Hole[Literal[3, 5, 7]] = 7

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.attention import CbamModule

        return CbamModule(self, inputs[-1].channels)


class Cfam(Attention):
    """To each channel a mixture of all channels, weighed by the softmax of how alike they are: of their Gram matrix.

    The mixture has a learned factor that starts at 0.

    Args:
        energy: What the softmax is taken of: `plain`, the Gram matrix G, alike channels attract one another;
            `reversed`, its row's maximum less G, unlike ones do.
        inner: Channels that are mixed, between two convolutions before and two behind, which replace the map; None:
            those of the map itself. Range worth searching: 128 to 1024.

    Paper: Köpüklü et al., 2019, arXiv 1911.06644, section 3.1.3; `reversed` as in the authors' code.
    Deviation: The paper always has the convolutions, with 1024 inner channels, and joins the maps of two backbones.
    """

    kind: Literal["cfam"] = "cfam"
    energy: Hole[Literal["plain", "reversed"]] = "plain"
    inner: Hole[Size | None] = None

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for a map of these channels."""
        from search_spaces.networks.attention import CfamModule, GramModule

        channels = inputs[-1].channels
        return GramModule(self.energy) if self.inner is None else CfamModule(self.energy, channels, self.inner)
