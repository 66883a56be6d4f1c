"""ENAS' macro space: its size, its rules, what is halved, its picture."""

import numpy as np
import pytest

from search_spaces.architectures.enas_macro import OPERATIONS, EnasMacro, enas_macro
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.template import template


def _macro(*layers: tuple[str, tuple[int, ...]], **fields) -> EnasMacro:
    data = [{"operation": operation, "skips": list(skips)} for operation, skips in layers]
    return EnasMacro.from_data({"layers": data, **fields})


def test_the_space_has_the_size_of_the_paper():
    assert Space(enas_macro()).cardinality() == 6**12 * 2**66
    assert f"{Space(enas_macro()).cardinality():.3e}" == "1.606e+29"
    assert Space(enas_macro(skips=False)).cardinality() == 6**12
    paths = [point.path for point in Space(enas_macro(3)).points()]
    assert paths == [f"layers/{i}/{name}" for i in range(3) for name in ("operation", "skips")]


def test_every_sample_is_read_back_and_stands_for_itself():
    space, rng = (
        Space(template({"preset": "enas_macro", "layers": 6, "channels": 4}, Architecture)),
        np.random.default_rng(0),
    )
    for _ in range(20):
        candidate = space.sample(rng)
        spec = space.realize(candidate)
        assert Architecture.from_json(spec.to_json()) == spec
        assert space.canonical(candidate) is candidate


@pytest.mark.parametrize(("layer", "skips"), [(0, (0,)), (2, (2,)), (2, (1, 0)), (2, (0, 0))])
def test_skips_are_earlier_maps(layer, skips):
    layers = [("conv_3x3", ())] * 3
    layers[layer] = ("conv_3x3", skips)
    with pytest.raises(SpecError, match=f"^layers/{layer}/skips: skips are earlier maps; got"):
        _macro(*layers)


def test_less_than_three_layers_are_refused():
    with pytest.raises(SpecError, match="^layers"):
        _macro(("conv_3x3", ()), ("conv_3x3", ()))


def test_halvings_and_what_is_halved():
    assert enas_macro(12).halvings() == (3, 7)
    spec = _macro(*[("avg_pool_3x3", ())] * 4, ("conv_3x3", (1,)), ("conv_3x3", (0, 3)))
    assert spec.halvings() == (1, 3) and [spec.stage(i) for i in range(6)] == [0, 0, 1, 1, 2, 2]
    assert spec.halved(1) == (0, 1, 2)  # 0 and 1 for the last two layers, 2 is the input of the third
    assert spec.halved(2) == (0, 1, 3, 4)


def test_parameters_counted_by_hand():
    spec = _macro(("conv_5x5", ()), ("sep_conv_3x3", (0,)), ("max_pool_3x3", ()), channels=4)
    first = (4 * 4 + 8) + (25 * 16 + 8)
    second = (8 * 8 + 16) + (9 * 8 + 8 * 8 + 16) + (16 * 8 + 16)  # 1x1, separable, join of two maps
    third = (16 * 16 + 32) + (16 * 16 + 32)
    halvings = 2 * (4 * 8 + 16) + (8 * 16 + 32)  # stem and first layer, then the second layer
    expected = (27 * 4 + 8) + first + second + third + halvings + 16 * 10 + 10
    assert cost(spec, (3, 16, 16), 10).params == expected


def test_the_picture_has_all_parameters():
    spec = _macro(*[(operation, (0,) if i > 1 else ()) for i, operation in enumerate(OPERATIONS)], channels=4)
    graph = spec.draw_graph((3, 16, 16), 10)
    assert sum(node.params for node in graph.nodes) == cost(spec, (3, 16, 16), 10).params
    order = {node.name: i for i, node in enumerate(graph.nodes)}
    assert all(order[source] < order[target] for source, target in graph.edges)
    assert {source for source, target in graph.edges if target == "map 4"} == {"map 3", "halving 1"}
    assert spec.gives("aux") is False


def test_the_cover_has_every_operation_and_all_skips():
    covering = list(enas_macro(4).cover())
    assert [spec.layers[2].operation for spec in covering] == list(OPERATIONS)
    assert covering[0].layers[3].skips == (0, 1, 2)
