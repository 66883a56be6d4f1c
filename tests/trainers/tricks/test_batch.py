import dataclasses

import pytest
import torch

from trainers.tricks.batch import Batch


def test_a_batch_is_not_changed_in_place() -> None:
    batch = Batch(torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64), torch.zeros(2, 3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.images = batch.images + 1  # type: ignore[misc]
