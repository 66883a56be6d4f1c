import pytest
import torch
from torch import Tensor

from search_spaces.operators.boxes import encode
from search_spaces.recipe import BoxLoss, Ciou, Diou, Giou, Iou, SmoothL1
from trainers.tricks.boxes import similarity
from trainers.tricks.registry import implementation

WEIGHTS = (10.0, 10.0, 5.0, 5.0)
A = torch.tensor([[0, 0, 10, 10]] * 4 + [[2, 2, 8, 8]], dtype=torch.float64)
B = torch.tensor([[1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 10], [0, 0, 20, 5], [0, 0, 10, 10]], dtype=torch.float64)
H04 = {
    "iou": [0.680672, 0, 1, 0.333333, 0.36],
    "giou": [0.664143, -0.777778, 1, 0.083333, 0.36],
    "diou": [0.672408, -0.444444, 1, 0.270833, 0.36],
    "ciou": [0.672408, -0.444444, 1, 0.252987, 0.36],
}


def _loss(spec: BoxLoss, deltas: Tensor, boxes: Tensor, anchors: Tensor) -> Tensor:
    losses: Tensor = implementation(spec)(deltas, boxes, anchors, WEIGHTS)
    return losses


def test_h03_smooth_l1_is_a_parabola_that_goes_on_as_a_line() -> None:
    errors = torch.tensor([0.5, 2.0, 1 - 1e-6, 1 + 1e-6], dtype=torch.float64).requires_grad_()
    anchors = torch.tensor([[0.0, 0, 10, 10]] * 4, dtype=torch.float64)
    deltas = torch.cat([errors[:, None], torch.zeros(4, 3)], 1)
    losses = _loss(SmoothL1(), deltas, anchors, anchors)
    assert losses[:2].tolist() == pytest.approx([0.125, 1.5])
    (slopes,) = torch.autograd.grad(losses.sum(), errors)
    assert losses[2].item() == pytest.approx(losses[3].item(), abs=1e-5)
    assert slopes[2:].tolist() == pytest.approx([1, 1], abs=1e-5)
    assert _loss(SmoothL1(beta=0.25, weight=2.0), deltas, anchors, anchors)[0].item() == pytest.approx(2 * 0.375)


@pytest.mark.parametrize("spec", [Iou(), Giou(), Diou(), Ciou()])
def test_h04_losses_of_boxes_are_one_less_their_similarity(spec: BoxLoss) -> None:
    kind = spec.to_data()["kind"]
    assert similarity(A, B, kind).tolist() == pytest.approx(H04[kind], abs=1e-6)
    anchors = torch.tensor([[3.0, 2, 14, 11]] * 5, dtype=torch.float64)
    losses = _loss(spec, encode(A, anchors, WEIGHTS), B, anchors)
    assert losses.tolist() == pytest.approx([1 - value for value in H04[kind]], abs=1e-6)
    doubled = _loss(type(spec)(weight=2.0), encode(A, anchors, WEIGHTS), B, anchors)
    assert torch.equal(doubled, 2 * losses)


def test_h04_the_share_of_the_ratio_in_ciou_is_a_constant() -> None:
    a = A[3:4].clone().requires_grad_()
    (found,) = torch.autograd.grad(similarity(a, B[3:4], "ciou").sum(), a)
    (without,) = torch.autograd.grad(similarity(a, B[3:4], "diou").sum(), a)
    sides = (a[..., 2:] - a[..., :2]).detach().requires_grad_()
    v = 4 / torch.pi**2 * (torch.atan(torch.tensor(4.0)) - torch.atan(sides[0, 0] / sides[0, 1])) ** 2
    (slope,) = torch.autograd.grad(v, sides)
    alpha = (v / (1 - 1 / 3 + v)).item()
    assert (found - without)[0, 2:].tolist() == pytest.approx((-alpha * slope)[0].tolist(), rel=1e-5)


@pytest.mark.parametrize("spec", [SmoothL1(), Iou(), Giou(), Diou(), Ciou()])
def test_a_step_against_the_gradient_brings_the_box_nearer(spec: BoxLoss) -> None:
    anchors = torch.tensor([[0.0, 0, 16, 16]])
    boxes = torch.tensor([[2.0, 3, 15, 22]])
    deltas = torch.zeros(1, 4, requires_grad=True)
    loss = _loss(spec, deltas, boxes, anchors)
    (slope,) = torch.autograd.grad(loss.sum(), deltas)
    assert _loss(spec, deltas - 0.1 * slope, boxes, anchors).item() < loss.item()
    right = encode(boxes, anchors, WEIGHTS).requires_grad_()
    loss = _loss(spec, right, boxes, anchors)
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert torch.autograd.grad(loss.sum(), right)[0].isfinite().all()


@pytest.mark.parametrize("spec", [SmoothL1(), Iou(), Giou(), Diou(), Ciou()])
def test_no_boxes_cost_nothing(spec: BoxLoss) -> None:
    none = torch.zeros(0, 4, requires_grad=True)
    loss = _loss(spec, none, torch.zeros(0, 4), torch.zeros(0, 4)).sum()
    loss.backward()
    assert loss.item() == 0
