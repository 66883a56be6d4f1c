"""NASNet: a normal and a reduction cell, repeated to any depth and width, and the space of both.

Paper: Zoph et al., 2018, arXiv 1707.07012, section 3 and appendix A.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field

from search_spaces.architectures.nasnet_cells import INPUTS, OPERATIONS, ConvCell, drawn, searched
from search_spaces.blocks.base import part_params
from search_spaces.build import Architecture, Graph, Node, Shape
from search_spaces.domains import Domain
from search_spaces.errors import SpecError
from search_spaces.spec import Hole
from search_spaces.template import preset

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
STAGES = 3
IMAGENET_WIDTH = 32
AUXILIARY_WIDTH, AUXILIARY_HIDDEN = 128, 768
AUXILIARY_POOL = 5
"""Height and width of the average pooling of the auxiliary classifier; its map has to be as large."""


class Source(NamedTuple):
    """What a cell may read: the stem's map or that of another cell.

    Args:
        name: Of the cell, or `stem`.
        shape: Of its map, (C, H, W).
    """

    name: str
    shape: Shape


@dataclass(frozen=True)
class CellPlan:
    """What a cell becomes within its network.

    Args:
        name: `cell_I`, `reduction_I`, or `stem_I` for the reduction cells of a stem.
        cell: Its spec.
        filters: Channels that each of its operations makes.
        stride: Of the operations on its inputs.
        current: The output of the cell before it.
        previous: The output of the one before that; the same map for the first cell, which takes it as it is.
        depth: Its number over the number of all cells, the stem's included: the share of drop path that is its own.

    Paper: Zoph et al., 2018, arXiv 1707.07012, appendix A.5; the numbers of cells as in the authors' code.
    """

    name: str
    cell: ConvCell
    filters: int
    stride: int
    current: Source
    previous: Source
    depth: float

    @property
    def output(self) -> Source:
        """What the cell gives."""
        height, width = (-(-size // self.stride) for size in self.current.shape[1:])
        return Source(self.name, (len(self.cell.ends()) * self.filters, height, width))

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of what the output depends on."""
        both = (self.current.name, self.previous.name)
        return tuple(name for state, name in enumerate(both) if self.cell.needs(state))


