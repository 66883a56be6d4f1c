import time

import numpy as np
import pytest

from trainers.data.base import DataError
from trainers.data.pictures import PADDED
from trainers.data.scenes import SHAPES, Scenes
from trainers.data.splits import Part

SPEC = Scenes(scenes=200, size=48)
MASKED, BOXED = SPEC.load_masks(), SPEC.load_boxes()


def test_masks_and_boxes_are_of_the_same_scenes() -> None:
    assert np.array_equal(MASKED.images, BOXED.images) and np.array_equal(MASKED.parts, BOXED.parts)
    assert MASKED.classes == ("background", *SHAPES) and BOXED.classes == SHAPES
    labels = np.concatenate([np.full((200, 1), -1), BOXED.labels], axis=1)
    shown = np.take_along_axis(labels, BOXED.instances.reshape(200, -1).astype(int), 1).reshape(200, 48, 48)
    assert np.array_equal(shown + 1, MASKED.masks)


def test_a_box_is_the_extent_of_what_is_visible() -> None:
    for row in range(200):
        for place, label in enumerate(BOXED.labels[row]):
            y, x = np.nonzero(BOXED.instances[row] == place + 1)
            if label == PADDED:
                assert len(x) == 0 and not BOXED.boxes[row, place].any() and not BOXED.difficult[row, place]
            else:
                assert BOXED.boxes[row, place].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
                assert (MASKED.masks[row, y, x] == label + 1).all()


def test_objects_come_first_and_number_one_to_the_most() -> None:
    assert 1 <= BOXED.counts.min() and BOXED.counts.max() == 5
    places = np.arange(5) < BOXED.counts[:, None]
    assert np.array_equal(BOXED.labels != PADDED, places)
    sizes = (BOXED.boxes[..., 2:] - BOXED.boxes[..., :2]).max(-1)[places]
    assert np.percentile(sizes, 10) <= 48 / 6 and np.percentile(sizes, 90) > 48 / 3
    assert min(np.bincount(BOXED.labels[places], minlength=len(SHAPES))) > 60
    assert 0 < BOXED.difficult.sum() < 0.1 * places.sum()


@pytest.mark.parametrize(
    ("shape", "share"), [("disc", np.pi / 4), ("square", None), ("ring", np.pi / 4 * (1 - 0.44**2))]
)
def test_shapes_fill_their_boxes_as_they_should(shape: str, share: float | None) -> None:
    data = Scenes(scenes=512, size=96, objects=1).load_boxes()
    box = data.boxes[:, 0]
    inside = (box[:, :2] > 0).all(1) & (box[:, 2:] < 96).all(1) & ((box[:, 2:] - box[:, :2]).min(1) > 24)
    rows = np.flatnonzero(inside & (data.labels[:, 0] == SHAPES.index(shape)))
    assert len(rows) > 10
    filled = [(data.instances[row] == 1).sum() / np.prod(box[row, 2:] - box[row, :2]) for row in rows]
    if share is None:  # 1 when upright, 0.58 when tilted by 0.4 radians
        assert 0.56 < min(filled) < 0.7 and 0.8 < max(filled) <= 1
    else:
        assert np.allclose(filled, share, atol=0.05)


def test_scenes_are_a_function_of_seed_and_number() -> None:
    again, more = SPEC.load_masks(), Scenes(scenes=260, size=48).load_masks()
    assert np.array_equal(again.images, MASKED.images) and again.fingerprint() == MASKED.fingerprint()
    assert np.array_equal(more.images[:200], MASKED.images) and np.array_equal(more.parts[:200], MASKED.parts)
    other = Scenes(scenes=200, size=48, seed=1).load_masks()
    assert (other.images != MASKED.images).mean() > 0.9 and other.fingerprint() != MASKED.fingerprint()


def test_shapes_differ_from_the_ground() -> None:
    quiet = Scenes(scenes=64, size=64, objects=1, noise=0.0).load_masks()
    images = quiet.images.astype(float)
    for image, mask in zip(images, quiet.masks, strict=True):
        if (mask > 0).sum() > 20:
            ground, shape = (image[:, part].mean(1) for part in (mask == 0, mask > 0))
            assert np.abs(ground - shape).max() > 10


def test_parts_and_sizes() -> None:
    assert [len(MASKED.rows(part)) for part in Part] == [int((MASKED.parts == part).sum()) for part in Part]
    assert 0.6 < len(MASKED.rows(Part.TRAIN)) / 200 < 0.8
    assert MASKED.input_shape == (3, 48, 48)
    with pytest.raises(DataError, match="scenes: the val part is empty; got 'val=0.0, test=0.15 of 20 rows'"):
        Scenes(scenes=20, size=16, val=0.0).load_boxes()


def test_the_default_takes_about_a_second() -> None:
    start = time.process_time()
    Scenes().load_masks()
    assert time.process_time() - start < 3
