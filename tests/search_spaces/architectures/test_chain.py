"""The chain's spec: rules, repair rules, plan, graph and the cardinality of its space."""

from typing import ClassVar, Literal

import numpy as np
import pytest
import torch

from search_spaces.architectures.chain import Chain, ConvLayer, chain
from search_spaces.blocks.base import Attention
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.spec import _REGISTRY
from search_spaces.template import template


def _chain(*inputs, **fields):
    return Chain(layers=tuple(ConvLayer(inputs=i) for i in inputs), **fields)


@pytest.mark.parametrize("layers", [6, 15, 20])
def test_cardinality_is_that_of_the_paper(layers):
    skips = 2 ** (layers * (layers - 1) // 2)
    assert Space(chain(layers)).cardinality() == 64**layers * skips
    assert Space(chain(layers, strides=True)).cardinality() == 576**layers * skips
    assert Space(chain(layers, skips=False)).cardinality() == 64**layers


def test_cardinality_of_a_growing_chain_is_the_sum_over_its_lengths():
    expected = sum(64**n * 2 ** (n * (n - 1) // 2) for n in range(2, 7))
    assert Space(chain(6, grow=True, low=2)).cardinality() == expected


def test_decisions_come_in_the_papers_order():
    points = Space(chain(2, strides=True)).points()
    below = ["height", "width", "stride_height", "stride_width", "filters", "inputs"]
    assert [p.path for p in points] == [f"layers/{i}/{name}" for i in range(2) for name in below]


@pytest.mark.parametrize(
    "options",
    [{}, {"strides": True}, {"skips": False}, {"grow": True, "low": 2}, {"strides": True, "grow": True}],
    ids=["plain", "strides", "no-skips", "grow", "both"],
)
def test_every_sample_is_a_valid_chain_without_dead_layers(options):
    space, rng = Space(chain(7, pool_after=(1, 5), **options)), np.random.default_rng(0)
    for _ in range(50):
        spec = space.realize(space.sample(rng))
        assert Architecture.from_data(spec.to_data()) == spec  # the rules hold when it is read back
        live = set(spec.loose_ends())
        for i in reversed(range(len(spec.layers))):
            if i in live:
                live.update(spec.layers[i].inputs)
        assert live == set(range(len(spec.layers)))


def test_without_skips_each_layer_reads_the_one_before():
    space = Space(chain(4, skips=False))
    spec = space.realize(space.sample(np.random.default_rng(0)))
    assert [layer.inputs for layer in spec.layers] == [(), (0,), (1,), (2,)]
    assert spec.loose_ends() == (3,)


def test_the_preset_passes_its_choices_on_from_a_file():
    data = {"preset": "chain", "layers": 3, "kernels": [3], "filters": [8, 16], "pool_after": [0], "skips": False}
    spec = template(data, Architecture)
    assert spec.pool_after == (0,)
    assert Space(spec).cardinality() == 2**3


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        (((0,),), "layers/0/inputs"),
        (((), (1,)), "layers/1/inputs"),
        (((), (0,), (2,)), "layers/2/inputs"),
        (((), (0,), (1, 0)), "layers/2/inputs"),
        (((), (0,), (1, 1)), "layers/2/inputs"),
    ],
    ids=["image-layer", "itself", "itself-late", "descending", "twice"],
)
def test_inputs_are_earlier_layers_each_once(spec, path):
    with pytest.raises(SpecError, match=path):
        Architecture.from_data({"kind": "chain", "layers": [{"inputs": list(i)} for i in spec]})


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ({"layers": []}, "layers"),
        ({"layers": [{"height": 0}]}, "layers/0/height"),
        ({"layers": [{"filters": -1}]}, "layers/0/filters"),
        ({"layers": [{"stride_width": 0}]}, "layers/0/stride_width"),
        ({"layers": [{}, {"inputs": [-1]}]}, "layers/1/inputs"),
        ({"layers": [{}], "pool_after": [1, 0]}, "pool_after"),
        ({"layers": [{"filters": {"categorical": [24, 0]}}]}, "layers/0/filters"),
    ],
)
def test_values_out_of_range_are_refused_by_path(data, path):
    with pytest.raises(SpecError, match=path):
        Architecture.from_data({"kind": "chain"} | data)


