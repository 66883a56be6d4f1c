"""NASNet's spec: published numbers, plan, space, rules, picture."""

from math import factorial

import numpy as np
import pytest
import torch

from search_spaces.architectures.nasnet import CellPlan, Nasnet, Source, nasnet
from search_spaces.architectures.nasnet_cells import OPERATIONS, CellBlock, ConvCell
from search_spaces.build import Architecture
from search_spaces.cost import cost, network_cost
from search_spaces.domains import Categorical
from search_spaces.errors import SpecError
from search_spaces.meta import ShapesOnly
from search_spaces.networks.nasnet import CellModule
from search_spaces.reference import reference
from search_spaces.space import Space
from search_spaces.spec import hole
from search_spaces.template import template

CIFAR = reference("nasnet-a-cifar").architecture
assert isinstance(CIFAR, Nasnet)
ON_BEFORE = ConvCell(blocks=(CellBlock(left=1, right=1, left_op="conv_1x1", right_op="identity"),))
PLAIN = ConvCell(blocks=(CellBlock(left=0, right=1, left_op="conv_3x3"),))


def _params(cell: ConvCell, filters: int, current: tuple, previous: tuple, stride: int = 1, first: bool = False) -> int:
    before = Source("current" if first else "previous", previous)
    plan = CellPlan("cell", cell, filters, stride, Source("current", current), before, 1.0)
    with torch.device("meta"):
        return sum(p.numel() for p in CellModule(plan).parameters())


@pytest.mark.parametrize(
    ("reduces", "filters", "current", "previous", "params"),
    [
        (False, 128, (768, 8, 8), (768, 8, 8), 383_232),
        (True, 128, (384, 16, 16), (384, 16, 16), 305_408),
        (False, 32, (96, 32, 32), None, 40_384),
        (False, 32, (192, 32, 32), (96, 32, 32), 25_152),
        (False, 128, (512, 8, 8), (384, 16, 16), 301_312),
    ],
    ids=["normal", "reduction", "first", "second", "behind-a-reduction"],
)
def test_parameters_of_single_cells(reduces, filters, current, previous, params):
    cell, stride = (CIFAR.reduction, 2) if reduces else (CIFAR.normal, 1)
    assert _params(cell, filters, current, previous or current, stride, first=previous is None) == params


@pytest.mark.parametrize(
    ("name", "params", "statistics", "aux", "macs"),
    [
        ("nasnet-a-cifar", 3_346_538, 37_248, 1_631_498, 544_333_312),
        ("nasnet-a-mobile", 5_289_978, 5_326_716 - 5_289_978, 2_411_240, 563_638_816),
        # Published: 88.9 million with the figures of the norms, and 23.8 billion.
        ("nasnet-a-large", 88_753_150, 88_949_818 - 88_753_150, 4_567_784, 23_783_414_658),
    ],
)
def test_published_numbers_of_whole_networks(name, params, statistics, aux, macs):
    architecture, input_shape, outputs = reference(name)
    with torch.device("meta"), ShapesOnly():
        network = architecture.build(input_shape, outputs)
    found = network_cost(network, input_shape)
    assert (found.params, found.macs) == (params, macs)
    assert sum(p.numel() for p in network.aux.parameters()) == aux
    buffers = {key: value for key, value in network.named_buffers() if not key.startswith("aux.")}
    assert sum(value.numel() for key, value in buffers.items() if not key.endswith("tracked")) == statistics


def _shapes(name: str) -> dict[str, tuple[int, ...]]:
    architecture, input_shape, _ = reference(name)
    assert isinstance(architecture, Nasnet)
    return {plan.name: plan.output.shape for plan in architecture.plan(input_shape)}


