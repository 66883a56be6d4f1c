"""Decoders that refine: by residual pooling, by additive skips, by the places of maxima, by looking again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Decoder, Feature, Pyramid, at_least
from search_spaces.blocks.decoders import DeepLabV3Plus
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


class RefineNet(Decoder):
    """Level by level from the coarsest: residual convolutions of each map, their sum, chained residual pooling.

    Args:
        width: Channels of every level.
        chain: Poolings in the chain, each of 5x5 and followed by a 3x3 convolution.

    Paper: Lin et al., 2016, arXiv 1611.06612, section 3.2.
    Deviation: The coarsest level is as wide as the others, where the paper gives it 512 channels beside 256.
    """

    kind: Literal["refinenet"] = "refinenet"
    width: Hole[Size] = 256
    chain: Hole[Size] = 2

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the finest stride."""
        at_least(inputs, 1, "a refinenet decoder")
        return (Feature(self.width, inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders_refine import RefineNetModule

        self.outputs(inputs)
        return RefineNetModule(self, inputs)


class LinkNet(Decoder):
    """Level by level from the coarsest: a bottleneck with a transposed convolution, then the backbone's map is added.

    Args:
        reduction: Channels of a level's input over those within its bottleneck; at least one is left.

    Paper: Chaurasia & Culurciello, 2017, arXiv 1707.03718, section 3.
    Deviation: Ends at the finest map of the backbone; what brings it to the image is not part of the decoder.
    """

    kind: Literal["linknet"] = "linknet"
    reduction: Hole[Size] = 4

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map like the finest."""
        at_least(inputs, 2, "a linknet decoder")
        return inputs[:1]

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders_refine import LinkNetModule

        self.outputs(inputs)
        return LinkNetModule(self, inputs)


class MaxUnpool(Decoder):
    """Level by level from the coarsest: each number is put where the finer map has its maximum; convolutions fill up.

    Args:
        width: Channels at the finest level; each coarser level has twice as many.

    Paper: Badrinarayanan et al., 2015, arXiv 1511.00561, section 3; Noh et al., 2015, arXiv 1505.04366, section 3.2.
    Deviation: A backbone need not pool; so the places are those of the maxima of its finer map over the cells that a
        position of the coarser one stands for. Maps of one stride are convolved alone.
    """

    kind: Literal["unpool"] = "unpool"
    width: Hole[Size] = 64

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns one map of `width` channels at the finest stride."""
        at_least(inputs, 2, "an unpool decoder")
        return (Feature(self.width, inputs[0].stride),)

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders_refine import MaxUnpoolModule

        self.outputs(inputs)
        return MaxUnpoolModule(self, inputs)


class Iterative(Decoder):
    """Another decoder, run again and again: the coarsest map x becomes x + F(x, y) with what came out last, y.

    F is two 3x3 convolutions with batch norm; without it, or with `steps` 0, this is the decoder alone.

    Args:
        decoder: The decoder D: y = D(x) at first, then y = D(x + F(x, y)). What it gives for auxiliary heads is left
            out.
        steps: Further runs, each as dear as the first; range worth searching: 0 to 4.
        reset: Probability in training that an example forgets y before a further run.
        supervision: Whether the maps of all runs but the last are given for auxiliary heads.

    Paper: Zhang et al., 2019, arXiv 1903.02351, section 4.2 (iterative optimization module; 4 steps, 0.7).
    Deviation: y is the decoded map, where the paper takes the predicted mask, which lies behind the head; a training
        step runs all iterations, where the paper keeps the mask of the last epoch.
    """

    kind: Literal["iterative"] = "iterative"
    decoder: Hole[Decoder] = DeepLabV3Plus()
    steps: Hole[Count] = 4
    reset: Hole[Probability] = 0.7
    supervision: Hole[bool] = False

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns what the decoder gives."""
        at_least(inputs, 1, "an iterative decoder")
        try:
            return self.decoder.outputs(inputs)
        except SpecError as error:
            raise error.at("decoder") from None

    def supervised(self, inputs: Pyramid) -> Pyramid:
        """Returns the map of every run but the last."""
        return self.outputs(inputs) * self.steps if self.supervision else ()

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for maps of these channels."""
        from search_spaces.networks.decoders_refine import IterativeModule

        return IterativeModule(self, inputs)
