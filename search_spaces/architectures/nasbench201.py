"""The cell of NAS-Bench-201: six edges between four nodes, five operations, and which cells are the same function.

Paper: Dong & Yang, 2020, arXiv 2001.00326, section 2.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import permutations, product
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, get_args

from pydantic import Field

from search_spaces.blocks.base import Feature, part_params
from search_spaces.build import Architecture, Graph, Node, Shape
from search_spaces.domains import Categorical, Domain
from search_spaces.errors import SpecError
from search_spaces.spec import Hole, hole
from search_spaces.template import preset

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Operation = Literal["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]
OPERATIONS: tuple[str, ...] = get_args(Operation)
EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
"""Target and source of each edge, in the order of the table; node 0 is the cell's input, node 3 its output."""
OUTPUT = 3
STAGES = 3
_CONVOLUTIONS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
_PATHS = tuple(f"edges/{i}" for i in range(len(EDGES)))
_ITEM = re.compile(r"(\w+)~\d")


class Edge(NamedTuple):
    """An edge that has an effect on the output of its cell.

    Args:
        place: Its place in `edges`.
        target: The node that it adds to.
        source: The node that it reads.
        operation: What it does, never `none`.
    """

    place: int
    target: int
    source: int
    operation: str


class NasBench201(Architecture):
    """Three stages of equal cells, a residual block that halves the resolution before the second and the third.

    Edges without effect are not built: those that do nothing, those whose target does not lead to the output, and a
    skip or an average of what is zero. A convolution of zero stays: its batch norm adds a bias a channel.

    Two cells are one architecture (`canonical`) if, without such edges and with skips contracted, they are the same
    graph of operations but for the names of its nodes; there are 6,040. These equalities hold exactly as functions, up
    to the order in which floats are added, and all of a class have the same parameters, multiply-adds and activations.
    Their accuracies differ by the noise of training alone, since they began with different weights: after 12 epochs on
    CIFAR-10 by 0.24 points in the median, where two cells at random differ by 7.9.

    Not joined, although the unique strings of the authors' code, 6,466 of them, do so: a convolution of zero and zero;
    twice the output of one convolution and the sum of two convolutions with weights of their own. Not joined, although
    the functions are equal: an average of a sum and the sum of averages, which cost differently.

    Args:
        edges: Operations of the edges 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2; a node is the sum of the edges into it.
        channels: Channels of the first stage; each later one has twice as many.
        cells: Number of cells a stage.

    Paper: Dong & Yang, 2020, arXiv 2001.00326, section 2.1. Deviation: edges without effect are not built, so that
        equal functions cost the same; the authors count the weights of dead convolutions, too.
    """

    kind: Literal["nasbench201"] = "nasbench201"
    edges: Annotated[tuple[Hole[Operation], ...], Field(min_length=len(EDGES), max_length=len(EDGES))]
    channels: Hole[Size] = 16
    cells: Hole[Size] = 5

    @classmethod
    def from_string(cls, text: str) -> NasBench201:
        """Returns the architecture that a string of the table stands for.

        Args:
            text: Such as `|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|`.

        Raises:
            SpecError: It is no such string.
        """
        return cls.from_data({"edges": _parsed(text)})

    def to_string(self) -> str:
        """Returns the architecture as the table writes it."""
        return _written(self.edges)

    def gives(self, output: str) -> bool:
        """Returns False: there are logits alone."""
        return False

    def live_edges(self) -> tuple[Edge, ...]:
        """Returns the edges that have an effect, in the order of `edges`."""
        return _live(self.edges)

    def canonical(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the first values, in the order of the options, whose cell is the same graph of operations."""
        holes: tuple[Any, ...] = self.edges
        options = tuple(tuple(edge.values()) if isinstance(edge, Domain) else (edge,) for edge in holes)
        first = _representatives(options)[_form(self._chosen(values))]
        return {**values, **{path: first[i] for i, path in enumerate(_PATHS) if path in values}}

    def path_features(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns the operations on each path from the cell's input to its output, sorted; skips are left out."""
        return tuple(sorted(">".join(path) or "identity" for path in _paths(_live(self._chosen(values)))))

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns the operations of the first cell, and one node each for the other cells, the blocks and the head."""
        params = part_params(self, input_shape, outputs)
        shapes = [Feature(self.channels * 2**i, 2**i).shape(input_shape[1:]) for i in range(STAGES)]
        cell = _cell_graph(self.live_edges(), shapes[0], self.channels)
        nodes = [Node("image", "input", "image", input_shape)]
        nodes += [Node("node 0", "stem", "node 0: stem, convolution 3x3", shapes[0], params["stem"]), *cell.nodes]
        edges = [("image", "node 0"), *cell.edges]
        inner = sum(node.params for node in cell.nodes)
        rest = []
        for i, shape in enumerate(shapes, 1):
            if i > 1:
                rest.append(Node(f"block {i}", "block", "residual block, stride 2", shape, params[f"reduction{i}"]))
            more, count = (inner, self.cells - 1) if i == 1 else (0, self.cells)
            if count:
                label = f"stage {i}: {count} {'more ' if i == 1 else ''}cell{'s' if count > 1 else ''}"
                rest.append(Node(f"stage {i}", "cells", label, shape, params[f"stage{i}"] - more))
        head = params["norm"] + params["classifier"]
        rest.append(Node("classifier", "output", "norm, ReLU, average pool, linear", (outputs,), head))
        names = [f"node {OUTPUT}", *(node.name for node in rest)]
        return Graph((*nodes, *rest), (*edges, *zip(names, names[1:], strict=False)))

    def _chosen(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(values.get(path, edge) for path, edge in zip(_PATHS, self.edges, strict=True))

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.nasbench201 import NasBench201Network

        return NasBench201Network(self, input_shape[0], outputs)


def _parsed(text: str) -> tuple[str, ...]:
    edges = tuple(_ITEM.findall(text))
    if len(edges) != len(EDGES) or not set(edges) <= set(OPERATIONS) or _written(edges) != text:
        allowed = _written(("none",) * len(EDGES)) + ", each operation one of " + ", ".join(OPERATIONS)
        raise SpecError("this is no architecture string of NAS-Bench-201", text, allowed)
    return edges


def _written(edges: Sequence[str]) -> str:
    items = [f"{operation}~{source}" for operation, (_, source) in zip(edges, EDGES, strict=True)]
    return "+".join(f"|{'|'.join(items[start:end])}|" for start, end in ((0, 1), (1, 3), (3, 6)))


def _live(edges: Sequence[str]) -> tuple[Edge, ...]:
    filled, used = {0}, {OUTPUT}
    working = []
    for i, ((target, source), operation) in enumerate(zip(EDGES, edges, strict=True)):
        if operation in _CONVOLUTIONS or (operation != "none" and source in filled):
            filled.add(target)
            working.append(Edge(i, target, source, operation))
    found = []
    for edge in reversed(working):  # the edges into a node come after those out of it
        if edge.target in used:
            used.add(edge.source)
            found.append(edge)
    return tuple(reversed(found))


def _form(edges: Sequence[str]) -> Hashable:
    """Returns what is equal for two cells if they are the same graph of operations.

    A node is a sum of terms: the input, 0, and the live operations but skips, from 1. Terms are numbered by how they
    look as trees; among those that look alike, the numbers that give the least form are taken.
    """
    sums: list[Counter[int]] = [Counter({0: 1}), Counter(), Counter(), Counter()]
    looks: list[Any] = [()]
    terms: list[tuple[str, Counter[int]]] = []
    for edge in _live(edges):
        if edge.operation == "skip_connect":
            sums[edge.target].update(sums[edge.source])
            continue
        terms.append((edge.operation, sums[edge.source]))
        looks.append((edge.operation, tuple(sorted((looks[term], n) for term, n in sums[edge.source].items()))))
        sums[edge.target][len(terms)] += 1
    alike: dict[Any, list[int]] = {}
    for term in sorted(range(1, len(looks)), key=lambda term: repr(looks[term])):
        alike.setdefault(looks[term], []).append(term)
    found: Hashable = min(
        _numbered(terms, sums[OUTPUT], order) for order in product(*map(permutations, alike.values()))
    )
    return found


def _numbered(terms: list[tuple[str, Counter[int]]], output: Counter[int], order: Sequence[Sequence[int]]) -> Any:
    ordered = [term for group in order for term in group]
    number = {0: 0} | {term: i for i, term in enumerate(ordered, 1)}

    def renamed(terms: Counter[int]) -> tuple[tuple[int, int], ...]:
        return tuple(sorted((number[term], n) for term, n in terms.items()))

    return tuple((terms[i - 1][0], renamed(terms[i - 1][1])) for i in ordered), renamed(output)


@functools.lru_cache(maxsize=8)
def _representatives(options: tuple[tuple[str, ...], ...]) -> dict[Hashable, tuple[str, ...]]:
    found: dict[Hashable, tuple[str, ...]] = {}
    for edges in product(*options):
        found.setdefault(_form(edges), edges)
    return found


def _paths(edges: tuple[Edge, ...], node: int = OUTPUT) -> Iterator[tuple[str, ...]]:
    if node == 0:
        yield ()
    for edge in edges:
        if edge.target == node:
            step = () if edge.operation == "skip_connect" else (edge.operation,)
            yield from ((*path, *step) for path in _paths(edges, edge.source))


def _cell_graph(live: tuple[Edge, ...], shape: Shape, channels: int) -> Graph:
    params = {operation: channels * channels * size**2 + 2 * channels for operation, size in _CONVOLUTIONS.items()}
    nodes: list[Node] = []
    edges: list[tuple[str, str]] = []
    for target in sorted({OUTPUT, *(edge.target for edge in live)}):
        for edge in live:
            if edge.target == target and edge.operation != "skip_connect":
                nodes.append(
                    Node(f"edge {edge.place}", edge.operation, edge.operation, shape, params.get(edge.operation, 0))
                )
                edges += [(f"node {edge.source}", f"edge {edge.place}"), (f"edge {edge.place}", f"node {target}")]
            elif edge.target == target:
                edges.append((f"node {edge.source}", f"node {target}"))
        nodes.append(Node(f"node {target}", "sum", f"node {target}: sum", shape))
    return Graph(tuple(nodes), tuple(edges))


@preset("nasbench201")
def nasbench201(channels: int = 16, cells: int = 5, operations: tuple[str, ...] = OPERATIONS) -> NasBench201:
    """Returns the space of all 15,625 cells.

    Args:
        channels: Channels of the first stage.
        cells: Number of cells a stage.
        operations: What each edge may choose from.

    Paper: Dong & Yang, 2020, arXiv 2001.00326, section 2.1.
    """
    edges: Any = tuple(hole(Categorical(tuple(operations))) for _ in EDGES)
    return NasBench201(edges=edges, channels=channels, cells=cells)
