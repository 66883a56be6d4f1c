"""What every detection head, region pooling and anchor scheme keeps: shapes, cost, gradients, layouts, refusals."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.blocks.anchors import AnchorScheme, BlazeAnchors, GridAnchors
from search_spaces.blocks.base import Feature, Pyramid
from search_spaces.blocks.cascade import RegionHead
from search_spaces.blocks.detection import DetectionHead
from search_spaces.blocks.regions import RegionPooling
from search_spaces.errors import SpecError
from search_spaces.operators.boxes import anchor_boxes
from search_spaces.spec import kinds

CLASSES = 3
INPUTS = (Feature(16, 8), Feature(16, 16), Feature(16, 32))
SIZES = [(64, 64), (96, 72)]
SMALL = {
    "candidates": 40,
    "proposals": 6,
    "hidden": 12,
    "semantic_depth": 1,
    "pooling": {"kind": "roi_align", "size": 3},
}
BOXES = torch.tensor([[[2.0, 3, 40, 30], [0, 0, 60, 60], [30, 8, 50, 28]]]).expand(2, -1, -1)
each_head = pytest.mark.parametrize("kind", kinds(DetectionHead))
each_pooling = pytest.mark.parametrize("kind", kinds(RegionPooling))
each_scheme = pytest.mark.parametrize("kind", kinds(AnchorScheme))


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def head_of(kind: str) -> DetectionHead:
    """The head of a kind, small where it can be."""
    own = kinds(DetectionHead)[kind].model_fields
    fields = {name: value for name, value in SMALL.items() if name in own and (kind, name) != ("light", "pooling")}
    return DetectionHead.from_data({"kind": kind, **fields})


def _maps(size: tuple[int, int], inputs: Pyramid = INPUTS) -> list[Tensor]:
    return [torch.randn(2, *feature.shape(size)) for feature in inputs]


def _looked(module: Any, found: dict[str, Any]) -> list[Tensor]:
    """All that learns of what a head says."""
    if "proposals" not in found:
        later = []
    else:
        later = [x for i in range(len(module.stages)) for x in module.look(found, found["proposals"], i)[:2]]
    named = [found[name] for name in ("location", "shapes", "semantic") if name in found]
    return [*found["out"], *named, *later]


@each_head
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("scheme", [GridAnchors(), BlazeAnchors()], ids=lambda scheme: scheme.kind)
def test_a_head_says_what_its_readings_announce(kind: str, size: tuple[int, int], scheme: AnchorScheme) -> None:
    head = head_of(kind)
    module: Any = head.build(INPUTS, CLASSES, scheme).eval()
    first, last = head.readings()[0], head.readings()[-1]
    with torch.no_grad():
        found = module(_maps(size), size)
        final = module.final(found)
    strides = tuple(feature.stride for feature in head.levels(INPUTS))
    each = (1,) * len(strides) if "location" in found else scheme.counts(strides)
    count = sum(n * -(-size[0] // s) * -(-size[1] // s) for n, s in zip(each, strides, strict=True))
    classes = 1 if isinstance(head, RegionHead) else CLASSES
    assert [x.shape for x in found["out"]] == [(2, count, first.logits(classes)), (2, count, 4)]
    assert found["starts"].shape[-2:] == (count, 4) and found["starts"].dtype == torch.float32
    boxes = final[-1].shape[1]
    assert [x.shape[1:] for x in final[-2:]] == [(boxes, last.logits(CLASSES)), (boxes, 4)]
    # Where the network says where boxes start, it returns them.
    assert len(final) == 2 + module.predicted and (not module.predicted or final[0].shape == (2, boxes, 4))


@each_head
def test_the_cost_of_a_head_is_what_torch_counts(kind: str) -> None:
    head = head_of(kind)
    found = head.cost(16, (64, 64))
    one = GridAnchors(scales=(1.0,), ratios=(1.0,))
    module: Any = head.build(INPUTS, 10, one).eval()
    assert found is not None and found.params == sum(p.numel() for p in module.parameters())
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.final(module([x[:1] for x in _maps((64, 64))], (64, 64)))
    assert found.macs == counter.get_total_flops() // 2


@each_head
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
def test_gradients_reach_every_parameter_of_a_head(kind: str, bf16: bool) -> None:
    module: Any = head_of(kind).build(INPUTS, CLASSES, GridAnchors(scales=(1.0,))).train()
    maps = [x.requires_grad_() for x in _maps((64, 64))]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        outputs = _looked(module, module(maps, (64, 64)))
        loss = sum(((x.float() * torch.randn(x.shape)).sum() for x in outputs), start=torch.zeros(()))
    loss.backward()
    wrong = [n for n, p in module.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert wrong == []
    assert all(x.grad is not None and bool(x.grad.isfinite().all()) for x in maps)


@each_head
def test_a_head_lives_in_its_state_and_takes_any_layout(kind: str) -> None:
    head, maps = head_of(kind), _maps((64, 64))
    first: Any = head.build(INPUTS, CLASSES, GridAnchors())
    other: Any = head.build(INPUTS, CLASSES, GridAnchors())
    with torch.no_grad():
        first.train()(maps, (64, 64))  # moves running figures
        other.load_state_dict(first.state_dict())
        mine, theirs = (module.eval().final(module(maps, (64, 64))) for module in (first, other))
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
        last = other.to(memory_format=torch.channels_last)
        found = last.final(last([x.contiguous(memory_format=torch.channels_last) for x in maps], (64, 64)))
    assert all(torch.allclose(a, b, atol=1e-3, rtol=1e-4) for a, b in zip(mine, found, strict=True))


@each_head
def test_a_head_is_written_down_and_takes_odd_places_or_refuses_them(kind: str) -> None:
    head = head_of(kind)
    assert DetectionHead.from_json(head.to_json()) == head == DetectionHead.from_yaml(head.to_yaml())
    for channels in (1, 3, 10):
        for inputs in ((Feature(channels, 16),), (Feature(channels, 4), Feature(channels + 1, 8))):
            try:
                module: Any = head.build(inputs, CLASSES, GridAnchors()).eval()
            except SpecError as error:
                assert error.rule and len(inputs) == 2
                continue
            with torch.no_grad():
                found = module.final(module(_maps((40, 56), inputs), (40, 56)))
            assert all(bool(x.isfinite().all()) for x in found)


@each_pooling
def test_region_pooling_keeps_its_word(kind: str) -> None:
    pooling = RegionPooling.from_data({"kind": kind, "size": 3})
    assert RegionPooling.from_json(pooling.to_json()) == pooling
    maps, module = _maps((64, 64)), pooling.build(INPUTS)
    shape = (2, 3, pooling.channels(INPUTS), 3, 3)
    assert module(maps, BOXES).shape == shape
    with torch.device("meta"):
        assert pooling.build(INPUTS)([x.to("meta") for x in maps], BOXES.to("meta")).shape == shape
    found = pooling.cost(16)
    assert found is not None and found.params == sum(p.numel() for p in module.parameters())
    last = module.to(memory_format=torch.channels_last)
    laid = [x.contiguous(memory_format=torch.channels_last) for x in maps]
    assert torch.allclose(last(laid, BOXES), module(maps, BOXES), atol=1e-5)
    maps = [x.requires_grad_() for x in maps]
    with torch.autocast("cpu", torch.bfloat16):
        (module(maps, BOXES).float() * torch.randn(shape)).sum().backward()
    assert all(bool(x.grad.isfinite().all()) for x in (*maps, *module.parameters()) if x.grad is not None)
    assert maps[0].grad is not None and all(p.grad is not None for p in module.parameters())


@each_pooling
def test_region_pooling_is_exported(kind: str) -> None:
    module, maps = RegionPooling.from_data({"kind": kind, "size": 3}).build(INPUTS).eval(), _maps((64, 64))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        found = torch.export.export(module, (maps, BOXES)).module()(maps, BOXES)
        assert torch.allclose(found, module(maps, BOXES), atol=1e-5)


@each_scheme
def test_a_scheme_has_as_many_anchors_for_any_image(kind: str) -> None:
    scheme = AnchorScheme.from_data({"kind": kind})
    assert AnchorScheme.from_json(scheme.to_json()) == scheme
    for strides in ((8,), (4, 8, 16), (16, 16, 32)):
        for size in SIZES:
            shapes = scheme.shapes(strides, size)
            assert tuple(map(len, shapes)) == scheme.counts(strides)
            boxes = anchor_boxes(size, strides, shapes)
            assert bool((boxes[:, 2:] > boxes[:, :2]).all())
            # The middles of all anchors of a position lie, in the mean, at its centre.
            first = boxes[: scheme.counts(strides)[0]]
            assert torch.allclose((first[:, :2] + first[:, 2:]).mean(0) / 2, torch.full((2,), strides[0] / 2))


def test_every_part_names_its_source() -> None:
    parts: list[Callable[..., object]] = [
        spec for base in (DetectionHead, RegionPooling, AnchorScheme) for spec in kinds(base).values()
    ]
    assert len(parts) >= 19 and all("Paper:" in (part.__doc__ or "") for part in parts)