def test_plan_pads_to_the_largest_height_and_width_and_adds_the_channels():
    spec = Chain(
        layers=(
            ConvLayer(filters=5, stride_height=3),
            ConvLayer(filters=7, stride_width=2),
            ConvLayer(filters=2, height=5, width=1, inputs=(0, 1)),
        ),
        pool_after=(2, 9),
    )
    plans = spec.plan((3, 10, 9))
    assert [p.shape for p in plans] == [(5, 4, 9), (7, 10, 5), (2, 5, 5)]
    assert (plans[2].conv.inputs, plans[2].params, plans[2].pooled) == (12, 5 * 12 * 2 + 2 * 2, True)


def test_loose_ends_go_to_the_classifier_and_layers_without_inputs_read_the_image():
    spec = _chain((), (), (0,), ())
    graph = spec.draw_graph((3, 8, 8), 10)
    assert spec.loose_ends() == (1, 2, 3)
    assert set(graph.edges) == {
        ("image", "layer 0"),
        ("image", "layer 1"),
        ("layer 0", "layer 2"),
        ("image", "layer 3"),
        ("layer 1", "classifier"),
        ("layer 2", "classifier"),
        ("layer 3", "classifier"),
    }


def test_the_graph_has_the_parameters_of_the_network():
    space, rng = Space(chain(6, strides=True, pool_after=(2,))), np.random.default_rng(1)
    for _ in range(5):
        spec = space.realize(space.sample(rng))
        drawn = sum(node.params for node in spec.draw_graph((3, 16, 16), 10).nodes)
        assert drawn == cost(spec, (3, 16, 16), 10).params


def test_a_preset_with_pooling_out_of_order_is_refused_by_path_although_its_layers_are_open():
    with pytest.raises(SpecError) as refused:
        template({"architecture": {"preset": "chain", "pool_after": [3, 1]}})
    assert str(refused.value) == (
        "architecture/pool_after: preset 'chain' refuses its arguments: indexes stand in ascending order, each once; "
        "got [3, 1]"
    )


def _layer(**fields):
    return ConvLayer.from_data({"filters": 4, **fields})


PARTS = [
    {"conv": "asymmetric", "attention": "se", "norm": "group"},
    {"conv": {"kind": "deformable", "modulated": True}, "norm": None},
    {"conv": "octave", "stride_height": 2, "inputs": [0, 1]},
    {"conv": {"kind": "shift", "expansion": 3}, "height": 5, "inputs": [2]},
    {"conv": "sparse_shift", "inputs": [2]},
]


def test_the_graph_has_the_parameters_of_whatever_the_layers_are():
    spec = Chain(layers=tuple(_layer(**part) for part in PARTS), pool_after=(3,))
    graph = spec.draw_graph((3, 16, 16), 10)
    assert sum(node.params for node in graph.nodes) == cost(spec, (3, 16, 16), 10).params
    plan = spec.plan((3, 16, 16))[2]
    assert (plan.conv.inputs, plan.map.stride, plan.shape) == (8, 2, (4, 8, 16))
    assert [node.label for node in graph.nodes[1:4]] == [
        "0: asymmetric 3×3, 4 filters, group norm, se",
        "1: deformable 3×3, 4 filters, no norm",
        "2: octave 3×3, 4 filters, stride 2×1",
    ]
    assert graph.nodes[4].label == "3: shift 5×3, 4 filters, max pool"


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"conv": "asymmetric", "height": 2}, "layers/1/conv: a kernel has a middle; got [2, 3]"),
        (
            {"conv": {"kind": "deformable", "groups": 4}},
            "layers/1/conv/groups: 6 channels do not divide into groups; got 4",
        ),
        ({"conv": {"kind": "heterogeneous"}}, "layers/1/conv/parts: 6 channels in and 4 out do not divide"),
        (
            {"conv": "octave"},
            "layers/1/conv: height and width of the map have to be multiples of 2; got [4, 5]; allowed another block",
        ),
    ],
    ids=["even", "groups", "parts", "odd-map"],
)
def test_what_does_not_fit_its_layer_is_refused_by_path(layer, message):
    first = _layer(filters=6, stride_height=2)
    spec = Chain(layers=(first, _layer(**layer, inputs=[0])))
    for call in (spec.build, spec.draw_graph):
        with pytest.raises(SpecError) as caught:
            call((3, 8, 5), 10)
        assert str(caught.value).startswith(message)


