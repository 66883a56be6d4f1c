import numpy as np
import pytest
import torch

from tests.trainers.examples import squares
from trainers.data.splits import Part
from trainers.learners import images as module
from trainers.learners.images import Pixels

DATA = squares(channels=3)
TRAIN = np.flatnonzero(DATA.parts == Part.TRAIN)


@pytest.mark.parametrize("small", [2**26, 0])
@pytest.mark.parametrize("channels_last", [False, True])
def test_images_are_normalised_however_they_are_held(
    monkeypatch: pytest.MonkeyPatch, small: int, channels_last: bool
) -> None:
    monkeypatch.setattr(module, "_SMALL", small)
    images = Pixels(DATA, TRAIN, "cpu", channels_last)
    found = images[torch.arange(len(images))]
    expected = (DATA.images[TRAIN].astype(np.float64) - DATA.mean.reshape(3, 1, 1)) / DATA.std.reshape(3, 1, 1)
    assert np.allclose(found.numpy(), expected, atol=1e-5)
    assert found.mean((0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert found.std((0, 2, 3), correction=0).tolist() == pytest.approx([1] * 3, abs=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    assert torch.equal(images[torch.tensor([7, 2])], found[[7, 2]])
    assert len(images) == len(TRAIN)


def test_a_large_set_is_read_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SMALL", 0)
    data = squares()
    data.images.flags.writeable = False
    images = Pixels(data, TRAIN, "cpu", False)
    assert images._source.data_ptr() == data.images.__array_interface__["data"][0]
