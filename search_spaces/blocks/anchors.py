"""Anchor schemes: the boxes that stand at every position of a pyramid before anything is predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeVar

from pydantic import Field

from search_spaces.blocks.base import Block, Form
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from search_spaces.cost import Cost

Size = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Ratio = Annotated[float, Field(gt=1)]
Sides = Annotated[tuple[Hole[Positive], ...], Field(min_length=1)]
Anchor = tuple[float, ...]  # width, height, and where its middle lies if that is not the position's: right, down
Shapes = tuple[tuple[Anchor, ...], ...]  # the anchors of one position, level by level
T = TypeVar("T")

UNIT = (1, 1)


class AnchorScheme(Block):
    """Which boxes stand at each position of a pyramid before anything is predicted.

    Its holes belong to the space like any others; boxes for an image size come from
    `search_spaces.operators.boxes.anchor_boxes`.
    """

    takes: ClassVar[Form] = "pyramid"
    gives: ClassVar[Form] = "sequence"

    def shapes(self, strides: tuple[int, ...], image_size: Sequence[int] = UNIT) -> Shapes:
        """Returns width and height in pixels of the anchors of one position, for each level.

        Where an anchor has two more numbers, its middle lies by so many pixels to the right of the position's, and
        below it. How many anchors a level has does not depend on the image.

        Args:
            strides: Pixels for a step on each level, finest first.
            image_size: Height and width of the image, for schemes whose anchors are parts of it.

        Raises:
            SpecError: The scheme does not fit the number of levels.
        """
        raise NotImplementedError

    def counts(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        """Returns the number of anchors of one position, for each level.

        Raises:
            SpecError: The scheme does not fit the number of levels.
        """
        return tuple(map(len, self.shapes(strides)))

    def cost(self, channels: int = 64, image_size: tuple[int, int] = (64, 64)) -> Cost | None:
        """Returns a cost of nothing: anchors are no part of a network."""
        from search_spaces.cost import Cost

        return Cost(0, 0, 0)


class GridAnchors(AnchorScheme):
    """Every size, scale and ratio at the centre of every position.

    Args:
        sizes: Side of a square anchor of scale 1, in strides of its level: one for all levels, or one a level.
        scales: What the side is multiplied by.
        ratios: Height over width; the area stays.

    Paper: Lin et al., 2017, arXiv 1708.02002, section 4 (side 4 strides, three scales an octave, three ratios).
    """

    kind: Literal["grid"] = "grid"
    sizes: Hole[Sides] = (4.0,)
    scales: Hole[Annotated[tuple[Positive, ...], Field(min_length=1)]] = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
    ratios: Hole[Annotated[tuple[Positive, ...], Field(min_length=1)]] = (0.5, 1.0, 2.0)

    def shapes(self, strides: tuple[int, ...], image_size: Sequence[int] = UNIT) -> Shapes:
        """Returns width and height of the anchors of one position: ratio by ratio, within it scale by scale."""
        sizes = _each_level(self.sizes, len(strides), "size", "sizes")
        return tuple(
            tuple(
                (size * scale * stride / math.sqrt(ratio), size * scale * stride * math.sqrt(ratio))
                for ratio in self.ratios
                for scale in self.scales
            )
            for size, stride in zip(sizes, strides, strict=True)
        )


class DefaultBoxes(AnchorScheme):
    """Parts of the image, from small ones on the finest level to large ones on the coarsest.

    Each level has a square, one whose side is the geometric mean of the level's and the next one's, and for each ratio
    a wide and a high box.

    Args:
        smallest: Side of the finest level's boxes, as a share of the image's, which is the root of its area. Range
            worth searching: 0.1 to 0.3.
        largest: Side of the coarsest level's boxes; range worth searching: 0.7 to 0.95.
        ratios: Long side over short side of further boxes: a list for all levels, or one a level.

    Paper: Liu et al., 2016, arXiv 1512.02325, section 2.2 and equation 4.
    Deviation: The side of an image that is no square is the root of its area, so that ratios are those of pixels; the
        paper's images are squares.
    """

    kind: Literal["default_boxes"] = "default_boxes"
    smallest: Hole[Positive] = 0.2
    largest: Hole[Positive] = 0.9
    ratios: Annotated[tuple[Hole[tuple[Ratio, ...]], ...], Field(min_length=1)] = ((2.0, 3.0),)

    def check(self) -> None:
        """Refuses sides in the wrong order."""
        if self.smallest > self.largest:
            raise SpecError(
                "the finest level has the smallest boxes", self.smallest, f"up to {self.largest}", "smallest"
            )

    def shapes(self, strides: tuple[int, ...], image_size: Sequence[int] = UNIT) -> Shapes:
        """Returns the square, that of the geometric mean, then wide and high boxes ratio by ratio."""
        ratios = _each_level(self.ratios, len(strides), "list of ratios", "ratios")
        sides = _image_sides(self.smallest, self.largest, len(strides), image_size)
        levels = []
        for i, options in enumerate(ratios):
            between = math.sqrt(sides[i] * sides[i + 1])
            level: list[Anchor] = [(sides[i], sides[i]), (between, between)]
            for root in map(math.sqrt, options):
                level += [(sides[i] * root, sides[i] / root), (sides[i] / root, sides[i] * root)]
            levels.append(tuple(level))
        return tuple(levels)


class DensifiedAnchors(AnchorScheme):
    """Squares of several sides, the small ones at several places of a position, so that all stand equally dense.

    The density of an anchor is its side over the distance of two of them.

    Args:
        sizes: Sides in strides: a list for all levels, or one a level.
        density: What every anchor's density is brought to, as far as whole numbers of anchors a row allow it.
        most: The greatest number of anchors a row of a position; range worth searching: 1 to 4.

    Paper: Zhang et al., 2017, arXiv 1708.05234, section 3.3 (sides 32, 64 and 128 at stride 32 stand 4, 2 and 1 a row).
    """

    kind: Literal["densified"] = "densified"
    sizes: Annotated[tuple[Hole[Sides], ...], Field(min_length=1)] = ((1.0, 2.0, 4.0),)
    density: Hole[Positive] = 4.0
    most: Hole[Size] = 4

    def row(self, size: float) -> int:
        """Returns the number of anchors a row of a position for a side in strides."""
        return min(self.most, max(1, round(self.density / size)))

    def shapes(self, strides: tuple[int, ...], image_size: Sequence[int] = UNIT) -> Shapes:
        """Returns the anchors of one position: side by side, row by row, from left to right."""
        return tuple(
            tuple(
                (size * stride, size * stride, right, down)
                for size in sides
                for down in _middles(self.row(size), stride)
                for right in _middles(self.row(size), stride)
            )
            for sides, stride in zip(
                _each_level(self.sizes, len(strides), "list of sides", "sizes"), strides, strict=True
            )
        )


class EqualProportion(AnchorScheme):
    """One square a position, whose side is the same number of strides on every level.

    Args:
        factor: Side over stride, so that anchors of every side stand equally dense; range worth searching: 2 to 6.

    Paper: Zhang et al., 2017, arXiv 1708.05237, section 3.1 (sides 16 to 512 at strides 4 to 128).
    """

    kind: Literal["equal_proportion"] = "equal_proportion"
    factor: Hole[Positive] = 4.0

    def shapes(self, strides: tuple[int, ...], image_size: Sequence[int] = UNIT) -> Shapes:
        """Returns one anchor a level."""
        return tuple(((self.factor * stride, self.factor * stride),) for stride in strides)


class BlazeAnchors(AnchorScheme):
    """Two squares a position, on the coarsest level those of the further levels that a longer pyramid would have.

    Args:
        smallest: Side of the smallest anchors, as a share of the image's, which is the root of its area.
        largest: Side that the last but one of the levels, the further ones included, would have.
        merged: Levels whose anchors all stand on the coarsest one.

    Paper: Bazarevsky et al., 2019, arXiv 1907.05047, section 3.2: 2 anchors at 16x16 and 6 at 8x8, for 128x128 pixels.
    Deviation: The sides are those of the authors' published detector; the paper does not name them.
    """

    kind: Literal["blaze_anchors"] = "blaze_anchors"
    smallest: Hole[Positive] = 0.1484375
    largest: Hole[Positive] = 0.75
    merged: Hole[Size] = 3

    def check(self) -> None:
        """Refuses sides in the wrong order."""
        if self.smallest > self.largest:
            raise SpecError(
                "the finest level has the smallest boxes", self.smallest, f"up to {self.largest}", "smallest"
            )

    def shapes(self, strides: tuple[int, ...], image_size: Sequence[int] = UNIT) -> Shapes:
        """Returns the anchors of one position: level by level a square and that of the geometric mean with the next."""
        count = len(strides) + self.merged - 1
        sides = _image_sides(self.smallest, self.largest, count, image_size)
        pairs = [(side, math.sqrt(side * after)) for side, after in zip(sides, sides[1:], strict=False)]
        last = len(strides) - 1
        groups = [[pair] for pair in pairs[:last]] + [pairs[last:]]
        return tuple(tuple((side, side) for pair in group for side in pair) for group in groups)


def _each_level(values: tuple[T, ...], levels: int, what: str, path: str) -> tuple[T, ...]:
    if len(values) not in (1, levels):
        allowed = f"1 {what}, or one for each of the {levels} levels"
        raise SpecError(f"anchors have one {what} for all levels or one a level", list(values), allowed, path)
    return values if len(values) > 1 else values * levels


def _image_sides(smallest: float, largest: float, levels: int, image_size: Sequence[int]) -> list[float]:
    """Sides in pixels, in equal steps, and one more that lies a step beyond the last, at most the image's."""
    image = math.sqrt(image_size[0] * image_size[1])
    step = (largest - smallest) / max(1, levels - 1)
    shares = [smallest + step * i for i in range(levels)]
    return [image * share for share in (*shares, min(max(1.0, largest), shares[-1] + step))]


def _middles(row: int, stride: int) -> list[float]:
    """Places of a row of anchors across a position, from its middle."""
    return [((i + 0.5) / row - 0.5) * stride for i in range(row)]
