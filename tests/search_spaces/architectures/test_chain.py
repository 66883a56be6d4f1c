"""The chain's spec: rules, repair rules, plan, graph and the cardinality of its space."""

import numpy as np
import pytest

from search_spaces.architectures.chain import Chain, ConvLayer, chain
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.space import Space
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
    assert (plans[2].in_channels, plans[2].params, plans[2].pooled) == (12, 5 * 12 * 2 + 2 * 2, True)


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
