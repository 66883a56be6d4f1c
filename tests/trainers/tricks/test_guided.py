import functools
import math
from typing import Any

import pytest
import torch

from search_spaces.blocks.anchors import GridAnchors
from search_spaces.blocks.base import Feature
from search_spaces.blocks.detection import Guided
from search_spaces.recipe import GuidedLoss, IouAssignment
from trainers.determinism import Generators
from trainers.tricks.assignment import BACKGROUND, IGNORED, OBJECT, assign
from trainers.tricks.batch import Batch
from trainers.tricks.guided import bounded_iou, guided_losses, regions
from trainers.tricks.loss import sigmoid_focal
from trainers.tricks.objects import objects_of

FEATURES = (Feature(8, 4), Feature(8, 8))
SIZE = (32, 32)
# On level 0, of squares of 32 pixels, an object of 24x24; on level 1, of 64, one of 60x60 that is cut off.
BATCH = Batch(
    torch.zeros(2, 3, 32, 32),
    boxes=torch.tensor([[[4.0, 4, 28, 28]], [[0.0, 0, 60, 60]]]),
    classes=torch.tensor([[2], [0]]),
)


def _found(spec: Guided | None = None) -> dict[str, Any]:
    with Generators(0):
        module = (spec or Guided(depth=0)).build(FEATURES, 3, GridAnchors(sizes=(6.0,)))
        found: dict[str, Any] = module([torch.randn(2, 8, 8, 8), torch.randn(2, 8, 4, 4)], SIZE)
    return found


def _regions(spec: GuidedLoss, batch: Batch = BATCH) -> tuple[torch.Tensor, torch.Tensor]:
    found = _found()
    state = regions(spec, found["squares"], found["levels"], found["steps"], objects_of(batch))
    return state[:, :64].view(2, 8, 8), state[:, 64:].view(2, 4, 4)


def test_f05_the_regions_partition_the_map() -> None:
    fine, coarse = _regions(GuidedLoss(centre=0.2, ignored=0.5))
    # The middle of the first object is at 16, 16, the corner of four positions; 0.2 of 24 pixels is about a position.
    assert (fine[0, 3:5, 3:5] == OBJECT).all() and (fine[0] == OBJECT).sum() == 4
    around = fine[0, 2:6, 2:6].clone()
    around[1:3, 1:3] = IGNORED
    assert (around == IGNORED).all()  # 0.5 of 24 pixels: 6 to each side of the middle
    assert (fine[0] == BACKGROUND).sum() == 64 - 16
    # On the next level the same region does not count, and there is no middle.
    assert (coarse[0] == IGNORED).sum() == 4 and (coarse[0] == BACKGROUND).sum() == 12
    assert (coarse[1] == OBJECT).sum() == 1 and not (fine[1] == OBJECT).any()


def test_f05_a_greater_centre_holds_all_positions_of_a_smaller_one() -> None:
    before = torch.zeros(64, dtype=torch.bool)
    for share in (0.05, 0.2, 0.4, 1.0):
        now = (_regions(GuidedLoss(centre=share, ignored=1.0))[0][0] == OBJECT).flatten()
        assert (before <= now).all()
        before = now
    assert before.sum() == 36  # 24 x 24 pixels of 4 x 4
    # However small the share, one position is the middle.
    moved = Batch(
        BATCH.images, boxes=torch.tensor([[[3.0, 3, 27, 27]], [[0.0, 0, 1, 1]]]), classes=torch.tensor([[2], [-1]])
    )
    fine, coarse = _regions(GuidedLoss(centre=0.01, ignored=0.01), moved)
    assert (fine[0] == OBJECT).sum() == 1 and not (fine[1] == OBJECT).any()


def test_objects_that_do_not_count_are_no_background() -> None:
    batch = Batch(BATCH.images, boxes=BATCH.boxes, classes=BATCH.classes, weights=torch.tensor([[0.0], [1.0]]))
    fine, _ = _regions(GuidedLoss(), batch)
    assert (fine[0] == IGNORED).sum() == 36 and not (fine[0] == OBJECT).any()


def test_f05_what_sides_cost() -> None:
    gaps = torch.tensor([0.0, math.log(2), -math.log(2), 50.0])
    # Smooth L1 of 1 - min(w / w', w' / w).
    assert bounded_iou(gaps).tolist() == pytest.approx([0, 0.125, 0.125, 0.5])


def test_f05_the_losses_by_hand() -> None:
    found, spec = _found(), GuidedLoss(location=2.0, shape=3.0)
    objects = objects_of(BATCH)
    rule = IouAssignment(positive=0.7, negative=0.3)
    losses = guided_losses(spec, functools.partial(assign, rule), found, objects)
    state = regions(spec, found["squares"], found["levels"], found["steps"], objects)
    each = sigmoid_focal(found["location"], (state == OBJECT).float(), 2.0, 0.25)
    expected = each[state != IGNORED].sum() / (state == OBJECT).sum()
    assert losses["location_loss"].item() == pytest.approx(2 * expected.item(), rel=1e-5)
    best = assign(rule, found["samples"], objects.boxes, objects.counts, None, group=9)
    rows, places = (best.state == OBJECT).nonzero(as_tuple=True)
    right = torch.tensor([24.0, 60.0])[rows]
    side = found["squares"][places, 2] - found["squares"][places, 0]
    sides = side.unsqueeze(1) * found["shapes"][rows, places].exp()
    share = torch.minimum(sides / right.unsqueeze(1), right.unsqueeze(1) / sides)
    expected = ((1 - share) ** 2 / 2).sum() / len(rows)
    assert set(rows.tolist()) == {0, 1}
    assert losses["shape_loss"].item() == pytest.approx(3 * expected.item(), rel=1e-4)


def test_without_objects_every_position_is_background() -> None:
    batch = Batch(BATCH.images, boxes=BATCH.boxes, classes=torch.full((2, 1), -1))
    losses = guided_losses(GuidedLoss(), functools.partial(assign, IouAssignment()), _found(), objects_of(batch))
    assert losses["shape_loss"].item() == 0 and losses["location_loss"].item() > 0
