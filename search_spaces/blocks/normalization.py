"""Normalisations: a map with mean 0 and variance 1 over some of its numbers, then scaled and moved a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.base import Block, Example, Feature, Form
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn


class Norm(Block):
    """A map to one of the same shape."""

    takes: ClassVar[Form] = "map"
    gives: ClassVar[Form] = "map"

    def build(self, channels: int) -> nn.Module:
        """Returns the module for a map of `channels` channels."""
        raise NotImplementedError

    def example(self, channels: int = 64) -> Example | None:
        """Returns the norm of a map of stride 4."""
        inputs = (Feature(channels, 4),)
        return Example(lambda: self.build(channels), inputs, inputs)


class BatchNorm(Norm):
    """Over examples and positions; what it saw in training stands for both in eval mode.

    Args:
        momentum: Weight of the newest batch in the running figures.

    Paper: Ioffe & Szegedy, 2015, arXiv 1502.03167, algorithm 1.
    """

    kind: Literal["batch"] = "batch"
    momentum: Hole[Annotated[float, Field(gt=0, le=1)]] = 0.1

    def build(self, channels: int) -> nn.Module:
        """Returns the module for a map of `channels` channels."""
        from search_spaces.networks import convolution

        return convolution.BatchNorm(channels, momentum=self.momentum)


class GroupNorm(Norm):
    """Over positions and groups of channels, each example by itself.

    Args:
        groups: The greatest number of groups; the greatest divisor of it and of the channels is used.

    Paper: Wu & He, 2018, arXiv 1803.08494, section 3.
    """

    kind: Literal["group"] = "group"
    groups: Hole[Annotated[int, Field(ge=1)]] = 32

    def build(self, channels: int) -> nn.Module:
        """Returns the module for a map of `channels` channels."""
        from search_spaces.networks.convolution import group_norm

        return group_norm(channels, self.groups)


class InstanceNorm(Norm):
    """Over positions, each channel of each example by itself.

    Paper: Ulyanov et al., 2016, arXiv 1607.08022.
    """

    kind: Literal["instance"] = "instance"

    def build(self, channels: int) -> nn.Module:
        """Returns the module for a map of `channels` channels."""
        from search_spaces.networks.convolution import group_norm

        return group_norm(channels, channels)
