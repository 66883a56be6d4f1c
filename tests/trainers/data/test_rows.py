import numpy as np
import pytest
from PIL import Image

from tests.trainers.data.samples import images, masks, png
from trainers.data.base import DataError
from trainers.data.pictures import IGNORE, PADDED
from trainers.data.rows import (
    GREY,
    Objects,
    Row,
    fit,
    fit_mask,
    objects,
    pad_objects,
    read_boxes,
    read_mask,
)

IMAGE, MASK = images(1)[0], masks(1)[0]


def _row(mask: np.ndarray) -> Row:
    return Row("file row 4", png(IMAGE), png(mask))


def _boxed(*boxes: tuple[float, ...], labels: list[int] | None = None, size: tuple[int, int] | None = None) -> Row:
    return Row("file row 4", png(IMAGE), objects(boxes, labels or [0] * len(boxes), "file row 4", size=size))


def test_a_row_comes_back_as_it_was() -> None:
    image, mask = read_mask(_row(MASK), 3, None, IGNORE)
    assert np.array_equal(image, IMAGE.transpose(2, 0, 1)) and np.array_equal(mask, MASK)
    image, found = read_boxes(_boxed((0, 0, 1, 1), (2.5, 1, 8, 6), labels=[1, 0]), 2, None)
    assert np.array_equal(image, IMAGE.transpose(2, 0, 1))
    assert found.boxes.tolist() == [[0, 0, 1, 1], [2.5, 1, 8, 6]] and found.labels.tolist() == [1, 0]


def test_images_keep_their_shape_and_are_padded_at_the_end() -> None:
    pixels = np.full((20, 40, 3), 7, dtype=np.uint8)
    fitted = fit(Image.fromarray(pixels), (32, 32))
    assert fitted.shape == (32, 32, 3) and (fitted[:16] == 7).all() and (fitted[16:] == GREY).all()
    mask = np.zeros((20, 40), dtype=np.uint8)
    mask[10:, 20:] = 2
    expected = np.full((32, 32), IGNORE, dtype=np.uint8)
    expected[:16] = 0
    expected[8:16, 16:] = 2
    assert np.array_equal(fit_mask(mask, (32, 32)), expected)
    assert np.array_equal(fit_mask(mask, (20, 40)), mask)


def test_a_mask_takes_the_nearest_pixels_as_pillow_does() -> None:
    nearest = np.asarray(Image.fromarray(MASK).resize((24, 18), Image.Resampling.NEAREST))
    assert np.array_equal(fit_mask(MASK, (18, 24)), nearest)


def test_boxes_are_scaled_with_their_image() -> None:
    image, found = read_boxes(_boxed((1, 2, 5, 6), (0, 0, 8, 6)), 1, (12, 12))
    assert image.shape == (3, 12, 12) and (image[:, 9:] == GREY).all()
    assert found.boxes.tolist() == [[1.5, 3, 7.5, 9], [0, 0, 12, 9]]


def test_boxes_are_cut_at_the_border() -> None:
    _, found = read_boxes(_boxed((-3, -0.5, 4, 99)), 1, None)
    assert found.boxes.tolist() == [[0, 0, 4, 6]]


def test_palette_masks_are_indexes_and_the_ignored_value_is_one() -> None:
    picture = Image.fromarray(MASK, mode="P")
    picture.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200])
    row = Row("r", png(IMAGE), png(MASK))
    palette = Row("r", png(IMAGE), _save(picture))
    assert np.array_equal(read_mask(palette, 3, None, IGNORE)[1], read_mask(row, 3, None, IGNORE)[1])
    assert np.array_equal(read_mask(row, 2, None, 2)[1], np.where(MASK == 2, IGNORE, MASK))


def _save(picture: Image.Image) -> bytes:
    import io

    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_wrong_masks_are_refused_by_name() -> None:
    message = r"file row 4: a mask must have the size of its image; got '5x8'; allowed 6x8 \(height x width\)"
    with pytest.raises(DataError, match=message):
        read_mask(_row(MASK[:5]), 3, None, IGNORE)
    wrong = MASK.copy()
    wrong[2, 5] = 9
    message = "file row 4 pixel x=5 y=2: no class for this mask value; got 9; allowed 0 to 2, or 255 to ignore"
    with pytest.raises(DataError, match=message):
        read_mask(_row(wrong), 3, None, IGNORE)
    with pytest.raises(DataError, match="file row 4: a mask must hold class indexes; got 'mode RGB'"):
        read_mask(_row(IMAGE), 3, None, IGNORE)
    with pytest.raises(DataError, match="file row 4: the image cannot be read"):
        read_mask(Row("file row 4", b"", png(MASK)), 3, None, IGNORE)


@pytest.mark.parametrize("box", [(2, 2, 2, 5), (5, 2, 3, 4), (8, 0, 9, 2), (0, 0, float("nan"), 2)])
def test_boxes_without_area_inside_are_refused_by_name(box: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="file row 4 object 1: a box must have an area inside its image.*x from 0 to 8"):
        read_boxes(_boxed((0, 0, 1, 1), box), 1, None)


def test_wrong_annotations_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="file row 4 object 1: no class for this label; got 2; allowed 0 to 1"):
        read_boxes(_boxed((0, 0, 1, 1), (0, 0, 1, 1), labels=[1, 2]), 2, None)
    with pytest.raises(DataError, match="an annotation must have the size of its image; got '8x6'; allowed 6x8"):
        read_boxes(_boxed((0, 0, 1, 1), size=(8, 6)), 1, None)
    with pytest.raises(DataError, match="r: boxes and labels must be numbers"):
        objects([(0, 0, "x", 1)], [0], "r")
    with pytest.raises(DataError, match=r"r: every box needs 4 numbers and a label; got 'boxes \(1, 4\) for 2 labels'"):
        objects([(0, 0, 1, 1)], [0, 1], "r")


def test_objects_are_padded_to_the_most() -> None:
    none = objects((), (), "r")
    two = objects([(0, 0, 1, 1), (1, 1, 2, 3)], [4, 5], "r", difficult=[False, True], crowd=[True, False])
    assert isinstance(two, Objects)
    arrays = pad_objects([none, two])
    assert arrays["boxes"].tolist() == [[[0] * 4] * 2, [[0, 0, 1, 1], [1, 1, 2, 3]]]
    assert arrays["labels"].tolist() == [[PADDED] * 2, [4, 5]]
    assert arrays["difficult"].tolist() == [[False] * 2, [False, True]]
    assert arrays["crowd"].tolist() == [[False] * 2, [True, False]]
    assert pad_objects([none])["boxes"].shape == (1, 1, 4)
