import pytest
import torch

from tests.trainers.tricks.batches import extents, one_box, scenes
from trainers.data.pictures import IGNORE
from trainers.tricks.warp import affine, area, clipped, move_boxes, turn, warp, window


def _shift(x: float, y: float, scale: float = 1.0) -> torch.Tensor:
    scale_, x_, y_ = (torch.tensor([value]) for value in (scale, x, y))
    return affine(scale_, scale_, x_, y_)


def test_images_masks_instances_and_boxes_move_together() -> None:
    moved = warp(one_box((1, 2, 4, 6)), _shift(3.0, 1.0))
    assert moved.boxes is not None and moved.masks is not None and moved.instances is not None
    assert moved.boxes[0, 0].tolist() == [4, 3, 7, 7]
    assert torch.equal(extents(moved)[0], moved.boxes[0, 0])
    assert moved.masks[0, 1:, 3:].tolist() == (moved.instances[0, 1:, 3:] * 3).tolist()
    # What came from outside has no class.
    assert (moved.masks[0, 0] == IGNORE).all() and (moved.masks[0, :, :3] == IGNORE).all()
    assert (moved.instances[0, 0] == 0).all()


def test_the_identity_leaves_things_where_they_are() -> None:
    batch = scenes(8)
    moved = warp(batch, torch.eye(3).repeat(8, 1, 1))
    assert torch.allclose(moved.images, batch.images, atol=1e-5)
    assert torch.equal(moved.masks, batch.masks)  # type: ignore[arg-type]
    assert torch.equal(moved.instances, batch.instances)  # type: ignore[arg-type]
    assert torch.equal(moved.boxes, batch.boxes)  # type: ignore[arg-type]
    assert torch.equal(moved.classes, batch.classes)  # type: ignore[arg-type]


def test_a_window_fills_the_image() -> None:
    left, top, wide, high = (torch.tensor([value]) for value in (2.0, 4.0, 4.0, 2.0))
    moved = warp(one_box((2, 4, 6, 6)), window(left, top, wide, high, 8, 8), border=True)
    assert moved.boxes is not None and moved.boxes[0, 0].tolist() == [0, 0, 8, 8]
    assert moved.images.min().item() > 0.4


def test_boxes_surround_their_turned_corners() -> None:
    boxes = torch.tensor([[[2.0, 3.0, 4.0, 5.0]]])
    found = move_boxes(boxes, turn(torch.tensor([45.0]), torch.tensor([3.0]), torch.tensor([4.0])))
    half = 2**0.5
    assert found.flatten().tolist() == pytest.approx([3 - half, 4 - half, 3 + half, 4 + half], abs=1e-5)


def test_an_object_goes_once_less_than_a_quarter_of_it_is_left() -> None:
    classes = []
    for shift in (3.0, 3.5):  # a box four wide stands out of the image by as much
        moved = warp(one_box((0, 0, 4, 4)), _shift(-shift + 0.0, 0.0))
        assert moved.boxes is not None and moved.classes is not None
        classes.append(moved.classes.item())
        assert (area(moved.boxes) > 0).item() == (moved.classes.item() >= 0)
    assert classes == [2, -1]
    kept = clipped(warp(one_box((0, 0, 4, 4)), _shift(-3.0, 0.0)), kept=torch.zeros(1, 1, dtype=torch.bool))
    assert kept.classes is not None and kept.classes.item() == -1
