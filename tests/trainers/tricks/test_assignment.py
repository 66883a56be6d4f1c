import pytest
import torch
from torch import Tensor

from search_spaces.recipe import BalancedSampling, IouAssignment
from trainers.determinism import Generators
from trainers.tricks import assignment
from trainers.tricks.assignment import BACKGROUND, IGNORED, OBJECT, assign, sample

ANCHORS = torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [2, 0, 12, 10], [30, 30, 40, 40], [60, 60, 64, 64]])
BOXES = torch.tensor([[[0.0, 0, 10, 10], [30, 30, 40, 34], [0, 0, 0, 0]]])
COUNTS = torch.tensor([[True, True, False]])


def _state(**spec: object) -> list[int]:
    state: list[int] = assign(IouAssignment(**spec), ANCHORS, BOXES, COUNTS, None).state[0].tolist()
    return state


def test_overlaps_decide() -> None:
    # Overlaps with box 0: 1, 1/3, 2/3; anchor 3 overlaps box 1 by .4.
    low = {"low_quality": False}
    assert _state(positive=0.5, negative=0.3, **low) == [OBJECT, IGNORED, OBJECT, IGNORED, BACKGROUND]
    assert _state(positive=0.7, negative=0.5, **low) == [OBJECT, BACKGROUND, IGNORED, BACKGROUND, BACKGROUND]
    assert _state(positive=0.4, negative=0.4, **low) == [OBJECT, BACKGROUND, OBJECT, OBJECT, BACKGROUND]


def test_a_box_claims_the_anchor_that_overlaps_it_most() -> None:
    found = assign(IouAssignment(positive=0.7, negative=0.5), ANCHORS, BOXES, COUNTS, None)
    assert found.state[0].tolist() == [OBJECT, BACKGROUND, IGNORED, OBJECT, BACKGROUND]
    assert found.index[0, [0, 3]].tolist() == [0, 1]


def test_a_claimed_anchor_belongs_to_the_box_that_claims_it() -> None:
    # Anchor 0 overlaps box 0 more (1/2 against 1/3), but it is all that box 1 has.
    anchors = torch.tensor([[0.0, 0, 10, 20], [0, 0, 10, 11]])
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 15, 10, 25]]])
    found = assign(IouAssignment(), anchors, boxes, torch.ones(1, 2, dtype=torch.bool), None)
    assert found.state[0].tolist() == [OBJECT, OBJECT]
    assert found.index[0].tolist() == [1, 0]


def test_padding_and_images_without_objects_leave_background() -> None:
    found = assign(IouAssignment(), ANCHORS, BOXES, torch.zeros_like(COUNTS), None)
    assert found.state.tolist() == [[BACKGROUND] * 5]


def test_what_lies_in_an_object_that_does_not_count_is_ignored() -> None:
    crowd = torch.tensor([[[0.0, 0, 10, 10], [28, 28, 70, 70]]])
    counts, ignored = torch.tensor([[True, False]]), torch.tensor([[False, True]])
    found = assign(IouAssignment(), ANCHORS, crowd, counts, ignored)
    assert found.state[0].tolist() == [OBJECT, BACKGROUND, OBJECT, IGNORED, IGNORED]


def test_an_object_within_a_crowd_is_still_to_be_found() -> None:
    boxes = torch.tensor([[[30.0, 30, 40, 40], [28, 28, 70, 70]]])
    counts, ignored = torch.tensor([[True, False]]), torch.tensor([[False, True]])
    assert assign(IouAssignment(), ANCHORS, boxes, counts, ignored).state[0, 3] == OBJECT


def test_proposals_differ_from_image_to_image_and_large_batches_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    with Generators(0):
        low = torch.rand(6, 40, 2) * 50
        proposals = torch.cat([low, low + 5 + torch.rand(6, 40, 2) * 20], -1)
        boxes, counts = proposals[:, ::7] + 2, torch.rand(6, 6) < 0.7
    ignored = ~counts & (torch.arange(6) % 2 == 0)
    whole = assign(IouAssignment(), proposals, boxes, counts, ignored)
    monkeypatch.setattr(assignment, "_LARGEST", 40 * 6 * 2)
    parts = assign(IouAssignment(), proposals, boxes, counts, ignored)
    assert torch.equal(whole.state, parts.state) and torch.equal(whole.index, parts.index)
    assert {OBJECT, BACKGROUND, IGNORED} == set(whole.state.unique().tolist())
    alone = assign(IouAssignment(), proposals[4], boxes[4:5], counts[4:5], ignored[4:5])
    assert torch.equal(alone.state[0], whole.state[4])


def _counts(spec: BalancedSampling, state: Tensor) -> tuple[list[int], list[int]]:
    with Generators(0):
        chosen = sample(spec, state)
    assert not (chosen & (state == IGNORED)).any()
    return ((chosen & (state == kind)).sum(1).tolist() for kind in (OBJECT, BACKGROUND))  # type: ignore[return-value]


def test_l07_counts_stay_within_quotas_and_background_fills_up() -> None:
    state = torch.full((4, 100), BACKGROUND)
    state[0, :50] = OBJECT
    state[1, :3] = OBJECT
    state[2, :95], state[2, 95:] = IGNORED, OBJECT
    state[3, :97] = IGNORED
    assert [*_counts(BalancedSampling(number=20, positive=0.25), state)] == [[5, 3, 5, 0], [15, 17, 0, 3]]
    assert [*_counts(BalancedSampling(number=20, positive=0.5), state)] == [[10, 3, 5, 0], [10, 17, 0, 3]]


def test_l07_more_than_there_are_takes_all() -> None:
    state = torch.tensor([[OBJECT, BACKGROUND, BACKGROUND, IGNORED]])
    with Generators(0):
        assert sample(BalancedSampling(number=256, positive=0.5), state).tolist() == [[True, True, True, False]]


def test_l07_each_is_drawn_alike() -> None:
    state = torch.full((4000, 8), BACKGROUND)
    state[:, :4] = OBJECT
    with Generators(0):
        share = sample(BalancedSampling(number=4, positive=0.5), state).float().mean(0)
    assert share.tolist() == pytest.approx([0.5] * 8, abs=0.04)