def test_an_octave_looks_at_the_map_that_it_reads():
    even, odd = _layer(), _layer(stride_height=3)
    reads_the_largest = Chain(layers=(even, odd, _layer(conv="octave", inputs=[0, 1])))
    assert reads_the_largest.build((3, 8, 8), 2).eval()(torch.randn(1, 3, 8, 8)).shape == (1, 2)
    pooled = Chain(layers=(_layer(), _layer(conv="octave", inputs=[0])), pool_after=(0,))
    with pytest.raises(SpecError, match="layers/1/conv"):
        pooled.plan((3, 10, 10))


def test_an_attention_looks_at_the_map_that_it_weighs():
    class Halves(Attention):
        """Needs even maps of an even number of channels."""

        kind: Literal["test_halves"] = "test_halves"
        size_multiple: ClassVar[int] = 2

        def outputs(self, inputs):
            if inputs[-1].channels % 2:
                raise SpecError("channels come in pairs", inputs[-1].channels)
            return inputs[-1:]

    try:
        for layer, message in (
            (ConvLayer(filters=3, attention=Halves()), "channels come in pairs; got 3"),
            (ConvLayer(attention=Halves(), stride_width=3), "height and width of the map"),
        ):
            with pytest.raises(SpecError, match=f"^layers/0/attention: {message}"):
                Chain(layers=(layer,)).plan((3, 8, 8))
        # The pooling comes after it.
        assert Chain(layers=(ConvLayer(attention=Halves()),), pool_after=(0,)).plan((3, 6, 6))[0].shape == (36, 3, 3)
    finally:
        for known in _REGISTRY.values():
            known.pop("test_halves", None)


def test_the_preset_lets_convolutions_attentions_and_norms_vary():
    data = {
        "preset": "chain",
        "layers": 2,
        "kernels": [3],
        "filters": [8],
        "skips": False,
        "convs": ["dense", {"kind": "deformable", "modulated": {"categorical": [False, True]}}, "shift"],
        "attentions": [None, "se"],
        "norms": ["batch", "group", None],
    }
    spec = template(data, Architecture)
    space = Space(spec)
    assert space.cardinality() == ((1 + 2 + 1) * 2 * 3) ** 2
    paths = [point.path for point in space.points()]
    assert [path for path in paths if path.startswith("layers/1")][-4:] == [
        "layers/1/conv",
        "layers/1/conv/deformable/modulated",
        "layers/1/attention",
        "layers/1/norm",
    ]
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        found = space.realize(space.sample(rng))
        assert found.draw_graph((3, 8, 8), 5).nodes
        layer = found.layers[1]
        seen |= {part and part.kind for part in (layer.conv, layer.attention, layer.norm)}
    assert seen == {"dense", "deformable", "shift", "se", "batch", "group", None}


def test_by_default_only_the_decisions_of_the_paper_are_searched():
    assert {point.path.split("/")[2] for point in Space(chain(3, strides=True)).points()} == {
        "height",
        "width",
        "stride_height",
        "stride_width",
        "filters",
        "inputs",
    }
