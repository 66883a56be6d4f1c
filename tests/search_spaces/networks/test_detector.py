"""The detector's network: outputs, training of all stages, export, names."""

import itertools

import pytest
import torch
from torch import nn

from search_spaces.architectures.detector import Detector
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.anchors import GridAnchors
from search_spaces.blocks.attention import SqueezeExcitation
from search_spaces.blocks.cascade import Cascade, CascadeHead, HybridCascade, Light, TwoStage
from search_spaces.blocks.detection import Guided, LightRpn, OneStage, PoolingPyramid, Rpn, Ssd, Yolo
from search_spaces.blocks.necks import Fpn
from search_spaces.blocks.regions import DeformableRoi, PsRoiAlign, RoiAlign
from search_spaces.build import classifier_of
from tests.search_spaces.networks.checks import assert_exports, assert_trains, total

TINY = Resnet(depths=(1, 1, 1), widths=(4, 6, 8))
ANCHORS = GridAnchors(scales=(1.0,))
REGIONS = {"candidates": 30, "proposals": 8, "hidden": 16}
ALIGN = RoiAlign(size=3, sampling=1)
TWO_STAGE = TwoStage(**REGIONS, pooling=RoiAlign(size=3))
HYBRID = HybridCascade(**REGIONS, pooling=ALIGN, semantic_depth=1)
MASKED = HybridCascade(**REGIONS, pooling=ALIGN, stages=2, masks=True, mask_depth=1, mask_width=6, mask_size=4)
SIZE = (37, 50)
POSITIONS = 10 * 13 + 5 * 7 + 3 * 4
HEADS = {
    "one_stage": OneStage(depth=1),
    "ssd": Ssd(extra_levels=1, extra_width=8),
    "yolo": Yolo(hidden=8),
    "guided": Guided(),
    "pooling_pyramid": PoolingPyramid(hidden=8),
    "two_stage": TWO_STAGE,
    "two_stage-guided": TwoStage(**REGIONS, rpn=Guided(depth=0), pooling=DeformableRoi(size=3)),
    "light": Light(**REGIONS | {"rpn": LightRpn(width=8)}, pooling=PsRoiAlign(size=3)),
    "cascade": Cascade(**REGIONS, pooling=ALIGN),
    "hybrid_cascade": HYBRID,
    "hybrid_cascade-masks": MASKED,
}
EXPORTED = ("one_stage", "yolo", "guided", "light")  # the others take long
each_head = pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)


def _detector(head, context=None, **neck) -> Detector:
    return Detector(backbone=TINY, neck=Fpn(width=8, **neck), context=context, head=head, anchors=ANCHORS)


def _later(network, found) -> torch.Tensor:
    """The sum of what the stages behind the proposals say."""
    sums = [torch.zeros(())]
    for stage in range(len(network.head.stages) if "proposals" in found else 0):
        logits, deltas, _ = network.head.look(found, found["proposals"][:, :5], stage)
        sums.append(total((logits, deltas)))
    if getattr(network.head, "masks", None) is not None:
        sums += [total(network.head.mask_logits(found, found["proposals"][:, :5], stage)) for stage in range(2)]
    return sum(sums)


@pytest.mark.parametrize(("fusion", "norm"), list(itertools.product(("add", "concat"), ("none", "group"))))
def test_one_stage_trains(fusion, norm):
    spec = _detector(OneStage(depth=1, norm=norm), fusion=fusion)
    network, x = spec.build((3, *SIZE), 4), torch.randn(2, 3, *SIZE)
    assert_trains(network, x)
    found = network(x)
    levels = [f"features/neck{i}" for i in range(3)]
    assert sorted(found) == ["features/backbone", *levels, "out", "starts"]
    assert [tensor.shape for tensor in found["out"]] == [(2, 3 * POSITIONS, 4)] * 2
    assert torch.equal(found["starts"], spec.anchor_boxes(SIZE))
    assert [tensor.shape for tensor in network.eval()(x)] == [(2, 3 * POSITIONS, 4)] * 2


@each_head
def test_every_head_trains(head):
    network, x = _detector(head).build((3, *SIZE), 4), torch.randn(2, 3, *SIZE)
    assert_trains(network, x, lambda found: _later(network, found))


