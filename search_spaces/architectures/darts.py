"""Networks of two cells, stacked: the space that gradient search was shown on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, get_args

from pydantic import Field

from search_spaces.build import Graph, Shape
from search_spaces.discretize import best_operations
from search_spaces.domains import Categorical, Subset, Value
from search_spaces.errors import SpecError
from search_spaces.paths import cell_paths
from search_spaces.relax import Layout, Logits, Relaxable
from search_spaces.spec import Hole, Spec, hole
from search_spaces.template import preset

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Operation = Literal["max3", "avg3", "skip", "sep3", "sep5", "dil3", "dil5"]
OPERATIONS: tuple[str, ...] = get_args(Operation)
PRIMITIVES = ("none", *OPERATIONS)
"""What an edge of the relaxed network mixes; `none` is zero, and never chosen in the end."""
CELLS = ("normal", "reduction")


class DartsNode(Spec):
    """The sum of two operations, each on an earlier map of its cell.

    Args:
        inputs: The two maps, ascending: 0 is the output of the cell before the last, 1 that of the last, 2 and on are
            the nodes.
        first: What is done with the first.
        second: What is done with the second.
    """

    inputs: Hole[tuple[Index, ...]] = (0, 1)
    first: Hole[Operation] = "skip"
    second: Hole[Operation] = "skip"

    def edges(self) -> tuple[tuple[int, str], tuple[int, str]]:
        """Returns the two pairs of input and operation."""
        return (self.inputs[0], self.first), (self.inputs[1], self.second)


class DartsCell(Spec):
    """Nodes, each of which reads two earlier maps; their concatenation is the cell's output.

    Args:
        nodes: The nodes, first to last.
    """

    nodes: Annotated[tuple[DartsNode, ...], Field(min_length=1)]

    def check(self) -> None:
        """Refuses inputs that are no earlier maps, or not ascending."""
        for i, node in enumerate(self.nodes):
            if len(node.inputs) != 2 or not node.inputs[0] < node.inputs[1] < i + 2:
                allowed = f"two of 0 to {i + 1}, ascending"
                raise SpecError("a node reads two earlier maps", list(node.inputs), allowed, f"nodes/{i}/inputs")

    def canonical(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the least of the orders in which the same nodes can stand.

        The order of nodes changes that of the output's channels alone, which the weights behind it make good.

        Args:
            values: Path below this spec -> chosen value.
        """
        nodes = [_chosen(i, values) for i in range(len(self.nodes))]
        given = [node for node in nodes if node is not None]
        if len(given) < len(nodes):  # some of it is fixed: another order may be outside of the space
            return values
        return dict(_paths(min(_orders(given))))

    def path_features(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns the operations on each path from an input to the output; a skip is left out.

        Args:
            values: Path below this spec -> chosen value.
        """
        nodes = []
        for i, node in enumerate(self.nodes):
            fields = {name: values.get(f"nodes/{i}/{name}", getattr(node, name)) for name in DartsNode.model_fields}
            done = ["" if fields[name] == "skip" else fields[name] for name in ("first", "second")]
            nodes.append(list(zip(fields["inputs"], done, strict=True)))
        return tuple(cell_paths(nodes, range(2, 2 + len(nodes)), 2))


_Edges = tuple[tuple[int, str], ...]


def _chosen(i: int, values: Mapping[str, Any]) -> _Edges | None:
    inputs = values.get(f"nodes/{i}/inputs", (0, 1) if i == 0 else None)
    operations: list[Any] = [values.get(f"nodes/{i}/{name}") for name in ("first", "second")]
    if inputs is None or None in operations:
        return None
    return tuple(zip(inputs, operations, strict=True))


def _orders(nodes: list[_Edges]) -> Iterator[tuple[_Edges, ...]]:
    """Yields the nodes, with their inputs named anew, in every order in which each stands behind its inputs."""
    for order in itertools.permutations(range(len(nodes))):
        place = {0: 0, 1: 1, **{old + 2: new + 2 for new, old in enumerate(order)}}
        moved = tuple(tuple(sorted((place[source], name) for source, name in nodes[old])) for old in order)
        if all(source < new + 2 for new, edges in enumerate(moved) for source, _ in edges):
            yield moved


def _paths(nodes: tuple[_Edges, ...]) -> Iterator[tuple[str, Value]]:
    """Yields path and value of every decision of a cell, in the order of the walk."""
    for i, ((low, first), (high, second)) in enumerate(nodes):
        if i > 0:
            yield f"nodes/{i}/inputs", (low, high)
        yield f"nodes/{i}/first", first
        yield f"nodes/{i}/second", second


class CellPlan(NamedTuple):
    """What a cell becomes within its network.

    Args:
        before: Channels of the output of the cell before the last.
        last: Channels of the output of the last cell.
        channels: Of each node.
        nodes: Their number.
        reduces: Whether it halves height and width.
        halved: Whether the last cell did.
    """

    before: int
    last: int
    channels: int
    nodes: int
    reduces: bool
    halved: bool

    @property
    def outputs(self) -> int:
        """Channels that come out."""
        return self.channels * self.nodes


class Darts(Relaxable):
    """A stem, then cells of two sorts, a classifier on the average of the last.

    Cells `layers // 3` and `2 * layers // 3` halve the resolution and double the channels.

    Args:
        normal: The cell that keeps height and width.
        reduction: The cell that halves them.
        layers: Number of cells.
        channels: Of the nodes of the first cell.
        stem: `cifar`: one convolution to three times as many channels; `imagenet`: three convolutions of stride 2.
        aux: Whether the output of the second reduction has a classifier of its own, for training alone.

    Paper: Liu et al., 2019, arXiv 1806.09055, section 2.1 and appendix A.2; sizes and heads as in the authors' code.
    """

    kind: Literal["darts"] = "darts"
    cells: ClassVar[tuple[str, ...]] = CELLS
    normal: DartsCell
    reduction: DartsCell
    layers: Size = 20
    channels: Annotated[int, Field(ge=2, multiple_of=2)] = 36
    stem: Literal["cifar", "imagenet"] = "cifar"
    aux: Hole[bool] = False

    def check(self) -> None:
        """Refuses cells of different numbers of nodes, and an auxiliary head without cells behind it."""
        _same_nodes(self)
        if self.aux and self.layers < 3:
            raise SpecError("an auxiliary classifier needs two reductions", self.layers, ">= 3", "layers")

    def gives(self, output: str) -> bool | None:
        """Tells whether there is an auxiliary classifier."""
        return (self.aux if isinstance(self.aux, bool) else None) if output == "aux" else False

    def reductions(self) -> tuple[int, ...]:
        """Returns the indexes of the cells that halve the resolution."""
        return tuple(dict.fromkeys((self.layers // 3, 2 * self.layers // 3)))

    def stem_channels(self) -> int:
        """Returns the channels that come out of the stem."""
        return self.channels if self.stem == "imagenet" else 3 * self.channels

    def plan(self) -> tuple[CellPlan, ...]:
        """Returns what every cell becomes."""
        plans: list[CellPlan] = []
        before = last = self.stem_channels()
        channels, halved, nodes = self.channels, self.stem == "imagenet", len(self.normal.nodes)
        for i in range(self.layers):
            reduces = i in self.reductions()
            channels *= 2 if reduces else 1
            plans.append(CellPlan(before, last, channels, nodes, reduces, halved))
            before, last, halved = last, plans[-1].outputs, reduces
        return tuple(plans)

    def cell(self, plan: CellPlan) -> DartsCell:
        """Returns the spec of a cell."""
        return self.reduction if plan.reduces else self.normal

    def layout(self) -> Layout:
        """Returns for each sort of cell the number of its edges and the primitives that each edge mixes."""
        nodes = len(self.normal.nodes)
        return {name: (sum(range(2, nodes + 2)), len(PRIMITIVES)) for name in CELLS}

    def decode(self, logits: Logits) -> dict[str, Value]:
        """Returns the cells that logits stand for: of each node the two edges with the best operations.

        Args:
            logits: (edges, primitives) for each sort of cell, the edges node by node.

        Paper: Liu et al., 2019, arXiv 1806.09055, section 2.4.
        """
        found: dict[str, Value] = {}
        for name in CELLS:
            nodes = best_operations(logits[name], len(self.normal.nodes), excluded=0)
            edges = tuple(tuple((source, PRIMITIVES[k]) for source, k in node) for node in nodes)
            found |= {f"{name}/{path}": value for path, value in _paths(edges)}
        return found

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns the network with the first cell of each sort in full, the others as one node each."""
        from search_spaces.networks.darts_drawing import drawn

        return drawn(self, input_shape, outputs)

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.darts import DartsNetwork

        return DartsNetwork(self, input_shape, outputs)

    def _relax(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.darts_supernet import DartsSupernet

        _same_nodes(self)
        return DartsSupernet(self, input_shape, outputs)


def _same_nodes(spec: Darts) -> None:
    counts = len(spec.normal.nodes), len(spec.reduction.nodes)
    if counts[0] != counts[1]:
        raise SpecError("both cells have as many nodes", counts[1], str(counts[0]), "reduction/nodes")


def cell(*nodes: tuple[tuple[int, str], tuple[int, str]]) -> DartsCell:
    """Returns a cell whose nodes are given as two pairs of input and operation, in any order."""
    made = []
    for node in nodes:
        (low, first), (high, second) = sorted(node)
        made.append({"inputs": [low, high], "first": first, "second": second})
    return DartsCell.from_data({"nodes": made})


def _searched(nodes: int) -> DartsCell:
    def operation() -> Any:
        return hole(Categorical(OPERATIONS))

    def inputs(i: int) -> Any:
        return hole(Subset(tuple(range(i + 2)), low=2, high=2)) if i > 0 else (0, 1)

    made = tuple(DartsNode(inputs=inputs(i), first=operation(), second=operation()) for i in range(nodes))
    return DartsCell(nodes=made)


@preset("darts")
def darts(layers: int = 8, channels: int = 16, nodes: int = 4, stem: str = "cifar", aux: bool = False) -> Darts:
    """Returns the space of all pairs of cells; the sizes are those that the paper searches with.

    Args:
        layers: Number of cells.
        channels: Of the nodes of the first cell.
        nodes: Of each cell.
        stem: `cifar` or `imagenet`.
        aux: Whether there is an auxiliary classifier.
    """
    data: Any = {"layers": layers, "channels": channels, "stem": stem, "aux": aux}
    return Darts(normal=_searched(nodes), reduction=_searched(nodes), **data)
