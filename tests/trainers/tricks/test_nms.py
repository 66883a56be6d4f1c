import pytest
import torch
from torch import Tensor

from search_spaces.operators.nms import batched_nms, nms
from search_spaces.recipe import DiouNms, HardNms, SoftNms, Suppression, WeightedNms
from trainers.determinism import Generators
from trainers.tricks.boxes import similarity
from trainers.tricks.registry import implementation

BOXES = torch.tensor([[[0.0, 0, 10, 10], [1, 1, 11, 11], [0, 0, 10, 9], [20, 20, 30, 30]]])
SCORES = torch.tensor([[0.9, 0.8, 0.7, 0.6]])
ALIKE = torch.zeros(1, 4, dtype=torch.long)
ALL = [HardNms(), SoftNms(), SoftNms(form="linear"), DiouNms(), WeightedNms()]


def _scores(spec: Suppression, boxes: Tensor = BOXES, scores: Tensor = SCORES, classes: Tensor = ALIKE) -> Tensor:
    found: Tensor = implementation(spec)(boxes, scores, classes)[1]
    return found


def _many(images: int = 3, count: int = 60) -> tuple[Tensor, Tensor, Tensor]:
    with Generators(0):
        low = torch.rand(images, count, 2) * 40
        boxes = torch.cat([low, low + 5 + torch.rand(images, count, 2) * 20], -1)
        return boxes, torch.rand(images, count), torch.randint(0, 3, (images, count))


def test_m01_soft_nms_lowers_scores() -> None:
    linear, gaussian = _scores(SoftNms(form="linear"))[0], _scores(SoftNms(form="gaussian"))[0]
    assert linear.argsort(descending=True).tolist() == gaussian.argsort(descending=True).tolist() == [0, 3, 1, 2]
    assert linear.tolist() == pytest.approx([0.9, 0.255462, 0.027288, 0.6], abs=1e-6)
    assert gaussian.tolist() == pytest.approx([0.9, 0.316709, 0.065790, 0.6], abs=1e-6)
    assert _scores(SoftNms(form="linear", floor=0.1))[0].tolist() == pytest.approx([0.9, 0.255462, 0, 0.6], abs=1e-6)
    assert _scores(SoftNms(form="linear", threshold=0.95))[0].tolist() == SCORES[0].tolist()


def test_m01_hard_nms_keeps_two_of_them() -> None:
    assert _scores(HardNms(threshold=0.5))[0].tolist() == pytest.approx([0.9, 0, 0, 0.6])


def test_m02_diou_nms_spares_what_lies_apart() -> None:
    a, b = BOXES[0, 0], BOXES[0, 1]
    iou = similarity(a, b, "iou").item()
    assert [iou, iou - similarity(a, b, "diou").item()] == pytest.approx([0.680672, 0.008264], abs=1e-6)
    two = (BOXES[:, :2], SCORES[:, :2], ALIKE[:, :2])
    assert _scores(HardNms(threshold=0.675), *two)[0].tolist() == pytest.approx([0.9, 0])
    assert _scores(DiouNms(threshold=0.675), *two)[0].tolist() == pytest.approx([0.9, 0.8])
    # The square root of the penalty, .0909, spares more.
    assert _scores(DiouNms(threshold=0.6, beta=0.5), *two)[0].tolist() == pytest.approx([0.9, 0.8])
    assert _scores(DiouNms(threshold=0.6), *two)[0].tolist() == pytest.approx([0.9, 0])


def test_m02_concentric_boxes_are_suppressed_as_by_hard_nms() -> None:
    with Generators(0):
        sides = 1 + torch.rand(1, 30, 2) * 20
        scores = torch.rand(1, 30)
    boxes = torch.cat([-sides, sides], -1)
    classes = torch.zeros(1, 30, dtype=torch.long)
    assert torch.equal(_scores(DiouNms(), boxes, scores, classes), _scores(HardNms(), boxes, scores, classes))


def test_m03_hard_nms_is_idempotent_and_that_of_the_operators() -> None:
    boxes, scores, classes = _many()
    once = _scores(HardNms(), boxes, scores, classes)
    assert 0 < (once > 0).sum() < once.numel()
    assert torch.equal(_scores(HardNms(), boxes, once, classes), once)
    for image in range(len(boxes)):
        kept = batched_nms(boxes[image], scores[image], classes[image], 0.5)
        assert sorted(kept.tolist()) == (once[image] > 0).nonzero().flatten().tolist()


def test_m03_the_offset_trick_is_nms_class_by_class() -> None:
    boxes, scores, classes = (values[0] for values in _many())
    alone = [
        places[nms(boxes[places], scores[places], 0.5)]
        for c in range(3)
        if len(places := (classes == c).nonzero()[:, 0])
    ]
    assert sorted(torch.cat(alone).tolist()) == sorted(batched_nms(boxes, scores, classes, 0.5).tolist())


def test_m04_weighted_nms_blends_the_cluster() -> None:
    boxes, scores = implementation(WeightedNms(threshold=0.3))(BOXES, SCORES, ALIKE)
    assert boxes[0, 0].tolist() == pytest.approx([0.333333, 0.333333, 10.333333, 10.041667], abs=1e-6)
    assert boxes[0, 3].tolist() == pytest.approx(BOXES[0, 3].tolist())
    assert scores[0].tolist() == pytest.approx([0.9, 0, 0, 0.6])


@pytest.mark.parametrize("spec", ALL)
def test_classes_and_images_leave_one_another_alone(spec: Suppression) -> None:
    boxes, scores, classes = _many()
    together = implementation(spec)(boxes, scores, classes)
    for image in range(3):
        one = slice(image, image + 1)
        assert torch.allclose(implementation(spec)(boxes[one], scores[one], classes[one])[0], together[0][one])
    different = torch.arange(60).expand(3, 60)
    found, kept = implementation(spec)(boxes, scores, different)
    assert torch.allclose(found, boxes, atol=1e-5) and torch.allclose(
        kept, scores * (scores >= getattr(spec, "floor", 0))
    )


@pytest.mark.parametrize("spec", ALL)
def test_padding_changes_nothing(spec: Suppression) -> None:
    boxes, scores, classes = _many()
    found, kept = implementation(spec)(boxes, scores, classes)
    padded = (torch.cat([boxes[:, :5], boxes], 1), torch.cat([torch.zeros(3, 5), scores], 1))
    again, rest = implementation(spec)(*padded, torch.cat([classes[:, :5], classes], 1))
    assert torch.equal(rest[:, 5:], kept) and not rest[:, :5].any()
    assert torch.allclose(again[:, 5:], found)