class Nasnet(Architecture):
    """Three stages of normal cells with a reduction cell before the second and the third, each doubling the filters.

    Cells are numbered as if all had an effect; those that nothing reads, because the cells behind them read other
    inputs alone, are not built.

    Args:
        normal: The cell that keeps height and width.
        reduction: The cell that halves them.
        repeats: Normal cells a stage; N of the paper's N @ D.
        filters: Channels of an operation in the first stage; with the paper's best cell D is 24 times as many.
        stem: `cifar`: a 3x3 convolution; `imagenet`: one of stride 2 and two reduction cells.
        stem_multiplier: Channels of that convolution: so many times `filters`, or so many times 32 for `imagenet`.
        skip_reduction_input: Whether the cell behind a reduction reads, beside the reduction, what the reduction read
            as its second input instead of what it read as its first.
        aux: Whether training has an auxiliary classifier, at two thirds of the depth.

    Paper: Zoph et al., 2018, arXiv 1707.07012, section 3.1, figure 2 and appendix A.4; what they leave open as in the
        authors' code.
    """

    kind: Literal["nasnet"] = "nasnet"
    normal: Hole[ConvCell]
    reduction: Hole[ConvCell]
    repeats: Hole[Size] = 6
    filters: Hole[Annotated[int, Field(ge=2)]] = 32
    stem: Hole[Literal["cifar", "imagenet"]] = "cifar"
    stem_multiplier: Hole[Annotated[float, Field(gt=0)]] = 3.0
    skip_reduction_input: Hole[bool] = False
    aux: Hole[bool] = False

    def gives(self, output: str) -> bool | None:
        """Tells whether there is an auxiliary classifier."""
        if output != "aux":
            return False
        return None if isinstance(self.aux, Domain) else self.aux

    def stem_width(self) -> int:
        """Returns the channels of the stem's convolution."""
        unit = self.filters if self.stem == "cifar" else IMAGENET_WIDTH
        return max(1, int(unit * self.stem_multiplier))

    def plan(self, input_shape: Shape) -> tuple[CellPlan, ...]:
        """Returns what every cell becomes for images of `input_shape` (C, H, W), those without effect left out.

        Raises:
            SpecError: The stem cannot take the image, or the auxiliary classifier its map.
        """
        made, plans = [Source("stem", self._stem_shape(input_shape))], list[CellPlan]()
        order = list(self._order())
        for number, (name, reduces, filters) in enumerate(order, 1):
            current, previous = made[-1], made[-2] if len(made) > 1 else made[-1]
            if self.skip_reduction_input and not reduces and current.name.startswith("reduction"):
                previous = made[-3]
            cell, stride = (self.reduction, 2) if reduces else (self.normal, 1)
            plans.append(CellPlan(name, cell, filters, stride, current, previous, number / len(order)))
            made.append(plans[-1].output)
        found = _with_effect(plans)
        if self.aux and min(shape := self.aux_source(found).shape[1:]) < AUXILIARY_POOL:
            allowed = f"false, or images whose map is {AUXILIARY_POOL}x{AUXILIARY_POOL} at least"
            raise SpecError("the auxiliary classifier needs a larger map", list(shape), allowed, "aux")
        return found

    def _stem_shape(self, input_shape: Shape) -> Shape:
        _, height, width = input_shape
        if self.stem == "imagenet":
            if min(height, width) < 3:
                rule = "the stem of ImageNet needs an image of 3x3 pixels"
                raise SpecError(rule, [height, width], "stem: cifar", "stem")
            height, width = (height - 1) // 2, (width - 1) // 2
        return self.stem_width(), height, width

    def _order(self) -> Iterator[tuple[str, bool, int]]:
        """Yields name, whether it reduces, and filters of all cells."""
        if self.stem == "imagenet":
            for i, part in enumerate((4, 2)):
                yield f"stem_{i}", True, max(2, self.filters // part)
        for stage in range(STAGES):
            filters = self.filters * 2**stage
            if stage:
                yield f"reduction_{stage - 1}", True, filters
            for i in range(self.repeats):
                yield f"cell_{stage * self.repeats + i}", False, filters

    def aux_source(self, plans: Sequence[CellPlan]) -> Source:
        """Returns what the auxiliary classifier reads: the last map before the third stage."""
        last = self.filters * 2 ** (STAGES - 1)
        return [plan.output for plan in plans if plan.filters < last][-1]

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node a cell with stem and classifier, and below them the inside of each of the two cells."""
        plans = self.plan(input_shape)
        params = part_params(self, input_shape, outputs)
        nodes = [Node("image", "input", "image", input_shape)]
        nodes.append(Node("stem", "stem", "3×3 convolution", self._stem_shape(input_shape), params["stem"]))
        edges = [("image", "stem")]
        for plan in plans:
            kind = "reduction cell" if plan.stride > 1 else "normal cell"
            label = f"{plan.name}: {kind}, {plan.filters} filters"
            nodes.append(Node(plan.name, kind, label, plan.output.shape, params[plan.name]))
            edges += [(name, plan.name) for name in dict.fromkeys(plan.sources)]
        nodes.append(Node("classifier", "output", "average pool, linear", (outputs,), params["classifier"]))
        edges.append((plans[-1].name, "classifier"))
        for kind, stride in (("normal", 1), ("reduction", 2)):
            if inside := [plan for plan in plans if plan.stride == stride]:
                more, between = _inside(kind, inside[-1])
                nodes, edges = nodes + more, edges + between
        return Graph(tuple(nodes), tuple(edges))

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.nasnet import NasnetNetwork

        return NasnetNetwork(self, input_shape, outputs)


def _with_effect(plans: Sequence[CellPlan]) -> tuple[CellPlan, ...]:
    """Returns the cells that the last one depends on, itself included."""
    needed = {plans[-1].name}
    for plan in reversed(plans):
        if plan.name in needed:
            needed.update(plan.sources)
    return tuple(plan for plan in plans if plan.name in needed)


def _inside(kind: str, plan: CellPlan) -> tuple[list[Node], list[tuple[str, str]]]:
    """Returns nodes and edges for the states of a cell."""
    _, height, width = plan.output.shape
    names = [f"{kind}: input", f"{kind}: before", *(f"{kind}: block {i + 1}" for i in range(len(plan.cell.blocks)))]
    labels = f"inside of a {kind} cell: its input", f"inside of a {kind} cell: the input before"
    shape = (plan.filters, *plan.current.shape[1:])
    nodes = [Node(names[i], "input", label, shape) for i, label in enumerate(labels) if plan.cell.needs(i)]
    edges: list[tuple[str, str]] = []
    for i, (label, read) in enumerate(drawn(plan.cell)):
        channels = plan.filters * (2 if plan.cell.blocks[i].combine == "concat" else 1)
        nodes.append(Node(names[i + INPUTS], "block", f"{i + 1}: {label}", (channels, height, width)))
        edges += [(names[state], names[i + INPUTS]) for state in read]
    nodes.append(Node(f"{kind}: output", "output", "side by side", plan.output.shape))
    return nodes, edges + [(names[state], f"{kind}: output") for state in plan.cell.ends()]


@preset("nasnet")
def nasnet(
    blocks: int = 5,
    operations: tuple[str, ...] = tuple(OPERATIONS),
    combinations: tuple[str, ...] = ("add", "concat"),
    repeats: int = 2,
    filters: int = 32,
) -> Nasnet:
    """Returns the search space of NASNet: every decision of a normal and of a reduction cell.

    What is found at a small size goes to a larger one by other `repeats` and `filters` beside the same cells.

    Args:
        blocks: Blocks of each cell.
        operations: What may be done to a state.
        combinations: How the results of two operations may be joined.
        repeats: Normal cells a stage.
        filters: Channels of an operation in the first stage.

    Paper: Zoph et al., 2018, arXiv 1707.07012, section 3.1 (5 blocks) and appendix A.2 (2 cells a stage).
    """
    cells = (searched(blocks, operations, combinations) for _ in range(2))
    return Nasnet(normal=next(cells), reduction=next(cells), repeats=repeats, filters=filters)
