"""The detector's spec: rules, anchors, space, cost, picture."""

import numpy as np
import pytest
import torch

from search_spaces.architectures.detector import Detector, detector
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.heads import GridAnchors, OneStage, TwoStage
from search_spaces.blocks.necks import Fpn
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.template import template
from tests.search_spaces.networks.checks import counted_macs

RETINANET = Detector(
    backbone=Resnet(depths=(3, 4, 6, 3), block="bottleneck"),
    neck=Fpn(skip=1, extra_levels=2),
    head=OneStage(norm="none"),
)


def test_parameters_of_the_one_stage_paper():
    found = cost(RETINANET, (3, 64, 64), 80)
    neck = (512 + 1024 + 2048) * 256 + 3 * 256 + 5 * (9 * 256 * 256 + 256)
    head = 8 * (9 * 256 * 256 + 256) + 9 * 256 * (9 * 84) + 9 * 84
    assert found.params == 23_508_032 + neck + head


def test_anchors_depend_on_the_image_alone():
    boxes = RETINANET.anchor_boxes((100, 130))
    positions = sum(-(-100 // s) * -(-130 // s) for s in (8, 16, 32, 64, 128))
    assert boxes.shape == (9 * positions, 4)
    assert torch.equal(boxes, RETINANET.anchor_boxes([100, 130], "cpu"))
    sides = boxes[:, 2:] - boxes[:, :2]
    assert sides.prod(1).sqrt().min().item() == pytest.approx(32)
    assert sides.prod(1).sqrt().max().item() == pytest.approx(512 * 2 ** (2 / 3), rel=1e-5)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"neck": {"kind": "fpn", "skip": 4}}, "neck"),
        ({"anchors": {"kind": "grid", "sizes": [1.0, 2.0]}}, "anchors/sizes"),
        ({"anchors": {"kind": "grid", "ratios": [0.0]}}, "anchors/ratios/0"),
        ({"head": {"kind": "two_stages"}}, "head"),
        ({"head": {"kind": "1x1"}}, "head"),
    ],
    ids=["levels", "sizes", "ratio", "unknown", "other-head"],
)
def test_parts_that_do_not_fit_are_refused_by_path(fields, path):
    with pytest.raises(SpecError, match=f"^{path}: "):
        Detector.from_data(fields)


def test_the_space_from_a_file():
    space = Space(template({"preset": "detector", "blocks": 5}, Architecture))
    # 4 allocations, 8 necks, 8 + 4 heads, 18 schemes of anchors.
    assert space.cardinality() == 4 * 8 * 12 * 18


def test_sampled_detectors_cost_what_torch_counts():
    space, rng = Space(detector(widths=(4, 4, 8, 8), width=8, hidden=8, proposals=4)), np.random.default_rng(0)
    heads = set()
    for _ in range(8):
        spec = space.realize(space.sample(rng))
        heads.add(type(spec.head))
        assert Architecture.from_json(spec.to_json()) == spec
        with torch.device("meta"):
            network = spec.build((3, 45, 61), 3)
        found = cost(spec, (3, 45, 61), 3)
        assert found.macs == counted_macs(network, 3, 45, 61)
        assert found.params == sum(p.numel() for p in network.parameters())
    assert heads == {OneStage, TwoStage}


def test_the_picture():
    spec = Detector(neck=Fpn(skip=2), anchors=GridAnchors(scales=(1.0,)))
    graph = spec.draw_graph((3, 64, 48), 5)
    assert [node.name for node in graph.nodes] == ["image", "backbone", "neck", "head"]
    assert graph.nodes[-1].label == f"head: one_stage, {3 * (4 * 3 + 2 * 2)} anchors"
    assert sum(node.params for node in graph.nodes) == cost(spec, (3, 64, 48), 5).params
