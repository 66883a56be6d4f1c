"""Tree cells: the published space, what equals what, refusals, the picture."""

import numpy as np
import pytest
import torch

from search_spaces.architectures.recurrent import Recurrent
from search_spaces.blocks.tree_cells import TreeCell, TreeNode, tree_cells
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.spec import holes


def test_the_space_has_its_published_size():
    # Eight decisions a node and for the injection, fifteen for each of the two indexes.
    assert Space(tree_cells()).cardinality() == 8**16 * 15**2 == 63_331_869_759_897_600
    assert Space(tree_cells(control=True)).cardinality() == 15**16 * 15**2
    assert [Space(tree_cells(base)).cardinality() for base in (1, 2, 4)] == [8**2, 8**4 * 9, 8**8 * 49]


def test_decisions_stand_in_the_order_of_the_paper():
    parts = ("combination", "activation")
    nodes = [f"nodes/{i}/{part}" for i in range(3) for part in parts]
    assert [path for path, _ in holes(tree_cells(2))] == [*nodes, *(f"inject/{part}" for part in parts), *_INDEXES]


_INDEXES = ("memory", "injected")


def test_what_is_no_full_tree_is_refused():
    with pytest.raises(SpecError, match=r"nodes: a full tree has 2 \* base - 1 nodes, .*; got 4; allowed 1, 3, 7"):
        TreeCell.from_data({"nodes": [{}] * 4, "memory": 0, "injected": 0})
    with pytest.raises(SpecError, match="injected: no node of this tree; got 3; allowed 0 to 2"):
        TreeCell.from_data({"nodes": [{}] * 3, "memory": 2, "injected": 3})
    with pytest.raises(SpecError, match="base: a full tree needs a power of two as its base; got 6"):
        tree_cells(6)


def test_a_full_tree_says_who_reads_whom():
    cell = TreeCell()
    assert cell.base == 8
    assert [cell.children(i) for i in (0, 7, 8, 11, 12, 14)] == [(), (), (0, 1), (6, 7), (8, 9), (12, 13)]


def _swapped(cell: TreeCell, index: int) -> TreeCell:
    """The cell with the two subtrees of a node exchanged."""
    where = {i: i for i in range(len(cell.nodes))}
    pairs = [cell.children(index)]
    while pairs[0]:
        for left, right in pairs:
            where |= {left: right, right: left}
        pairs = [pair for left, right in pairs for pair in zip(cell.children(left), cell.children(right), strict=True)]
        if not pairs:
            break
    nodes = tuple(cell.nodes[where[i]] for i in range(len(cell.nodes)))
    return TreeCell(**dict(cell) | {"nodes": nodes, "memory": where[cell.memory], "injected": where[cell.injected]})


def _outputs(cell: TreeCell, weights: dict[int, tuple[torch.Tensor, torch.Tensor]], order: list[int]) -> torch.Tensor:
    """What a cell of double precision makes of a fixed sequence, leaf k with the weights of number order[k]."""
    layer = cell.build(3, 4).double()
    with torch.no_grad():
        layer.weight_input.copy_(torch.cat([weights[k][0] for k in order]))
        layer.weight_hidden.copy_(torch.cat([weights[k][1] for k in order]))
        return layer(torch.sin(torch.arange(30.0, dtype=torch.float64)).view(2, 5, 3), None)[0]


def test_cells_with_subtrees_exchanged_compute_the_same_and_have_one_canonical_form():
    space, rng = Space(tree_cells()), np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    weights = {
        k: tuple(torch.randn(4, width, dtype=torch.float64, generator=generator) / 4 for width in (3, 4))
        for k in range(8)
    }
    order = list(range(8))
    for _ in range(4):
        first = space.sample(rng)
        cell, leaves = space.realize(first), order
        for index in rng.integers(8, 15, size=4).tolist():
            other = _swapped(cell, index)
            span = [leaf for leaf in order if _below(cell, index, leaf)]
            half = len(span) // 2
            moved = dict(zip(span, [*span[half:], *span[:half]], strict=True))
            leaves = [leaves[moved.get(k, k)] for k in order]
            cell = other
        second = space.candidate(_values(cell))
        assert torch.equal(_outputs(space.realize(first), weights, order), _outputs(cell, weights, leaves))
        assert space.canonical(first) == space.canonical(second)
        assert space.canonical(space.canonical(first)) == space.canonical(first)
        assert space.contains(space.canonical(first))


def _below(cell: TreeCell, index: int, leaf: int) -> bool:
    return leaf == index or any(_below(cell, child, leaf) for child in cell.children(index))


def _values(cell: TreeCell) -> dict[str, object]:
    steps = {f"nodes/{i}": node for i, node in enumerate(cell.nodes)} | {"inject": cell.inject}
    parts = ("combination", "activation")
    chosen = {f"{path}/{part}": getattr(step, part) for path, step in steps.items() for part in parts}
    return chosen | {"memory": cell.memory, "injected": cell.injected}


def test_cells_of_base_2_fall_into_the_classes_that_can_be_counted():
    cell = tree_cells(2)
    root = TreeNode(combination="elem_mult", activation="sigmoid")
    space = Space(cell.model_copy(update={"nodes": (*cell.nodes[:2], root), "inject": TreeNode()}))
    assert space.cardinality() == 64 * 9
    found = {space.canonical(candidate).id for candidate in space.enumerate()}
    # No index on a leaf: unordered pairs. On one leaf, by one index or both, or on both: an index tells them apart.
    assert len(found) == 8 * 9 // 2 + 2 * 64 + 64 + 64


def test_what_a_space_holds_fixed_keeps_its_place():
    cell = tree_cells(2)
    fixed = cell.nodes[0].model_copy(update={"combination": "add"})
    space = Space(cell.model_copy(update={"nodes": (fixed, *cell.nodes[1:])}))
    base = {"nodes/0/activation": "tanh", "nodes/2/combination": "add", "nodes/2/activation": "tanh"}
    base |= {"inject/combination": "add", "inject/activation": "tanh", "memory": 2, "injected": 2}
    mixed = space.candidate({**base, "nodes/1/combination": "elem_mult", "nodes/1/activation": "identity"})
    assert space.canonical(mixed) is mixed
    one, other = (
        space.candidate({**base, "nodes/0/activation": a, "nodes/1/combination": "add", "nodes/1/activation": b})
        for a, b in (("tanh", "relu"), ("relu", "tanh"))
    )
    assert space.canonical(one) == space.canonical(other)
    assert "nodes/0/combination" not in space.canonical(one)


def test_the_picture_shows_the_tree_of_the_first_layer():
    spec = Recurrent(cell=TreeCell(), hidden=6, embedding=6)
    graph = spec.draw_graph((9,), 11)
    labels = {node.name: node.label for node in graph.nodes}
    assert len(graph.nodes) == 2 + 15 + 1 + 1 + 1
    assert labels["layer 0 12"] == "12: elem_mult, identity; before it, c"
    assert labels["layer 0 inject"] == "with the last c: add, tanh"
    assert ("embedding", "layer 0 7") in graph.edges and ("layer 0 3", "layer 0 9") in graph.edges
    assert ("layer 0 inject", "layer 0 12") in graph.edges and ("layer 0 8", "layer 0 12") not in graph.edges
    assert ("layer 0 14", "layer 1") in graph.edges and len(graph.edges) == 1 + 8 + 14 + 1 + 2
    assert sum(node.params for node in graph.nodes) == cost(spec, (9,), 11).params
