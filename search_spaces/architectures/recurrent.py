"""Recurrent language models: embedding, layers of one cell, and a decoder to the vocabulary."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.base import part_params
from search_spaces.blocks.cells import Cell, Gru, Lstm
from search_spaces.blocks.tree_cells import tree_cells
from search_spaces.build import Architecture, Graph, Node, Shape
from search_spaces.domains import Categorical, Float, Integer
from search_spaces.spec import Hole, hole
from search_spaces.template import preset

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class Recurrent(Architecture):
    """A language model. Its input is (T,) token numbers, its number of outputs the size of the vocabulary.

    Args:
        cell: What each layer computes.
        layers: Number of layers.
        hidden: Numbers in a layer's state; with tied weights the last layer has `embedding` of them.
        embedding: Numbers that stand for a token.
        tied: Whether the decoder uses the embedding's weights.
        embedding_dropout: Rate behind the embedding.
        layer_dropout: Rate between two layers.
        output_dropout: Rate behind the last layer.

    Paper: Zaremba et al., 2014, arXiv 1409.2329 (dropout on connections that are not recurrent). Tied weights:
        Press & Wolf, 2016, arXiv 1608.05859; the width of the last layer as in Merity et al., 2017, arXiv 1708.02182.
    """

    kind: Literal["recurrent"] = "recurrent"
    input_rank: ClassVar[int] = 1
    cell: Hole[Cell] = Lstm()
    layers: Hole[Size] = 2
    hidden: Hole[Size] = 200
    embedding: Hole[Size] = 200
    tied: Hole[bool] = True
    embedding_dropout: Hole[Rate] = 0.0
    layer_dropout: Hole[Rate] = 0.0
    output_dropout: Hole[Rate] = 0.0

    def gives(self, output: str) -> bool:
        """Returns False: its features are sequences."""
        return False

    def widths(self) -> tuple[int, ...]:
        """Returns the numbers that go into the first layer, and those that come out of each."""
        last = self.embedding if self.tied else self.hidden
        return (self.embedding, *(self.hidden,) * (self.layers - 1), last)

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node for the embedding, one a layer and one for the decoder; the first layer in detail."""
        params, widths = part_params(self, input_shape, outputs), self.widths()
        kind, steps = str(getattr(self.cell, "kind", "cell")), input_shape[0]
        each = [sum(_layer_params(self.cell, *pair)) for pair in zip(widths, widths[1:], strict=False)]
        nodes = [Node("tokens", "input", "tokens", input_shape)]
        nodes.append(Node("embedding", "embedding", "embedding", (steps, widths[0]), params["embedding"]))
        edges = [("tokens", "embedding")]
        for i, (width, count) in enumerate(zip(widths[1:], each, strict=True)):
            before, layer = nodes[-1].name, Node(f"layer {i}", kind, f"{i}: {kind}", (steps, width), count)
            inner = self.cell.inner(layer.shape, count) if i == 0 else None
            inner = inner or Graph((replace(layer, name=""),), ())
            heads = {target for _, target in inner.edges}
            names = {node.name: f"{layer.name} {node.name}".rstrip() for node in inner.nodes}
            nodes += [replace(node, name=names[node.name]) for node in inner.nodes]
            edges += [(before, name) for inside, name in names.items() if inside not in heads]
            edges += [(names[source], names[target]) for source, target in inner.edges]
        label = "linear, weights of the embedding" if self.tied else "linear"
        edges.append((nodes[-1].name, "decoder"))
        nodes.append(Node("decoder", "output", label, (steps, outputs), params["decoder"]))
        return Graph(tuple(nodes), tuple(edges))

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.recurrent import RecurrentNetwork

        return RecurrentNetwork(self, outputs)


def _layer_params(cell: Cell, inputs: int, hidden: int) -> list[int]:
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return [p.numel() for p in cell.build(inputs, hidden).parameters()]


@preset("recurrent")
def recurrent(
    low: int = 32, high: int = 256, layers: int = 3, rates: tuple[float, float] = (0.0, 0.6), tied: bool = True
) -> Recurrent:
    """Returns a space of language models: cell, depth, width and the places of dropout.

    Args:
        low: The least width; a width is searched in steps of it.
        high: The greatest width.
        layers: The greatest number of layers.
        rates: The least and the greatest rate of dropout.
        tied: Whether tied weights may be chosen; otherwise they never are.
    """
    return Recurrent(
        cell=hole(Categorical((Lstm(), Gru()))),
        layers=hole(Integer(1, layers)),
        hidden=hole(Integer(low, high, step=low)),
        embedding=hole(Integer(low, high, step=low)),
        tied=hole(Categorical((False, True))) if tied else False,
        embedding_dropout=hole(Float(*rates)),
        layer_dropout=hole(Float(*rates)),
        output_dropout=hole(Float(*rates)),
    )


@preset("nascell")
def nascell(base: int = 8, control: bool = False) -> Recurrent:
    """Returns the space of the recurrent cells of NAS-RL, in a language model of two layers of 200 numbers.

    Args:
        base: Leaves of the tree that a cell is, a power of two.
        control: Whether `max` may combine and `sin` activate, too, as in the paper's control experiment.

    Paper: Zoph & Le, 2017, arXiv 1611.01578, sections 3.4 and 4.2.
    """
    return Recurrent(cell=tree_cells(base, control))
