import torch

from trainers.tricks.assignment import BACKGROUND, OBJECT, Assigned
from trainers.tricks.batch import Batch
from trainers.tricks.objects import objects_of

BATCH = Batch(
    torch.zeros(2, 3, 8, 8),
    boxes=torch.rand(2, 3, 4),
    classes=torch.tensor([[2, -1, 0], [-1, -1, -1]]),
    weights=torch.tensor([[0.5, 1, 0], [1, 1, 1]]),
)


def test_padding_is_not_to_be_found_and_what_weighs_nothing_is_ignored() -> None:
    found = objects_of(BATCH)
    assert found.counts.tolist() == [[True, False, False], [False] * 3]
    assert found.ignored is not None and found.ignored.tolist() == [[False, False, True], [False] * 3]
    assert found.classes.tolist() == [[2, 0, 0], [0, 0, 0]]


def test_candidates_with_objects_are_those_that_count() -> None:
    assigned = Assigned(
        torch.tensor([[OBJECT, BACKGROUND, OBJECT], [BACKGROUND] * 3]), torch.tensor([[0, 0, 2], [0, 0, 0]])
    )
    counted = torch.tensor([[True, True, False], [True] * 3])
    chosen = objects_of(BATCH).chosen(assigned, counted)
    assert [part.tolist() for part in chosen] == [[0], [0], [0], [0.5]]
