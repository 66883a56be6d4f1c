from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from search_spaces.recipe import CopyPaste
from tests.trainers import detectors
from tests.trainers.examples import classifier, squares
from tests.trainers.examples_dense import scenes, segmenter
from trainers.data.splits import Part
from trainers.determinism import Generators
from trainers.learners.classification import ClassificationLearner
from trainers.learners.detection import DetectionLearner
from trainers.learners.images import Picked, Pixels
from trainers.learners.segmentation import SegmentationLearner

DATA = squares(channels=3)
TRAIN = np.flatnonzero(DATA.parts == Part.TRAIN)


@pytest.mark.parametrize("channels_last", [False, True])
def test_images_are_normalised_as_they_are_read(channels_last: bool) -> None:
    images = Pixels(DATA, TRAIN, "cpu", channels_last)
    found = images[torch.arange(len(images))]
    expected = (DATA.images[TRAIN].astype(np.float64) - DATA.mean.reshape(3, 1, 1)) / DATA.std.reshape(3, 1, 1)
    assert np.allclose(found.numpy(), expected, atol=1e-5)
    assert found.mean((0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert found.std((0, 2, 3), correction=0).tolist() == pytest.approx([1] * 3, abs=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    assert torch.equal(images[torch.tensor([7, 2])], found[[7, 2]])
    assert len(images) == len(TRAIN)


def _address(values: torch.Tensor | NDArray[Any]) -> int:
    address: int = values.__array_interface__["data"][0] if isinstance(values, np.ndarray) else values.data_ptr()
    return address


def test_rows_are_read_in_place_and_what_is_read_is_a_copy() -> None:
    values = np.arange(40, dtype=np.uint8).reshape(10, 4)
    values.flags.writeable = False
    picked = Picked(values, np.array([7, 2, 5]), "cpu")
    assert _address(picked._values) == _address(values)
    found = picked[torch.tensor([2, 0])]
    assert found.tolist() == values[[5, 7]].tolist() and len(picked) == 3
    found.zero_()
    assert values[5, 1] == 21


def test_trials_of_every_task_read_one_set_in_place() -> None:
    # Sets of some KiB: none is so small that it is copied.
    images, masked, boxed = squares(), scenes(), detectors.scenes()
    with Generators(0):
        classes = ClassificationLearner(classifier(), images, 0, "cpu")
        masks = SegmentationLearner(segmenter(), masked, 0, "cpu")
        boxes = DetectionLearner(detectors.model(copy_paste=CopyPaste()), boxed, 0, "cpu")
    read = [
        (part._images, data.images)
        for learner, data in ((classes, images), (masks, masked), (boxes, boxed))
        for part in (learner._train, learner._val)
    ]
    shown = boxes._train._instances
    assert shown is not None and boxed.instances is not None
    for picked, values in (*read, (masks._train._masks, masked.masks), (shown, boxed.instances)):
        assert _address(picked._values) == _address(values)
