"""The macro space of ENAS: layers of one operation each, which may read any earlier layers beside the last one.

Paper: Pham et al., 2018, arXiv 1802.03268, section 2.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field

from search_spaces.blocks.base import Feature, part_params
from search_spaces.build import Graph, Node, Shape
from search_spaces.domains import Categorical, Subset
from search_spaces.errors import SpecError
from search_spaces.share import Place, Places, Shareable, options
from search_spaces.spec import Hole, Spec, hole
from search_spaces.template import preset

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Operation = Literal["conv_3x3", "sep_conv_3x3", "conv_5x5", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3"]
OPERATIONS: tuple[str, ...] = get_args(Operation)


class MacroLayer(Spec):
    """One operation on the layer before, joined with earlier maps.

    Args:
        operation: What is done to the map before.
        skips: Numbers of the maps that are joined with what comes out, ascending: 0 is that of the stem, i that of
            layer i - 1; the map before is the input of the operation and none of them.
    """

    operation: Hole[Operation] = "conv_3x3"
    skips: Hole[tuple[Index, ...]] = ()


class EnasMacro(Shareable):
    """A stem, layers, an average and a linear classifier.

    The resolution is halved, and the channels multiplied, behind layers L / 3 and 2 L / 3; so is every map that a later
    layer reads.

    Args:
        layers: The layers, first to last; three or more.
        channels: Of the first layers.
        growth: Times as many channels the layers have behind each halving.

    Paper: Pham et al., 2018, arXiv 1802.03268, section 2.3 and figure 3; what it leaves open as in the authors' code.
        Deviation: the authors' code does not halve maps that nobody reads to no effect, adds up skips in its shared
        network only, and has no poolings in the network trained in the end; here all networks join skips by a 1x1
        convolution of their concatenation, as the paper says.
    """

    kind: Literal["enas_macro"] = "enas_macro"
    layers: Annotated[tuple[MacroLayer, ...], Field(min_length=3)]
    channels: Hole[Annotated[int, Field(ge=2)]] = 36
    growth: Hole[Size] = 2

    def check(self) -> None:
        """Refuses skips that are no earlier maps, or not ascending."""
        for i, layer in enumerate(self.layers):
            if list(layer.skips) != sorted(set(layer.skips)) or any(source >= i for source in layer.skips):
                allowed = f"ascending, of 0 to {i - 1}" if i else "none"
                raise SpecError("skips are earlier maps", list(layer.skips), allowed, f"layers/{i}/skips")

    def gives(self, output: str) -> bool:
        """Returns False: there are logits alone."""
        return False

    def halvings(self) -> tuple[int, int]:
        """Returns the indexes of the layers behind which the resolution is halved."""
        third = len(self.layers) // 3
        return third - 1, 2 * third - 1

    def stage(self, layer: int) -> int:
        """Returns how often the resolution was halved before a layer, by its index."""
        return sum(layer > halving for halving in self.halvings())

    def width(self, stage: int) -> int:
        """Returns the channels of a stage."""
        return int(self.channels * self.growth**stage)

    def halved(self, stage: int) -> tuple[int, ...]:
        """Returns the numbers of the maps that are halved before a stage, 1 or 2: those that are read afterwards."""
        last = self.halvings()[stage - 1]
        read = {source for layer in self.layers[last + 1 :] for source in layer.skips}
        return tuple(number for number in range(last + 2) if number in read or number == last + 1)

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node a layer, and one for all that is halved before a stage."""
        from search_spaces.networks.enas_macro import layer_params

        params = part_params(self, input_shape, outputs)
        shapes = [Feature(self.width(stage), 2**stage).shape(input_shape[1:]) for stage in range(3)]
        nodes = [Node("image", "input", "image", input_shape)]
        nodes.append(Node("map 0", "stem", "0: stem, convolution 3x3", shapes[0], params["stem"]))
        edges, names = [("image", "map 0")], {0: "map 0"}
        for i, layer in enumerate(self.layers):
            if i - 1 in self.halvings():
                stage = self.stage(i)
                name = f"halving {stage}"
                edges += [(names[number], name) for number in self.halved(stage)]
                nodes.append(Node(name, "halving", "half the size of each", shapes[stage], params[f"halving{stage}"]))
                names |= dict.fromkeys(self.halved(stage), name)
            name, label = f"map {i + 1}", f"{i + 1}: {layer.operation.replace('_', ' ')}"
            nodes.append(Node(name, layer.operation, label, shapes[self.stage(i)], layer_params(self, i)))
            edges += [(source, name) for source in dict.fromkeys(names[n] for n in (i, *layer.skips))]
            names[i + 1] = name
        nodes.append(Node("classifier", "output", "average pool, linear", (outputs,), params["classifier"]))
        return Graph(tuple(nodes), (*edges, (names[len(self.layers)], "classifier")))

    def cover(self) -> Iterator[EnasMacro]:
        """Yields an architecture an operation, with all skips."""
        choices = [options(layer.operation) for layer in self.layers]
        for k in range(max(map(len, choices))):
            layers = tuple(
                MacroLayer(operation=names[k % len(names)], skips=tuple(range(i))) for i, names in enumerate(choices)
            )
            yield self.model_copy(update={"layers": layers})

    def places(self, input_shape: Shape) -> Places:
        """Returns the places: an operation's weights are its own, the convolution of a join has a part a map."""

        def place(name: str) -> Place:
            parts = name.split(".")
            if parts[0] != "layers":
                return Place(name)
            i = int(parts[1])
            layer = self.layers[i]
            if parts[2] == "operation":
                return Place(".".join([*parts[:3], layer.operation, *parts[3:]]))
            return Place(name, (*layer.skips, i), i + 1) if name.endswith("join.1.weight") else Place(name)

        return place

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.enas_macro import EnasMacroNetwork

        return EnasMacroNetwork(self, input_shape[0], outputs)


@preset("enas_macro")
def enas_macro(layers: int = 12, channels: int = 36, growth: int = 1, skips: bool = True) -> EnasMacro:
    """Returns the macro space, 1.606e29 networks of twelve layers; the sizes are those that the authors search with.

    Args:
        layers: Number of layers.
        channels: Of the first layers.
        growth: Times as many channels the layers have behind each halving; 2 for the network trained in the end.
        skips: Whether they are searched; otherwise there are none.

    Paper: Pham et al., 2018, arXiv 1802.03268, section 2.3: 6^L 2^(L (L - 1) / 2) networks.
    """

    def layer() -> MacroLayer:
        earlier: Any = hole(Subset(of="layers")) if skips else ()
        return MacroLayer(operation=hole(Categorical(OPERATIONS)), skips=earlier)

    return EnasMacro(layers=tuple(layer() for _ in range(layers)), channels=channels, growth=growth)
