"""What every block states of itself: the maps it takes, those it gives, and how it becomes a module.

Importing this file does not import torch: what does not fit together is refused before anything is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from search_spaces.build import Architecture, Shape
from search_spaces.errors import SpecError, join
from search_spaces.spec import Spec, children, kinds

if TYPE_CHECKING:
    from torch import nn

    from search_spaces.cost import Cost

Form = Literal["map", "pyramid", "guided", "regions", "vector", "sequence"]


@dataclass(frozen=True)
class Feature:
    """A feature map before the size of the image is known.

    Args:
        channels: Its channels.
        stride: Pixels of the image for a step on the map; an image of height H has ceil(H / stride) rows.
    """

    channels: int
    stride: int

    def shape(self, image_size: Sequence[int]) -> Shape:
        """Returns the map's shape (C, h, w) for images of `image_size` (H, W)."""
        return (self.channels, *(-(-size // self.stride) for size in image_size))


Pyramid = tuple[Feature, ...]  # from the finest map to the coarsest
B = TypeVar("B", bound="Block")


@dataclass(frozen=True)
class Example:
    """A block in a place that is typical of it, as lists and tests use it.

    Args:
        make: Builds the module.
        inputs: What it is called with, in the order of its arguments; a pyramid from the finest map to the coarsest.
        outputs: What it returns.
    """

    make: Callable[[], nn.Module]
    inputs: Pyramid
    outputs: Pyramid


class Block(Spec):
    """A part of a network that a search may exchange for any other with the same base.

    What does not fit a place is refused by its spec, before anything is built.

    Attributes:
        takes: How the module is called. `map`: with one tensor (N, C, H, W); `pyramid`: with a sequence of them, from
            the finest to the coarsest; `guided`: with two maps, the second of which guides what becomes of the first
            and may be of another size; `regions`: with a sequence of maps, or the features (N, P, C) of boxes, and the
            boxes (N, P, 4) in pixels; `sequence`: with one tensor (N, T, C).
        gives: What the module returns, in the same terms; a pyramid is a tuple, a vector a tensor (N, C).
        size_multiple: Height and width of the maps that go in have to be multiples of it.
    """

    home: ClassVar[str | None] = "search_spaces.blocks"
    group: ClassVar[str | None] = "deepspace.blocks"
    takes: ClassVar[Form]
    gives: ClassVar[Form]
    size_multiple: ClassVar[int] = 1

    def example(self, channels: int = 64) -> Example | None:
        """Returns the block in a typical place; None where what it returns is no map.

        Args:
            channels: Channels of the maps that go in.

        Raises:
            SpecError: The block cannot take so many.
        """
        return None

    def cost(self, channels: int = 64, image_size: tuple[int, int] = (64, 64)) -> Cost | None:
        """Returns what the block costs in the place that `example` says, for one image; None where there is none."""
        from search_spaces.cost import part_cost

        found = self.example(channels)
        if found is None:
            return None
        return part_cost(found.make, self.takes, [feature.shape(image_size) for feature in found.inputs])


class FeatureBlock(Block):
    """A block from features to features; one map counts as a pyramid of one."""

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the features that come out, given those that go in.

        Args:
            inputs: Channels and strides of the maps, from the finest to the coarsest.

        Raises:
            SpecError: The block cannot take them; the path says which field is at odds with them.
        """
        raise NotImplementedError

    def build(self, inputs: Pyramid) -> nn.Module:
        """Returns the module for these inputs, its weights drawn from torch's global generator."""
        raise NotImplementedError

    def example(self, channels: int = 64) -> Example | None:
        """Returns the block on four maps of strides 4 to 32, or on the coarsest of them."""
        maps = tuple(Feature(channels, 4 * 2**i) for i in range(4))
        inputs = maps if self.takes == "pyramid" else maps[-1:]
        return Example(lambda: self.build(inputs), inputs, self.outputs(inputs))


class Context(FeatureBlock):
    """One map to one of the same size: gives each position a view of its surroundings or of the whole."""

    takes: ClassVar[Form] = "map"
    gives: ClassVar[Form] = "map"


class Attention(Context):
    """A context that keeps the channels: it weighs or adds to what is there."""

    def outputs(self, inputs: Pyramid) -> Pyramid:
        """Returns the coarsest map as it is."""
        return inputs[-1:]


class Gate(Block):
    """A map, weighed by another one: the module is called as `gate(x, guide)` and returns a map of the shape of `x`.

    The guide may be coarser than `x`; the module brings it to the size of `x`.
    """

    takes: ClassVar[Form] = "guided"
    gives: ClassVar[Form] = "map"

    def build(self, channels: int, guide: int) -> nn.Module:
        """Returns the module for a map of `channels` channels and a guide of `guide` channels."""
        raise NotImplementedError

    def example(self, channels: int = 64) -> Example | None:
        """Returns the gate of a map of stride 8, guided by one of stride 16 with as many channels."""
        inputs = (Feature(channels, 8), Feature(channels, 16))
        return Example(lambda: self.build(channels, channels), inputs, inputs[:1])


class Neck(FeatureBlock):
    """A pyramid to a pyramid whose maps know of one another."""

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "pyramid"


class Decoder(FeatureBlock):
    """A pyramid to one fine map.

    A module with further maps for deep supervision returns a dict in train mode: `out`, and `aux`, a tuple of them.
    """

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "map"

    def supervised(self, inputs: Pyramid) -> Pyramid:
        """Returns the features that get heads of their own in training, the last made first; by default none."""
        return ()


class Backbone(Architecture):
    """An architecture whose inner maps other networks build upon."""

    def pyramid(self) -> Pyramid:
        """Returns the features of its stages, from the finest to the coarsest."""
        raise NotImplementedError

    def build_features(self, channels: int) -> nn.Module:
        """Returns the module from images (N, channels, H, W) to the tuple of maps that `pyramid` describes."""
        raise NotImplementedError

    def check_size(self, image_size: Shape) -> None:
        """Refuses images at which a part would read a map that it cannot take; by default all read the pyramid.

        Args:
            image_size: (H, W).

        Raises:
            SpecError: A map has not the size that a part needs; the path says which part.
        """
        check_sizes(self, self.pyramid(), image_size)

    def _checked(self, input_shape: Sequence[int], outputs: int) -> Shape:
        shape = super()._checked(input_shape, outputs)
        self.check_size(shape[1:])
        return shape


def at_least(inputs: Pyramid, levels: int, what: str) -> None:
    """Refuses a pyramid with fewer than `levels` maps.

    Raises:
        SpecError: It has fewer.
    """
    if len(inputs) < levels:
        raise SpecError(f"{what} needs a pyramid of {levels} maps or more", len(inputs), "a backbone with more stages")


def check_size(block: Block, height: int, width: int) -> None:
    """Refuses a map whose height or width is no multiple of what a block needs.

    Args:
        block: The block that is to take it.
        height: Of the map, in its own pixels.
        width: Of the map.

    Raises:
        SpecError: One of them is none.
    """
    step = block.size_multiple
    if height % step or width % step:
        rule = f"height and width of the map have to be multiples of {step}"
        raise SpecError(rule, [height, width], "another block here, or an image and strides that give such a map")


def check_sizes(spec: Spec | None, features: Pyramid, image_size: Shape, path: str = "") -> None:
    """Refuses images at which a block within a spec, however deep, would read a map of a size that it does not take.

    Args:
        spec: The block, or what holds it; None: there is nothing to refuse.
        features: The maps that its blocks read.
        image_size: (H, W).
        path: Where the spec stands.

    Raises:
        SpecError: A height or width is no multiple of what a block needs.
    """
    for place, block in _blocks(spec, path):
        step = block.size_multiple
        for feature in features:
            size = feature.shape(image_size)[1:]
            if any(side % step for side in size):
                rule = f"height and width of the maps are multiples of {step}"
                raise SpecError(rule, list(size), "images of another size", place)


def _blocks(node: Any, path: str) -> Iterator[tuple[str, Block]]:
    if isinstance(node, Block):
        yield path, node
    for name, item in children(node):
        yield from _blocks(item, join(path, name))


def part_params(architecture: Architecture, input_shape: Shape, outputs: int) -> dict[str, int]:
    """Returns the trainable parameters of each direct child of an architecture's network, by its name.

    Args:
        architecture: A spec without holes.
        input_shape: Shape of one input without the batch.
        outputs: Number of classes.
    """
    import torch

    from search_spaces.meta import ShapesOnly

    with torch.random.fork_rng(devices=[]), torch.device("meta"), ShapesOnly():
        network = architecture.build(input_shape, outputs)
    return {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}


def offered(base: type[B], channels: int) -> tuple[B, ...]:
    """Returns the built-in kinds of a base, with their defaults, that take maps of any size: what a space can offer.

    Args:
        base: Such as `Context` or `Gate`; kinds that are called in another way than it are left out.
        channels: Of the maps; kinds that refuse so many are left out.
    """
    found = []
    for kind in kinds(base).values():
        if not issubclass(kind, base) or not kind.__module__.startswith(f"{__package__}."):
            continue
        if kind.takes == base.takes and kind.size_multiple == 1:
            with suppress(SpecError):
                block = kind()
                block.example(channels)
                found.append(block)
    return tuple(found)
