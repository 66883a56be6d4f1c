"""The object relation module, against its sums over pairs of boxes."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.blocks.relation import ObjectRelation
from search_spaces.cost import part_cost
from search_spaces.networks.relation import ObjectRelationModule, relative_geometry

BLOCK = ObjectRelation(relations=4, key=8)


def _module() -> ObjectRelationModule:
    module = BLOCK.build(16)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def _boxes(count: int, images: int = 2) -> Tensor:
    low = 200 * torch.rand(images, count, 2)
    return torch.cat([low, low + 10 + 90 * torch.rand(images, count, 2)], dim=2)


def test_c23_a_single_box_gets_a_linear_function_of_itself() -> None:
    module = _module()
    nn.init.ones_(module.geometry.weight[:, 1::2])  # of the cosines, at least of the equal sizes 1: above zero
    features, boxes = torch.randn(2, 1, 16), _boxes(1)
    assert torch.allclose(module(features, boxes), features + module.value(features), atol=1e-6)


def test_relations_are_those_of_the_paper() -> None:
    module = _module()
    features, boxes = torch.randn(1, 5, 16), _boxes(5, images=1)
    f, b = features[0], boxes[0]
    x, y, w, h = (b[:, 0] + b[:, 2]) / 2, (b[:, 1] + b[:, 3]) / 2, b[:, 2] - b[:, 0], b[:, 3] - b[:, 1]
    parts = []
    for r in range(4):
        rows = slice(8 * r, 8 * r + 8)
        for n in range(5):
            weights = []
            for m in range(5):
                lies = torch.stack(
                    [
                        ((x[m] - x[n]).abs() / w[m]).clamp(min=1e-3).log(),
                        ((y[m] - y[n]).abs() / h[m]).clamp(min=1e-3).log(),
                        (w[n] / w[m]).log(),
                        (h[n] / h[m]).log(),
                    ]
                )
                angles = 100 * lies[:, None] / 1000 ** (torch.arange(8) / 8)
                embedded = torch.stack([angles.sin(), angles.cos()], 2).flatten()
                geometric = (module.geometry.weight[r] @ embedded).clamp(min=1e-6)
                like = (module.key.weight[rows] @ f[m]) @ (module.query.weight[rows] @ f[n]) / 8**0.5
                weights.append(geometric * like.exp())
            total = torch.stack(weights) / torch.stack(weights).sum()
            parts.append(total @ (f @ module.value.weight[4 * r : 4 * r + 4].T))
    expected = f + torch.stack(parts).unflatten(0, (4, 5)).permute(1, 0, 2).flatten(1)
    assert torch.allclose(module(features, boxes)[0], expected, atol=1e-3)


def test_c23_geometry_does_not_change_when_all_boxes_move_or_grow() -> None:
    boxes = _boxes(6)
    found = relative_geometry(boxes)
    assert found.shape == (2, 6, 6, 4)
    moved = boxes + torch.tensor([30.0, -20.0, 30.0, -20.0])
    assert torch.allclose(relative_geometry(moved), found, atol=1e-3)
    assert torch.allclose(relative_geometry(4 * boxes), found, atol=1e-4)
    assert torch.allclose(found[..., 2:], -found[..., 2:].transpose(1, 2), atol=1e-5)


def test_an_empty_box_lies_as_one_of_a_pixel() -> None:
    boxes = _boxes(6)
    boxes[0, 2, 2:] = boxes[0, 2, :2]
    found = relative_geometry(boxes)
    assert bool(found.isfinite().all())
    boxes[0, 2] += torch.tensor([-0.5, -0.5, 0.5, 0.5])
    assert torch.allclose(relative_geometry(boxes), found, atol=1e-5)


def test_boxes_without_geometric_weight_are_read_by_likeness_alone() -> None:
    module = _module()
    nn.init.zeros_(module.geometry.weight)
    features, boxes = torch.randn(2, 5, 16), _boxes(5)
    query, key, value = (module.heads(layer(features)) for layer in (module.query, module.key, module.value))
    weights = (query @ key.transpose(2, 3) / 8**0.5).softmax(3)
    expected = features + (weights @ value).transpose(1, 2).flatten(2)
    assert torch.allclose(module(features, boxes), expected, atol=1e-5)


@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
def test_gradients_reach_every_parameter(bf16: bool) -> None:
    module, features = _module(), torch.randn(2, 5, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = module(features, _boxes(5))
    (out.float() * torch.randn(2, 5, 16)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in module.parameters())
    assert features.grad is not None and features.grad.isfinite().all()


def test_cost_and_export() -> None:
    module, features, boxes = _module().eval(), torch.randn(1, 5, 16), _boxes(5, images=1)
    predicted = part_cost(lambda: BLOCK.build(16), "regions", [(5, 16), (5, 4)])
    assert predicted.params == 2 * 16 * 32 + 16 * 16 + 64 * 4
    with torch.no_grad(), warnings.catch_warnings(), FlopCounterMode(display=False) as counter:
        warnings.simplefilter("ignore")
        module.to("meta")(features.to("meta"), boxes.to("meta"))
    assert predicted.macs == counter.get_total_flops() // 2
    assert predicted.macs == 5 * (2 * 16 * 32 + 16 * 16) + 25 * 64 * 4 + 25 * (32 + 16)


def test_it_exports() -> None:
    module, given = _module().eval(), (torch.randn(2, 5, 16), _boxes(5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(module, given).module()
    assert torch.equal(exported(*given), module(*given))
