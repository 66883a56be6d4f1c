"""NAS-Bench-201: strings, published numbers, which cells are one architecture, and what a predictor sees."""

from collections import defaultdict
from itertools import combinations, permutations, product
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces.architectures.nasbench201 import EDGES, OPERATIONS, NasBench201, nasbench201
from search_spaces.build import Architecture
from search_spaces.candidate import Candidate
from search_spaces.cost import cost
from search_spaces.domains import Categorical
from search_spaces.errors import SpecError
from search_spaces.networks.nasbench201 import NasBench201Cell
from search_spaces.reference import reference
from search_spaces.space import Space
from search_spaces.spec import hole
from search_spaces.template import template

TABLE = Path(__file__).parents[4] / "shared" / "data" / "nasbench201-12epochs.parquet"
NONE, SKIP, C1, C3, AVERAGE = OPERATIONS
STRING = f"|{C3}~0|+|{NONE}~0|{SKIP}~1|+|{C1}~0|{AVERAGE}~1|{C3}~2|"


def _candidate(*edges: str) -> Candidate:
    return Candidate({f"edges/{i}": operation for i, operation in enumerate(edges)})


@pytest.fixture(scope="module")
def space() -> Space:
    return Space(nasbench201())


@pytest.fixture(scope="module")
def classes(space) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
    found = defaultdict(list)
    for edges in product(OPERATIONS, repeat=len(EDGES)):
        found[tuple(space.canonical(_candidate(*edges)).values())].append(edges)
    return found


def test_strings_there_and_back():
    spec = NasBench201.from_string(STRING)
    assert spec.edges == (C3, NONE, SKIP, C1, AVERAGE, C3)
    assert spec.to_string() == STRING
    assert reference(f"nasbench201:{STRING}") == (spec, (3, 32, 32), 10)


@pytest.mark.parametrize(
    "text",
    [
        "",
        STRING[:-1],
        STRING.replace(C1, "conv"),
        STRING.replace("~2", "~1"),
        STRING + "|none~0|",
        STRING.replace("+", ""),
    ],
)
def test_other_strings_are_refused(text):
    with pytest.raises(SpecError, match=r"no architecture string of NAS-Bench-201; got .*; allowed \|none~0\|\+"):
        NasBench201.from_string(text)


@pytest.mark.parametrize(
    ("operation", "params", "macs"),
    [
        (C3, 1_531_546, 220.12),
        (C1, 241_306, 31.38),
        (SKIP, 73_306, 7.78),
        (AVERAGE, 73_306, 7.78),
        (NONE, 73_306, 7.78),
    ],
)
def test_published_numbers(operation, params, macs):
    found = cost(NasBench201(edges=(operation,) * 6), (3, 32, 32), 10)
    assert found.params == params
    assert round(found.macs / 1e6, 2) == macs


def test_the_space(space):
    assert space.cardinality() == 15_625
    assert [point.path for point in space.points()] == [f"edges/{i}" for i in range(6)]
    assert tuple(space.points()[0].domain.values()) == OPERATIONS
    spec = space.realize(space.sample(np.random.default_rng(0)))
    assert Architecture.from_json(spec.to_json()) == spec
    small = template({"preset": "nasbench201", "channels": 4, "cells": 1, "operations": [SKIP, C3]}, Architecture)
    assert Space(small).cardinality() == 2**6 and small.channels == 4


def test_five_edges_and_unknown_operations_are_refused():
    with pytest.raises(SpecError, match="^edges"):
        NasBench201.from_data({"edges": [SKIP] * 5})
    with pytest.raises(SpecError, match="^edges/3"):
        NasBench201.from_data({"edges": [SKIP, SKIP, SKIP, "conv", SKIP, SKIP]})


def _authors(edges: tuple[str, ...], zero: bool) -> str:
    # The unique string of the authors' code: an expression tree without skips and, with `zero`, without zeros.
    nodes = {0: "0"}
    for target in (1, 2, 3):
        terms = []
        for (to, source), operation in zip(EDGES, edges, strict=True):
            if to == target and zero and (operation == NONE or nodes[source] == "#"):
                terms.append("#")
            elif to == target:
                terms.append(nodes[source] if operation == SKIP else f"({nodes[source]})@{operation}")
        nodes[target] = "+".join(sorted(terms))
    return nodes[3]


def test_the_numbers_of_unique_cells(classes):
    cells = list(product(OPERATIONS, repeat=6))
    assert len({_authors(edges, zero=False) for edges in cells}) == 12_751
    assert len({_authors(edges, zero=True) for edges in cells}) == 6_466
    assert len(classes) == 6_040


def test_the_canonical_cell_is_in_its_class_and_stands_for_itself(space, classes):
    for first, members in classes.items():
        assert first in members
    for first in list(classes)[::50]:
        candidate = _candidate(*first)
        assert space.canonical(candidate) is candidate


def _outputs(
    cell: NasBench201Cell, weights: dict[str, list[dict]], order: dict[str, tuple[int, ...]], x
) -> torch.Tensor:
    seen = dict.fromkeys(weights, 0)
    for edge in cell.live:
        if edge.operation in weights:
            module = cell.edges[str(edge.place)]
            module.load_state_dict(weights[edge.operation][order[edge.operation][seen[edge.operation]]])
            seen[edge.operation] += 1
    with torch.no_grad():
        return cell(x)