@pytest.mark.parametrize("name", EXPORTED)
def test_it_can_be_exported(name):
    assert_exports(_detector(HEADS[name]).build((3, *SIZE), 4), torch.randn(2, 3, *SIZE))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("head", [HEADS[name] for name in HEADS if name not in EXPORTED], ids=lambda h: h.kind)
def test_every_head_can_be_exported(head):
    assert_exports(_detector(head).build((3, *SIZE), 4), torch.randn(2, 3, *SIZE))


def test_two_stages_train_together():
    spec = _detector(TWO_STAGE, extra_levels=1)
    network, x = spec.build((3, *SIZE), 4), torch.randn(2, 3, *SIZE)
    assert_trains(network, x, lambda found: _later(network, found))
    found = network(x)
    anchors = 3 * (POSITIONS + 2 * 2)
    assert [tensor.shape for tensor in found["out"]] == [(2, anchors, 1), (2, anchors, 4)]
    assert found["proposals"].shape == (2, 8, 4) and not found["proposals"].requires_grad
    assert [x.shape[2:] for x in found["pyramid"]] == [(10, 13), (5, 7), (3, 4), (2, 2)]
    assert len(spec.anchor_boxes(SIZE)) == anchors


def test_the_eval_output_of_two_stages_is_the_second_one_of_the_proposals():
    network, x = _detector(TWO_STAGE).build((3, *SIZE), 4).eval(), torch.randn(2, 3, *SIZE)
    proposals, logits, deltas = network(x)
    assert (proposals.shape, logits.shape, deltas.shape) == ((2, 8, 4), (2, 8, 5), (2, 8, 4))
    again = network.head.look({"pyramid": network.neck(network.backbone(x))}, proposals)
    assert torch.equal(again.logits, logits) and torch.equal(again.deltas, deltas)
    alone = network(x[:1])
    assert torch.allclose(alone[0], proposals[:1], atol=1e-4) and torch.allclose(alone[1], logits[:1], atol=1e-5)


def test_every_map_goes_through_a_context_of_its_own():
    network = _detector(OneStage(depth=0), SqueezeExcitation(reduction=2)).build((3, *SIZE), 4)
    x = torch.randn(2, 3, *SIZE)
    assert_trains(network, x)
    found = network(x)
    maps = network.neck(network.backbone(x))
    for i, (context, plain) in enumerate(zip(network.context, maps, strict=True)):
        assert torch.equal(found[f"features/neck{i}"], context(plain))
    assert len(network.context) == 3


def test_names_of_weights():
    one = set(_detector(OneStage(depth=1)).build((3, 32, 32), 4).state_dict())
    assert {name.partition(".")[0] for name in one} == {"backbone", "neck", "head"}
    assert {n for n in one if n.startswith("head")} == {
        f"head.{layer}.{part}"
        for layer in ("class_tower.0", "class_tower.1", "classes", "box_tower.0", "box_tower.1", "boxes")
        for part in (("weight",) if layer.endswith("tower.0") else ("weight", "bias"))
    }
    two = set(_detector(TWO_STAGE).build((3, 32, 32), 4).state_dict())
    stage = [f"stages.0.{name}" for name in ("fc.0", "fc.1", "classes", "boxes")]
    assert {n for n in two if n.startswith("head")} == {
        f"head.{layer}.{part}"
        for layer in ("rpn.conv", "rpn.objectness", "rpn.deltas", *stage)
        for part in ("weight", "bias")
    }


@pytest.mark.parametrize("head", [*HEADS.values(), Rpn(), LightRpn(width=8)], ids=[*HEADS, "rpn", "light_rpn"])
def test_the_classifier_is_what_scores_the_classes_of_the_last_stage(head):
    spec = Detector(backbone=TINY, neck=Fpn(width=8), head=head, anchors=ANCHORS)
    network, images = spec.build((3, *SIZE), 3).train(), torch.randn(2, 3, *SIZE)
    layer = classifier_of(network)
    layers = list(layer) if isinstance(layer, nn.ModuleList) else [layer]
    before = network.answer(network(images)).logits
    with torch.no_grad():
        for one in layers:
            one.weight.zero_()
            one.bias.fill_(7.0)
    after = network.answer(network(images)).logits
    assert not torch.equal(before, after)
    # The scores of a cascade are the mean of those of its stages.
    assert isinstance(head, CascadeHead) or (after == 7).all()
