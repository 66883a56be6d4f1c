"""The language model's spec: parameters, multiply-adds, space, picture."""

import numpy as np
import pytest
import torch

from search_spaces.architectures.recurrent import Recurrent, nascell, recurrent
from search_spaces.blocks.cells import Gru
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.template import template
from tests.search_spaces.networks.checks import counted_macs


def test_parameters_and_multiply_adds_by_formula():
    # Two layers of 200 and a vocabulary of 10,000; torch's LSTM has a second bias.
    found = cost(Recurrent(tied=False), (20,), 10_000)
    assert found.params == 10_000 * 200 + 2 * (4 * 200 * 400 + 2 * 4 * 200) + 200 * 10_000 + 10_000
    assert cost(Recurrent(), (20,), 10_000).params == found.params - 2_000_000
    assert found.macs == 20 * (2 * 4 * 200 * 400 + 200 * 10_000)


def test_the_last_layer_of_tied_weights_is_as_wide_as_the_embedding():
    assert Recurrent(hidden=7, embedding=5, layers=3).widths() == (5, 7, 7, 5)
    assert Recurrent(hidden=7, embedding=5, layers=3, tied=False).widths() == (5, 7, 7, 7)
    assert Recurrent(hidden=7, embedding=5, layers=1).widths() == (5, 5)


def test_the_input_is_a_sequence():
    with pytest.raises(SpecError, match="input_shape: a network needs the shape of one input"):
        Recurrent().build((3, 8, 8), 10)


def test_sampled_models_cost_what_torch_counts():
    space, rng = Space(recurrent(low=4, high=12)), np.random.default_rng(0)
    for _ in range(8):
        spec = space.realize(space.sample(rng))
        assert Architecture.from_json(spec.to_json()) == spec
        with torch.device("meta"):
            network = spec.build((9,), 13)
        found = cost(spec, (9,), 13)
        assert found.macs == counted_macs(network, 9)
        assert found.params == sum(p.numel() for p in network.parameters())


def test_the_space_from_a_file():
    data = {"preset": "recurrent", "low": 16, "high": 48, "layers": 2, "tied": False}
    space = Space(template(data, Architecture))
    places = ["embedding_dropout", "layer_dropout", "output_dropout"]
    assert [point.path for point in space.points()] == ["cell", "layers", "hidden", "embedding", *places]
    assert Space(template(data | {name: 0.1 for name in places}, Architecture)).cardinality() == 2 * 2 * 3 * 3


def test_the_space_of_cells_is_that_of_nas_rl_and_its_fields_can_be_set():
    assert Space(nascell()).cardinality() == 63_331_869_759_897_600
    data = {"preset": "nascell", "base": 4, "control": True, "layers": 1, "hidden": 64, "embedding": 64, "tied": False}
    space = Space(template(data, Architecture))
    assert space.cardinality() == 15**8 * 7**2
    spec = space.realize(space.sample(np.random.default_rng(0)))
    found = cost(spec, (9,), 13)
    assert found.params == 4 * 64 * 128 + 13 * 64 + 13 * 64 + 13
    assert found.macs == 9 * (4 * 64 * 128 + 13 * 64)


def test_the_picture():
    spec = Recurrent(cell=Gru(), hidden=6, embedding=4)
    graph = spec.draw_graph((9,), 11)
    assert [node.name for node in graph.nodes] == ["tokens", "embedding", "layer 0", "layer 1", "decoder"]
    assert [node.shape for node in graph.nodes] == [(9,), (9, 4), (9, 6), (9, 4), (9, 11)]
    assert sum(node.params for node in graph.nodes) == cost(spec, (9,), 11).params