def _same_function(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether some exchange of equal operations gives equal outputs in training, for weights drawn at random."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 5)
    cells = [NasBench201Cell(NasBench201(edges=edges).live_edges(), 3) for edges in (a, b)]
    weights = {C1: [], C3: []}
    for edge in cells[0].live:
        if edge.operation in weights:
            module = cells[0].edges[str(edge.place)]
            torch.nn.init.normal_(module[2].weight)
            torch.nn.init.normal_(module[2].bias)
            weights[edge.operation].append({name: value.clone() for name, value in module.state_dict().items()})
    counts = {name: [sum(e.operation == name for e in cell.live) for cell in cells] for name in weights}
    if any(one != other for one, other in counts.values()):
        return False
    natural = {name: tuple(range(one)) for name, (one, _) in counts.items()}
    expected = _outputs(cells[0], weights, natural, x)
    return any(
        torch.allclose(_outputs(cells[1], weights, {C1: ones, C3: threes}, x), expected, atol=1e-4)
        for ones, threes in product(permutations(natural[C1]), permutations(natural[C3]))
    )


def test_members_of_a_class_are_the_same_function_and_cost_the_same(classes):
    rng = np.random.default_rng(0)
    many = [members for members in classes.values() if len(members) > 1]
    for i in rng.choice(len(many), 60, replace=False):
        a, b = (many[i][k] for k in rng.choice(len(many[i]), 2, replace=False))
        assert _same_function(a, b), (a, b)
        if i % 10 == 0:
            costs = {cost(NasBench201(edges=edges, channels=4, cells=1), (3, 8, 8), 10) for edges in many[i]}
            assert len(costs) == 1


def test_what_the_authors_join_and_is_another_function(space):
    # Twice the output of one convolution, and the sum of two convolutions with weights of their own.
    twice, both = (C3, NONE, SKIP, NONE, SKIP, SKIP), (C3, C3, NONE, NONE, SKIP, SKIP)
    # A convolution of zero, which gives the bias of its batch norm, and zero.
    bias, zero = (NONE, NONE, NONE, SKIP, C1, NONE), (NONE, NONE, NONE, SKIP, NONE, NONE)
    for a, b in ((twice, both), (bias, zero)):
        assert _authors(a, zero=True) == _authors(b, zero=True)
        assert not _same_function(a, b)
        assert space.canonical(_candidate(*a)) != space.canonical(_candidate(*b))


def test_dead_edges_are_not_built():
    spec = NasBench201(edges=(C3, C3, C3, SKIP, NONE, NONE))
    assert [edge.place for edge in spec.live_edges()] == [3]
    assert cost(spec, (3, 32, 32), 10).params == 73_306


def test_canonical_stays_within_a_part_of_the_space():
    free = [hole(Categorical((NONE, C3))), *(hole(Categorical((NONE, SKIP))) for _ in range(4))]
    part = Space({"architecture": NasBench201(edges=(C3, *free))})
    firsts = {part.canonical(candidate) for candidate in part.enumerate()}
    assert len(firsts) < part.cardinality() == 32
    assert all(part.contains(first) and part.canonical(first) == first for first in firsts)


def test_path_features(space):
    spec = (C3, SKIP, C1, NONE, SKIP, AVERAGE)
    expected = (AVERAGE, C3, f"{C3}>{C1}>{AVERAGE}")
    assert space.path_features(_candidate(*spec)) == expected
    assert space.path_features(_candidate(*(SKIP,) * 6)) == ("identity",) * 4
    assert space.path_features(_candidate(*(NONE,) * 6)) == ()
    joint = Space({"architecture": nasbench201(), "lr": Categorical((0.1, 0.2))})
    values = {f"architecture/{path}": value for path, value in _candidate(*spec).items()}
    assert joint.path_features(Candidate({**values, "lr": 0.1})) == tuple(f"architecture/{text}" for text in expected)


def test_members_of_a_class_have_the_same_features(space, classes):
    for members in list(classes.values())[::20]:
        assert len({space.path_features(_candidate(*edges)) for edges in members}) == 1


def test_the_picture_has_all_parameters():
    spec = NasBench201.from_string(STRING)
    graph = spec.draw_graph((3, 32, 32), 10)
    assert sum(node.params for node in graph.nodes) == cost(spec, (3, 32, 32), 10).params
    assert [node.name for node in graph.nodes[:5]] == ["image", "node 0", "edge 0", "node 1", "node 2"]
    assert ("node 1", "node 2") in graph.edges and ("edge 5", "node 3") in graph.edges
    order = {node.name: i for i, node in enumerate(graph.nodes)}
    assert all(order[source] < order[target] for source, target in graph.edges)


@pytest.mark.skipif(not TABLE.exists(), reason="needs the table of NAS-Bench-201 in ../shared/data")
def test_accuracies_within_a_class_differ_by_noise_alone(classes):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = parquet.read_table(TABLE, columns=["architecture", "cifar10_val"]).to_pydict()
    specs = map(NasBench201.from_string, columns["architecture"])
    accuracy = {spec.edges: value for spec, value in zip(specs, columns["cifar10_val"], strict=True)}
    assert len(accuracy) == 15_625
    within = [abs(accuracy[a] - accuracy[b]) for m in classes.values() for a, b in combinations(m[:4], 2)]
    rng = np.random.default_rng(0)
    values = np.array(list(accuracy.values()))
    anyhow = np.abs(values[rng.integers(0, 15_625, 5000)] - values[rng.integers(0, 15_625, 5000)])
    # Medians in points of accuracy; those of pairs without anything in common are about ten times as far apart.
    assert np.median(within) < 1.0 < 5.0 < np.median(anyhow)
