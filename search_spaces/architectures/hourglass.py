"""Stacked hourglasses: networks that go down to a coarse map and back up again, several times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from search_spaces.blocks.base import Backbone, Feature, Pyramid, part_params
from search_spaces.blocks.pooling import Classifier, LinearClassifier
from search_spaces.blocks.stems import Stem, StridedStem
from search_spaces.blocks.units import Basic, Unit, UnitPlan
from search_spaces.build import Graph, Node, Shape
from search_spaces.errors import SpecError
from search_spaces.spec import Hole

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]


class Hourglass(Backbone):
    """Hourglasses one behind the other; each gives a map of the size that it takes, so that each can be supervised.

    Args:
        stacks: Number of hourglasses, and so of maps; range worth searching: 1 to 4.
        depth: How often each halves its map on the way down.
        width: Channels of all maps.
        block: What stands at each level of an hourglass, on the way down, up, and across.
        stem: What the image goes through first.
        classifier: What makes classes of the maps.

    Paper: Newell et al., 2016, arXiv 1603.06937, sections 3.1 to 3.3.
    Deviation: Between two hourglasses their maps are added by 1x1 convolutions, without those of a prediction, which
        belongs to the head.
    """

    kind: Literal["hourglass"] = "hourglass"
    stacks: Hole[Size] = 2
    depth: Hole[Size] = 4
    width: Hole[Size] = 64
    block: Hole[Unit] = Basic()
    stem: Hole[Stem] = StridedStem()
    classifier: Hole[Classifier] = LinearClassifier()

    def check(self) -> None:
        """Refuses units that change the number of channels and classifiers that cannot take the maps."""
        plan = self.plan()
        if plan.out_channels != self.width:
            rule = f"the units of an hourglass keep its channels, {self.width}"
            raise SpecError(rule, plan.out_channels, "a width that the unit's expansion divides", "width")
        try:
            self.block.check_plan(plan)
        except SpecError as error:
            raise error.at("block") from None
        try:
            self.classifier.check_inputs(self.pyramid())
        except SpecError as error:
            raise error.at("classifier") from None

    def plan(self) -> UnitPlan:
        """Returns what every unit becomes."""
        inner = max(1, self.width // self.block.expansion)
        return UnitPlan(self.width, inner, self.block.out_channels(self.width, inner, 1))

    def pyramid(self) -> Pyramid:
        """Returns a map of the stem's stride for each hourglass."""
        return (Feature(self.width, self.stem.stride),) * self.stacks

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node for the stem, one an hourglass and one for the classifier."""
        params = part_params(self, input_shape, outputs)
        shape = Feature(self.width, self.stem.stride).shape(input_shape[1:])
        stem = params["stem"]
        nodes = [Node("image", "input", "image", input_shape), Node("stem", "stem", "stem", shape, stem)]
        each = (params["glasses"] + params["joins"]) // self.stacks
        for i in range(self.stacks):
            count = params["glasses"] + params["joins"] - each * (self.stacks - 1) if i == 0 else each
            nodes.append(Node(f"hourglass {i}", "hourglass", f"hourglass {i}, {self.depth} levels", shape, count))
        rest = sum(count for name, count in params.items() if name not in ("stem", "glasses", "joins"))
        nodes.append(Node("classifier", "output", "classifier", (outputs,), rest))
        names = [node.name for node in nodes]
        return Graph(tuple(nodes), tuple(zip(names, names[1:], strict=False)))

    def build_features(self, channels: int) -> nn.Module:
        """Returns the module from images (N, channels, H, W) to the tuple of the hourglasses' maps."""
        from search_spaces.networks.hourglass import HourglassFeatures

        return HourglassFeatures(self, channels)

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.hourglass import HourglassClassifier

        return HourglassClassifier(self, input_shape[0], outputs)