def test_shapes_of_the_network_for_cifar():
    shapes = _shapes("nasnet-a-cifar")
    assert len(shapes) == 20
    assert CIFAR.stem_width() == 96
    assert {shapes[f"cell_{i}"] for i in range(6)} == {(192, 32, 32)}
    assert {shapes[f"cell_{i}"] for i in range(6, 12)} == {(384, 16, 16)}
    assert {shapes[f"cell_{i}"] for i in range(12, 18)} == {(768, 8, 8)}
    assert (shapes["reduction_0"], shapes["reduction_1"]) == ((256, 16, 16), (512, 8, 8))
    assert list(shapes)[5:8] == ["cell_5", "reduction_0", "cell_6"]


@pytest.mark.parametrize(
    ("name", "repeats", "stem", "cells", "reductions"),
    [
        (
            "nasnet-a-mobile",
            4,
            (88, 28, 28),
            [(264, 28, 28), (528, 14, 14), (1056, 7, 7)],
            [(352, 14, 14), (704, 7, 7)],
        ),
        (
            "nasnet-a-large",
            6,
            (336, 42, 42),
            [(1008, 42, 42), (2016, 21, 21), (4032, 11, 11)],
            [(1344, 21, 21), (2688, 11, 11)],
        ),
    ],
)
def test_shapes_of_the_networks_for_imagenet(name, repeats, stem, cells, reductions):
    shapes = _shapes(name)
    assert len(shapes) == 3 * repeats + 4
    assert shapes["stem_1"] == stem
    assert [{shapes[f"cell_{stage * repeats + i}"] for i in range(repeats)} for stage in range(3)] == [
        {shape} for shape in cells
    ]
    assert [shapes["reduction_0"], shapes["reduction_1"]] == reductions


def test_cardinality_is_that_of_the_paper():
    cell = factorial(6) ** 2 * 13**10 * 2**5
    assert Space(nasnet().normal).cardinality() == cell == 2_286_906_949_584_691_200
    assert Space(nasnet()).cardinality() == cell**2
    assert f"{cell**2:.2e}" == "5.23e+36"


def test_decisions_come_in_the_papers_order():
    paths = [point.path for point in Space(nasnet()).points()]
    below = ["left", "right", "left_op", "right_op", "combine"]
    assert paths == [f"{c}/blocks/{i}/{name}" for c in ("normal", "reduction") for i in range(5) for name in below]


def test_the_space_from_a_file():
    data = {"preset": "nasnet", "blocks": 2, "operations": ["identity", "conv_1x1"], "combinations": ["add"]}
    space = Space(template(data | {"repeats": 1, "filters": 6, "aux": True}, Architecture))
    assert space.cardinality() == (4 * 9 * 2**4) ** 2
    spec = space.realize(space.sample(np.random.default_rng(0)))
    assert (spec.repeats, spec.filters, spec.aux) == (1, 6, True)
    assert Architecture.from_json(spec.to_json()) == spec


def test_equal_candidates_cost_the_same():
    space, rng = Space(nasnet(repeats=1, filters=4)), np.random.default_rng(3)
    for _ in range(4):
        candidate = space.sample(rng)
        form = space.canonical(candidate)
        assert form != candidate and space.canonical(form) == form
        assert cost(space.realize(form), (1, 8, 8), 10) == cost(space.realize(candidate), (1, 8, 8), 10)


@pytest.mark.parametrize(("name", "total"), [("nasnet-a-cifar", 20), ("nasnet-a-mobile", 16), ("nasnet-a-large", 22)])
def test_the_share_of_drop_path_grows_with_the_number_of_a_cell(name, total):
    architecture, input_shape, _ = reference(name)
    assert isinstance(architecture, Nasnet)
    assert [plan.depth for plan in architecture.plan(input_shape)] == [(i + 1) / total for i in range(total)]


def _sources(spec: Nasnet) -> dict[str, tuple[str, ...]]:
    return {plan.name: plan.sources for plan in spec.plan((3, 16, 16))}


