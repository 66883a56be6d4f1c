import torch

from search_spaces.recipe import CopyPaste
from tests.trainers.tricks.batches import changed, equal, one_box, scenes
from trainers.data.pictures import PADDED
from trainers.tricks.warp import area


def test_j13_copies_are_disjoint_from_what_was_there_and_the_count_grows() -> None:
    batch = scenes(48)
    assert batch.instances is not None and batch.classes is not None and batch.boxes is not None
    found = changed(CopyPaste(copies=3, small=0.25), batch)
    assert found.instances is not None and found.classes is not None and found.boxes is not None
    places = batch.boxes.shape[1]
    there = batch.instances > 0
    assert torch.equal(found.instances[there], batch.instances[there])
    pasted = found.instances > places
    assert torch.equal(found.images.transpose(0, 1)[:, ~pasted], batch.images.transpose(0, 1)[:, ~pasted])
    small = ((batch.classes != PADDED) & (area(batch.boxes) < 16**2)).any(1)
    grown = (found.classes != PADDED).sum(1) - (batch.classes != PADDED).sum(1)
    assert (grown[~small] == 0).all()
    assert grown.max() == 3 and (grown[small] == 3).float().mean() > 0.7
    for row, column in (found.classes[:, places:] != PADDED).nonzero().tolist():
        mine = (found.instances[row] == places + column + 1).nonzero()
        left, top, right, bottom = found.boxes[row, places + column].tolist()
        assert mine[:, 1].min().item() == left and mine[:, 1].max().item() + 1 == right
        assert mine[:, 0].min().item() == top and mine[:, 0].max().item() + 1 == bottom


def test_j13_copies_look_like_the_object_scaled_a_little() -> None:
    batch = one_box((10, 10, 20, 20), 64, 64, 200)
    found = changed(CopyPaste(copies=1, scale=0.2, degrees=0.0), batch)
    assert found.boxes is not None and found.classes is not None and found.instances is not None
    new = found.boxes[:, 1]
    sides = (new[:, 2] - new[:, 0])[found.classes[:, 1] != PADDED]
    assert len(sides) > 195
    assert sides.min() >= 8 and sides.max() <= 13 and sides.unique().numel() >= 4
    assert (found.images[found.instances.unsqueeze(1) == 2] > 0.2).all()  # a corner may be a quarter covered


def test_j13_rectangles_are_pasted_where_there_are_no_masks() -> None:
    batch = one_box((3, 4, 9, 10), 32, 32, 20)
    found = changed(CopyPaste(copies=2), batch.__class__(batch.images, boxes=batch.boxes, classes=batch.classes))
    assert found.classes is not None and found.instances is None
    assert (found.classes == 2).all()
    assert (found.images.sum((1, 2, 3)) > 2 * 36).all()


def test_an_image_without_small_objects_is_left_alone() -> None:
    batch = scenes()
    found = changed(CopyPaste(copies=2, small=0.0), batch)
    assert torch.equal(found.images, batch.images)
    assert torch.equal(found.classes[:, :5], batch.classes)  # type: ignore[index,arg-type]
    assert (found.classes[:, 5:] == PADDED).all()  # type: ignore[index]


def test_draws_come_from_the_owned_generator() -> None:
    assert equal(changed(CopyPaste(), scenes(), 1), changed(CopyPaste(), scenes(), 1))
    assert not equal(changed(CopyPaste(), scenes(), 1), changed(CopyPaste(), scenes(), 2))
