"""The spec of two-cell networks: published numbers, the space, equal cells, decoding, picture."""

import itertools

import numpy as np
import pytest
import torch

from search_spaces.architectures.darts import PRIMITIVES, Darts, DartsCell, DartsNode, cell, darts
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.reference import reference
from search_spaces.space import Space
from search_spaces.template import template

SMALL = {"layers": 3, "channels": 4}


@pytest.mark.parametrize(
    ("name", "params", "aux"),
    [("darts-v1", 3_169_414, 476_426), ("darts-v2", 3_349_342, 476_426), ("darts-v2-imagenet", 4_718_752, 1_260_776)],
)
def test_published_numbers_of_parameters(name, params, aux):
    spec, shape, outputs = reference(name)
    with torch.device("meta"):
        network = spec.build(shape, outputs)
    head = sum(p.numel() for p in network.aux.parameters())
    assert (sum(p.numel() for p in network.parameters()) - head, head) == (params, aux)


def test_multiply_adds_of_the_convolutions():
    # The published 574 million of the second is by a counter of its own, whose rules are not printed.
    assert cost(*reference("darts-v2")).macs == 528_359_040
    assert cost(*reference("darts-v2-imagenet")).macs == 529_911_552


def test_the_space_has_the_published_number_of_cells():
    space = Space(darts())
    assert Space(darts().normal).cardinality() == 180 * 7**8 == 1_037_664_180
    assert space.cardinality() == 1_037_664_180**2
    assert Space(template({"preset": "darts", "layers": 5, "nodes": 2})).cardinality() == (3 * 7**4) ** 2


def test_equal_cells_have_one_form_and_cost_the_same():
    space, rng = Space(darts(**SMALL)), np.random.default_rng(0)
    found = [space.sample(rng) for _ in range(60)]
    forms = [space.canonical(candidate) for candidate in found]
    assert all(space.contains(form) and space.canonical(form) == form for form in forms)
    assert sum(form != candidate for form, candidate in zip(forms, found, strict=True)) > 20
    for candidate, form in list(zip(found, forms, strict=True))[:5]:
        counts = [cost(space.realize(one), (3, 8, 8), 4) for one in (candidate, form)]
        assert counts[0] == counts[1]


def _renamed(made: DartsCell, order: tuple[int, ...]) -> DartsCell | None:
    """The same cell with its nodes in another order, None where one would stand before its inputs."""
    place = {0: 0, 1: 1} | {old + 2: new + 2 for new, old in enumerate(order)}
    nodes = [[(place[source], name) for source, name in made.nodes[old].edges()] for old in order]
    if any(source >= i + 2 for i, node in enumerate(nodes) for source, _ in node):
        return None
    return cell(*[tuple(node) for node in nodes])


def _values(made: DartsCell) -> dict[str, object]:
    found: dict[str, object] = {}
    for i, node in enumerate(made.nodes):
        found |= {f"nodes/{i}/inputs": node.inputs} if i else {}
        found |= {f"nodes/{i}/first": node.first, f"nodes/{i}/second": node.second}
    return found


def test_every_order_of_the_nodes_has_the_same_form():
    for made in (reference("darts-v1").architecture.normal, reference("darts-v2").architecture.reduction):
        orders = [_renamed(made, order) for order in itertools.permutations(range(4))]
        forms = {tuple(made.canonical(_values(one)).items()) for one in orders if one is not None}
        assert len([one for one in orders if one is not None]) > 3
        assert len(forms) == 1
    other = cell(
        *[node.edges() for node in reference("darts-v1").architecture.normal.nodes[:3]], ((0, "sep5"), (2, "skip"))
    )
    assert other.canonical(_values(other)) != dict(next(iter(forms)))


def test_a_cell_with_fixed_parts_stays_as_it_is():
    made = reference("darts-v2").architecture.normal
    values = {path: value for path, value in _values(made).items() if path != "nodes/2/inputs"}
    assert made.canonical(values) == values


def test_decoding_keeps_the_two_best_edges_of_each_node_and_never_none():
    spec = darts(nodes=2)
    assert spec.layout() == {"normal": (5, 8), "reduction": (5, 8)}
    logits = {name: np.zeros((5, 8)) for name in ("normal", "reduction")}
    normal = logits["normal"]
    normal[:, 0] = 9.0  # none outweighs all, and is not chosen
    normal[0, PRIMITIVES.index("max3")] = 1.0
    normal[1, PRIMITIVES.index("dil5")] = 2.0
    normal[2, PRIMITIVES.index("sep3")] = 3.0
    normal[4, PRIMITIVES.index("skip")] = 2.0
    normal[3, 0] = 20.0  # the rest of this edge is worth less for it
    found = spec.decode(logits)
    assert [found[f"normal/nodes/0/{name}"] for name in ("first", "second")] == ["max3", "dil5"]
    assert [found[f"normal/nodes/1/{name}"] for name in ("inputs", "first", "second")] == [(0, 2), "sep3", "skip"]
    assert found["reduction/nodes/1/inputs"] == (0, 1)
    Space(spec).candidate(found)


@pytest.mark.parametrize(
    ("nodes", "path"), [([(0, 1), (1, 3)], "nodes/1/inputs"), ([(1, 0)], "nodes/0/inputs"), ([(0,)], "nodes/0/inputs")]
)
def test_impossible_inputs_are_refused_by_path(nodes, path):
    with pytest.raises(SpecError, match=f"{path}: a node reads two earlier maps"):
        DartsCell.from_data({"nodes": [{"inputs": list(inputs)} for inputs in nodes]})


def test_parts_that_do_not_fit_are_refused():
    one, two = DartsCell(nodes=(DartsNode(),)), DartsCell(nodes=(DartsNode(), DartsNode()))
    with pytest.raises(SpecError, match="reduction/nodes: both cells have as many nodes; got 2; allowed 1"):
        Darts.from_data({"normal": one, "reduction": two})
    with pytest.raises(SpecError, match="layers: an auxiliary classifier needs two reductions; got 2"):
        Darts.from_data({"normal": one, "reduction": one, "layers": 2, "aux": True})


def test_the_picture_shows_the_first_cell_of_each_sort_in_full():
    spec = reference("darts-v2").architecture
    graph = spec.draw_graph((3, 32, 32), 10)
    names = [node.name for node in graph.nodes]
    assert len(names) == 1 + 1 + 20 + 2 * 6 + 1
    assert [graph.nodes[names.index(f"cell {i}")].shape for i in (5, 6, 19)] == [
        (144, 32, 32),
        (288, 16, 16),
        (576, 8, 8),
    ]
    assert sum(node.params for node in graph.nodes) == 3_349_342
    assert all(names.index(source) < names.index(target) for source, target in graph.edges)
    labels = [node.label for node in graph.nodes]
    assert "node 5: skip(0) + dil3(2)" in labels
    assert Architecture.from_data(spec.to_data()) == spec
