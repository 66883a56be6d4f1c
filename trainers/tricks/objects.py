"""The objects of a batch as losses of detection see them, and which candidate is to find which."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from trainers.data.pictures import PADDED
from trainers.tricks.assignment import OBJECT, Assigned
from trainers.tricks.batch import Batch


class Chosen(NamedTuple):
    """Where candidates have objects: row and place of the candidate, place and weight of the object, (n,) each."""

    rows: Tensor
    places: Tensor
    objects: Tensor
    weights: Tensor


class Objects(NamedTuple):
    """The boxes (N, M, 4) of a batch, their classes and weights (N, M), and which are to be found, or do not count."""

    boxes: Tensor
    classes: Tensor
    weights: Tensor
    counts: Tensor
    ignored: Tensor | None

    def chosen(self, assigned: Assigned, counted: Tensor) -> Chosen:
        """Returns the candidates with objects, as far as they count.

        Args:
            assigned: What each of A candidates is to find.
            counted: Whether it counts, (N, A).
        """
        rows, places = ((assigned.state == OBJECT) & counted).nonzero(as_tuple=True)
        which = assigned.index[rows, places]
        return Chosen(rows, places, which, self.weights[rows, which])


def objects_of(batch: Batch) -> Objects:
    """Returns the objects of a batch; those of weight 0 do not count."""
    assert batch.boxes is not None and batch.classes is not None
    there = batch.classes != PADDED
    classes = batch.classes.clamp(min=0)
    if batch.weights is None:
        return Objects(batch.boxes, classes, torch.ones_like(batch.boxes[..., 0]), there, None)
    counts = there & (batch.weights > 0)
    return Objects(batch.boxes, classes, batch.weights, counts, there & ~counts)
