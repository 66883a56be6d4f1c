"""The detector's spec: rules, anchors, space, cost, picture."""

import numpy as np
import pytest
import torch

from search_spaces.architectures.detector import Detector, detector
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.anchors import AnchorScheme, BlazeAnchors, GridAnchors
from search_spaces.blocks.base import Context, Feature, Gate, Neck, offered
from search_spaces.blocks.context import Psp
from search_spaces.blocks.detection import DetectionHead, OneStage, PoolingPyramid, Ssd
from search_spaces.blocks.necks import Fpn
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.spec import kinds
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
        (
            {"head": {"kind": "ssd", "extra_levels": 1}, "anchors": {"kind": "grid", "sizes": [1.0] * 4}},
            "anchors/sizes",
        ),
        ({"neck": {"kind": "fpn", "width": 30}, "context": "psp"}, "context/bins"),
        (
            {"head": {"kind": "light", "pooling": {"kind": "ps_roi_align", "width": None}}},
            "head/pooling/width",
        ),
        ({"head": {"kind": "two_stages"}}, "head"),
        ({"head": {"kind": "1x1"}}, "head"),
    ],
    ids=["levels", "sizes", "ratio", "sizes-of-extra", "context", "maps-of-cells", "unknown", "other-head"],
)
def test_parts_that_do_not_fit_are_refused_by_path(fields, path):
    with pytest.raises(SpecError, match=f"^{path}: "):
        Detector.from_data(fields)


def test_context_and_head_change_what_the_next_part_reads():
    spec = Detector(neck=Fpn(width=32), context=Psp(), head=PoolingPyramid(pooled=1), anchors=BlazeAnchors())
    assert [feature.channels for feature in spec.pyramid()] == [64] * 4
    positions = [16 * 12, 8 * 6, 4 * 3, 2 * 2, 1]
    assert len(spec.anchor_boxes((64, 48))) == 2 * sum(positions[:-1]) + 6 * positions[-1]


def test_maps_of_a_size_that_a_context_cannot_take_are_refused_before_anything_is_built():
    class Even(Context):  # without a kind, so that nobody finds it
        size_multiple = 2

        def outputs(self, inputs):
            return inputs

        def build(self, inputs):
            return torch.nn.Identity()

    even = Detector(neck=Fpn(skip=1), context=Even())
    with pytest.raises(SpecError, match=r"^context: height and width of the maps are multiples of 2; got \[3, 3\]"):
        even.build((3, 96, 96), 4)
    even.build((3, 128, 128), 4)


def test_the_space_from_a_file():
    space = Space(template({"preset": "detector", "blocks": 5}, Architecture))
    dense = 4 * 2 + 2 * 2 + 1 + 3 * 2 + 3
    pooling = 2 * 2 * 2 + 2 + 2 * 2 * 2
    first = 3
    gates = 1 + len(offered(Gate, 64))
    assert gates == 4
    regions = first * pooling + 2 * 2 * gates * 2 + first * pooling * 3 + first * pooling * 3 * 2
    anchors = 3 * 3 * 2 + 2 + 3 + 2 + 2
    contexts = 1 + len(offered(Context, 64))
    assert contexts > 15
    # 4 allocations, 8 + 3 necks, contexts, heads, anchors.
    assert space.cardinality() == 4 * (8 + 3) * contexts * (dense + regions) * anchors


def test_the_space_offers_every_neck_context_head_and_scheme():
    space, rng = Space(detector(widths=(4, 4, 8, 8), width=64, hidden=8, proposals=4)), np.random.default_rng(0)
    found = {}
    for point in space.points():
        if point.path in ("neck", "context", "head", "anchors"):
            found[point.path] = set(point.domain.labels)
    assert found["neck"] == set(kinds(Neck))
    assert found["context"] == {"null", *(block.kind for block in offered(Context, 64))}
    assert found["head"] == set(kinds(DetectionHead)) - {"rpn", "light_rpn"}
    assert found["anchors"] == set(kinds(AnchorScheme))
    assert len({space.sample(rng) for _ in range(20)}) > 15


@pytest.mark.parametrize("label", sorted(set(kinds(DetectionHead)) - {"rpn", "light_rpn"}))
def test_sampled_detectors_cost_what_torch_counts(label):
    space, rng = Space(detector(widths=(4, 4, 8, 8), width=8, hidden=8, proposals=4)), np.random.default_rng(0)
    drawn = (space.sample(rng) for _ in range(400))
    spec = space.realize(next(candidate for candidate in drawn if candidate["head"] == label))
    assert Architecture.from_json(spec.to_json()) == spec
    with torch.device("meta"):
        network = spec.build((3, 45, 61), 3)
    found = cost(spec, (3, 45, 61), 3)
    assert found.macs == counted_macs(network, 3, 45, 61)
    assert found.params == sum(p.numel() for p in network.parameters())


def test_the_picture():
    spec = Detector(neck=Fpn(skip=2), context="se", anchors=GridAnchors(scales=(1.0,)))
    graph = spec.draw_graph((3, 64, 48), 5)
    assert [node.name for node in graph.nodes] == ["image", "backbone", "neck", "context", "head"]
    assert graph.nodes[-1].label == f"head: one_stage, {3 * (4 * 3 + 2 * 2)} anchors"
    assert graph.nodes[3].label == "context: se, 2 maps"
    assert sum(node.params for node in graph.nodes) == cost(spec, (3, 64, 48), 5).params


def test_f03_levels_of_an_ssd_stand_behind_the_pyramid():
    spec = Detector(head=Ssd(extra_levels=2))
    assert spec.head.levels(spec.pyramid())[-2:] == (Feature(256, 64), Feature(256, 128))
    graph = spec.draw_graph((3, 64, 64), 5)
    assert graph.nodes[-1].label == f"head: ssd, {9 * (256 + 64 + 16 + 4 + 1 + 1)} anchors"
