"""The segmenter's spec: rules, space, cost, picture."""

import numpy as np
import pytest
import torch

from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter, segmenter
from search_spaces.blocks.base import Feature
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.template import template
from tests.search_spaces.networks.checks import assert_trains, counted_macs


def test_the_default_is_deeplabv3plus():
    spec = Segmenter()
    assert spec.informed() == (*Resnet().pyramid()[:3], Feature(256, 16))
    assert spec.decoded() == Feature(256, 4)
    found = cost(spec, (3, 64, 64), 21)
    resnet = 11_689_512 - 513_000
    aspp = (512 * 256 + 512) * 2 + 3 * (9 * 512 * 256 + 512) + 5 * 256 * 256 + 512
    decoder = (64 * 48 + 96) + (9 * 304 * 256 + 512) + (9 * 256 * 256 + 512)
    assert found.params == resnet + aspp + decoder + 256 * 21 + 21


def test_what_only_training_needs_costs_nothing():
    plain, more = Segmenter(), Segmenter(aux=(0, 2), edges=True)
    assert cost(plain, (3, 33, 45), 5) == cost(more, (3, 33, 45), 5)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"context": {"kind": "psp", "bins": [1, 2, 3]}}, "context/bins"),
        ({"decoder": {"kind": "deeplabv3plus", "low": 3}}, "decoder/low"),
        ({"backbone": {"kind": "resnet", "depths": [1], "widths": [8]}}, "decoder"),
        ({"aux": [4]}, "aux"),
        ({"aux": [1, 0]}, "aux"),
        ({"backbone": {"kind": "resnet", "output_stride": 5}}, "backbone/output_stride"),
        ({"decoder": {"kind": "fpn"}}, "decoder"),
        ({"context": {"kind": "asp"}}, "context"),
    ],
    ids=["divide", "low", "levels", "map", "order", "stride", "neck", "unknown"],
)
def test_parts_that_do_not_fit_are_refused_by_path(fields, path):
    with pytest.raises(SpecError, match=f"^{path}: "):
        Segmenter.from_data(fields)


def test_the_space_from_a_file():
    data = {"preset": "segmenter", "blocks": 5, "stem": "imagenet", "supervision": False}
    space = Space(template(data, Architecture))
    # 4 allocations, 2 output strides; none, 3 rates, psp; 2 + 4 + 4 decoders; 3 heads.
    assert space.cardinality() == 4 * 2 * 5 * 10 * 3
    assert Space(segmenter(blocks=5)).cardinality() == 4 * 2 * 5 * 10 * 3 * 3


def test_sampled_segmenters_train_and_cost_what_torch_counts():
    space, rng = Space(segmenter(widths=(4, 4, 8, 8), width=8, edges=True)), np.random.default_rng(1)
    for _ in range(6):
        spec = space.realize(space.sample(rng))
        assert Architecture.from_json(spec.to_json()) == spec
        with torch.device("meta"):
            assert cost(spec, (3, 37, 50), 3).macs == counted_macs(spec.build((3, 37, 50), 3), 3, 37, 50)
        assert_trains(spec.build((3, 37, 50), 3), torch.randn(2, 3, 37, 50))


def test_the_picture_shows_what_works_outside_of_training():
    spec = Segmenter(aux=(1,), edges=True)
    graph = spec.draw_graph((3, 33, 65), 5)
    assert [node.name for node in graph.nodes] == ["image", "backbone", "context", "decoder", "head"]
    assert graph.edges[-1] == ("backbone", "decoder")
    assert sum(node.params for node in graph.nodes) == cost(spec, (3, 33, 65), 5).params
    assert [node.shape for node in graph.nodes[1:]] == [(512, 3, 5), (256, 3, 5), (256, 9, 17), (5, 33, 65)]