def test_what_the_cell_behind_a_reduction_reads():
    fields = {"normal": PLAIN, "reduction": PLAIN, "repeats": 2, "filters": 4}
    plain, skipping = (_sources(Nasnet(**fields, skip_reduction_input=skip)) for skip in (False, True))
    assert (plain["reduction_0"], plain["cell_2"]) == (("cell_1", "cell_0"), ("reduction_0", "cell_1"))
    assert (skipping["reduction_0"], skipping["cell_2"]) == (("cell_1", "cell_0"), ("reduction_0", "cell_0"))
    assert plain["cell_0"] == ("stem", "stem")
    assert {name for name in plain if plain[name] != skipping[name]} == {"cell_2", "cell_4"}


def test_cells_without_effect_are_not_built():
    spec = Nasnet(normal=ON_BEFORE, reduction=PLAIN, repeats=2, filters=4, aux=True)
    assert _sources(spec) == {  # all but cell_4
        "cell_0": ("stem",),
        "cell_1": ("stem",),
        "reduction_0": ("cell_1", "cell_0"),
        "cell_2": ("cell_1",),
        "cell_3": ("reduction_0",),
        "reduction_1": ("cell_3", "cell_2"),
        "cell_5": ("reduction_1",),
    }
    plans = spec.plan((3, 16, 16))
    assert spec.aux_source(plans).name == "cell_3"
    network = spec.build((3, 16, 16), 5)
    found = network(torch.randn(2, 3, 16, 16))
    (found["out"].sum() + found["aux"].sum()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    assert [plan.depth for plan in plans[-2:]] == [6 / 8, 1.0]


def test_a_larger_network_of_the_same_cells():
    larger = CIFAR.model_copy(update={"repeats": 7, "filters": 96})
    assert cost(larger, (3, 32, 32), 10).params == 32_590_954


@pytest.mark.parametrize(
    ("fields", "input_shape", "message"),
    [
        ({"aux": True}, (1, 8, 8), "aux: the auxiliary classifier needs a larger map; got \\[4, 4\\]"),
        ({"stem": "imagenet"}, (3, 2, 9), "stem: the stem of ImageNet needs an image of 3x3 pixels; got \\[2, 9\\]"),
    ],
)
def test_images_that_are_too_small_are_refused_by_path(fields, input_shape, message):
    spec = Nasnet(normal=PLAIN, reduction=PLAIN, repeats=1, **fields)
    for call in (spec.build, spec.draw_graph):
        with pytest.raises(SpecError, match=message):
            call(input_shape, 10)


def test_whether_there_is_an_auxiliary_classifier():
    assert CIFAR.gives("aux") is True and CIFAR.gives("gates") is False
    assert CIFAR.model_copy(update={"aux": hole(Categorical((False, True)))}).gives("aux") is None


def test_the_picture_has_all_cells_all_parameters_and_both_insides():
    graph = CIFAR.draw_graph((3, 32, 32), 10)
    assert sum(node.params for node in graph.nodes) == 3_346_538
    names = [node.name for node in graph.nodes]
    assert names[:4] == ["image", "stem", "cell_0", "cell_1"] and len(names) == len(set(names)) == 23 + 2 * 8
    assert ("reduction_0", "cell_6") in graph.edges and ("cell_5", "cell_6") in graph.edges
    inside = {node.name: node for node in graph.nodes if node.name.startswith("reduction: ")}
    assert inside["reduction: block 4"].label == "4: identity of block 2 + avg pool 3x3 of block 1"
    assert inside["reduction: output"].shape == (512, 8, 8)
    ends = {source for source, target in graph.edges if target == "normal: output"}
    assert ends == {"normal: before", *(f"normal: block {i}" for i in range(1, 6))}


def test_an_operation_of_each_name_may_be_chosen():
    for name in OPERATIONS:
        cell = ConvCell(blocks=(CellBlock(left=0, right=1, left_op=name, right_op=name, combine="concat"),))
        spec = Nasnet(normal=cell, reduction=cell, repeats=1, filters=4)
        assert spec.build((3, 9, 7), 5).eval()(torch.zeros(1, 3, 9, 7)).shape == (1, 5)
