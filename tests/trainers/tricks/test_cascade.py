import math

import pytest
import torch

from search_spaces.recipe import CascadeLoss
from trainers.tricks.assignment import OBJECT, Assigned
from trainers.tricks.batch import Batch
from trainers.tricks.cascade import (
    IGNORE_LABEL,
    labels_of_boxes,
    labels_of_instances,
    mask_loss,
    semantic_loss,
    stage_plan,
)
from trainers.tricks.objects import objects_of

BATCH = Batch(
    torch.zeros(2, 3, 8, 8),
    boxes=torch.tensor([[[0.0, 0, 8, 8], [2, 2, 6, 6], [0, 0, 2, 2]], [[0, 0, 0, 0], [4, 0, 8, 4], [0, 0, 0, 0]]]),
    classes=torch.tensor([[1, 0, 2], [-1, 2, -1]]),
    weights=torch.tensor([[1.0, 1, 0], [1, 1, 1]]),
)
INSTANCES = torch.zeros(2, 8, 8, dtype=torch.int64)
INSTANCES[0, 2:6, 2:6], INSTANCES[0, :2, :2] = 2, 3
INSTANCES[1, :4, 4:6] = 2  # half of its box


def test_f10_stages_want_more_and_weigh_less() -> None:
    plans = [stage_plan(CascadeLoss(), stage) for stage in range(3)]
    assert [0.5 + plan.raised for plan in plans] == pytest.approx([0.5, 0.6, 0.7])
    assert [plan.weight for plan in plans] == [1, 0.5, 0.25]


def test_f11_a_pixel_shows_the_class_of_its_object() -> None:
    found = labels_of_instances(objects_of(BATCH), INSTANCES, (4, 4), 3)
    assert found[0].tolist() == [[IGNORE_LABEL, 3, 3, 3], [3, 0, 0, 3], [3, 0, 0, 3], [3, 3, 3, 3]]
    assert found[1].tolist() == [[3, 3, 2, 3], [3, 3, 2, 3], [3, 3, 3, 3], [3, 3, 3, 3]]


def test_f11_where_nobody_knows_that_of_the_smallest_box_around_it() -> None:
    found = labels_of_boxes(objects_of(BATCH), (4, 4), (8, 8), 3)
    assert found[0].tolist() == [[IGNORE_LABEL, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    assert found[1].tolist() == [[3, 3, 2, 2], [3, 3, 2, 2], [3, 3, 3, 3], [3, 3, 3, 3]]


def test_f11_pixels_of_objects_that_do_not_count_cost_nothing() -> None:
    objects = objects_of(BATCH)
    logits = torch.zeros(2, 4, 4, 4)
    assert semantic_loss(logits, objects, BATCH).item() == pytest.approx(math.log(4))
    logits[0, :, 0, 0] = torch.tensor([99.0, 0, 0, 0])  # its pixel is ignored
    assert semantic_loss(logits, objects, BATCH).item() == pytest.approx(math.log(4))
    logits[0, :, 3, 3] = torch.tensor([0.0, 99, 0, 0])
    # By its boxes this pixel is of class 1.
    assert semantic_loss(logits, objects, BATCH).item() == pytest.approx(math.log(4) * 30 / 31)
    known = Batch(BATCH.images, BATCH.labels, boxes=BATCH.boxes, classes=BATCH.classes, instances=INSTANCES)
    assert semantic_loss(logits, objects, known).item() > 3


def test_f11_masks_cost_what_they_miss_of_the_object_within_their_box() -> None:
    objects = objects_of(BATCH)
    boxes = torch.tensor([[[0.0, 0, 8, 8], [2, 2, 6, 6]], [[4, 0, 8, 4], [0, 0, 8, 8]]])
    assigned = Assigned(torch.full((2, 2), OBJECT), torch.tensor([[1, 1], [1, 1]]))
    chosen = objects.chosen(assigned, torch.tensor([[True, True], [True, False]]))
    seen: list[torch.Tensor] = []

    def right(given: torch.Tensor) -> torch.Tensor:
        seen.append(given)
        logits = torch.full((2, 2, 3, 4, 4), -9.0)
        logits[0, 0, 0, 1:3, 1:3] = 9.0  # the object in the whole image
        logits[0, 1, 0] = 9.0  # and in its box
        logits[1, 0, 2, :, :2] = 9.0  # the left half of its box
        return logits

    assert mask_loss(right, boxes, chosen, objects, INSTANCES).item() == pytest.approx(0, abs=2e-4)
    assert torch.equal(seen[0][0], boxes[0]) and torch.equal(seen[0][1, 0], boxes[1, 0])
    wrong = mask_loss(lambda given: right(given).flip(-1), boxes, chosen, objects, INSTANCES).item()
    assert wrong == pytest.approx(9 / 3, rel=1e-3)  # all pixels of one of three masks are wrong
    nothing = chosen._replace(**{name: part[:0] for name, part in chosen._asdict().items()})
    assert mask_loss(right, boxes, nothing, objects, INSTANCES).item() == 0 and len(seen) == 2
