import pytest
import torch
from torch import Tensor

from search_spaces.operators.boxes import iou_matrix
from search_spaces.recipe import BalancedSampling, HardNegatives, IouAssignment, LooseAssignment, ScaleCompensation
from trainers.determinism import Generators
from trainers.tricks import assignment
from trainers.tricks.assignment import (
    BACKGROUND,
    IGNORED,
    OBJECT,
    Assigned,
    assign,
    assign_loosely,
    compensate,
    hardest,
    sample,
)

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


def test_candidates_of_a_group_are_one_that_overlaps_as_much_as_the_best_of_them() -> None:
    every = assign(IouAssignment(positive=0.7, negative=0.5, low_quality=False), ANCHORS[:4], BOXES, COUNTS, None)
    pairs = assign(
        IouAssignment(positive=0.7, negative=0.5, low_quality=False), ANCHORS[:4], BOXES, COUNTS, None, group=2
    )
    assert every.state.tolist() == [[OBJECT, BACKGROUND, IGNORED, BACKGROUND]]
    assert pairs.state.tolist() == [[OBJECT, IGNORED]]
    ignored = torch.tensor([[False, False, True]])
    crowd = torch.tensor([[[0.0, 0, 1, 1], [0, 0, 1, 1], [28, 28, 44, 44]]])
    state = assign(IouAssignment(), ANCHORS[:4], crowd, COUNTS & False, ignored, group=2).state
    assert state.tolist() == [[BACKGROUND, IGNORED]]


def _found_by(assigned: Assigned, box: int) -> list[int]:
    mine = (assigned.state[0] == OBJECT) & (assigned.index[0] == box)
    found: list[int] = mine.nonzero().flatten().tolist()
    return found


def test_f08_small_boxes_are_found_from_a_smaller_overlap_on() -> None:
    # Anchor 3 overlaps box 1, of 40 square pixels, by 0.4; anchor 1 overlaps box 0, of 100, by a third.
    plain = {"positive": 0.5, "negative": 0.3, "low_quality": False}
    for side, small, found in ((8.0, 0.4, [3]), (6.0, 0.4, []), (8.0, 0.45, []), (20.0, 0.3, [3])):
        spec = LooseAssignment(**plain, side=side, small=small)  # type: ignore[arg-type]
        assigned = assign_loosely(spec, ANCHORS, BOXES, COUNTS, None)
        assert _found_by(assigned, 1) == found
        assert _found_by(assigned, 0) == ([0, 1, 2] if side == 20 else [0, 2])


def test_f08_a_lower_threshold_finds_all_that_a_higher_one_does() -> None:
    with Generators(0):
        low = torch.rand(400, 2) * 60
        anchors = torch.cat([low, low + 4 + torch.rand(400, 2) * 30], 1)
        boxes = anchors[::40].unsqueeze(0) + torch.randn(1, 10, 4)
    counts, before = torch.ones(1, 10, dtype=torch.bool), torch.ones(400, dtype=torch.bool)
    sizes = []
    for small in (0.2, 0.3, 0.4, 0.5):
        spec = LooseAssignment(positive=0.5, negative=0.2, low_quality=False, small=small, side=20.0)
        now = assign_loosely(spec, anchors, boxes, counts, None).state[0] == OBJECT
        assert (now <= before).all()
        before = now
        sizes.append(int(now.sum()))
    assert sizes[0] > sizes[-1] > 0
    plain = assign(IouAssignment(positive=0.5, negative=0.2, low_quality=False), anchors, boxes, counts, None)
    assert torch.equal(now, plain.state[0] == OBJECT)


def test_f08_an_anchor_finds_the_box_that_it_may_find_although_it_overlaps_another_more() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10]])
    boxes = torch.tensor([[[0.0, 0, 10, 22], [0, 0, 4, 10]]])  # overlaps 0.4545 and 0.4
    spec = LooseAssignment(positive=0.5, negative=0.3, low_quality=False, side=8.0)
    assert _found_by(assign_loosely(spec, anchors, boxes, torch.ones(1, 2, dtype=torch.bool), None), 1) == [0]


def _scene(seed: int, objects: int = 6) -> tuple[Tensor, Tensor]:
    """Anchors on a grid of 8 pixels, and small boxes at any place."""
    with Generators(seed):
        at = torch.arange(4.0, 64, 8)
        middles = torch.stack([at.repeat(8), at.repeat_interleave(8)], 1)
        low = torch.rand(1, objects, 2) * 50
        boxes = torch.cat([low, low + 5 + torch.rand(1, objects, 2) * 9], -1)
    return torch.cat([middles - 6, middles + 6], 1), boxes


def test_f07_every_box_ends_with_an_anchor_if_one_overlaps_it_enough() -> None:
    helped = 0
    for seed in range(30):
        anchors, boxes = _scene(seed)
        counts = torch.ones(1, 6, dtype=torch.bool)
        first = assign(IouAssignment(positive=0.35, negative=0.35, low_quality=False), anchors, boxes, counts, None)
        found = compensate(ScaleCompensation(), anchors, boxes, counts, None)
        overlap = iou_matrix(anchors, boxes)[0]
        for box in range(6):
            assert bool(_found_by(found, box)) or not (overlap[:, box] > 0.1).any()
            helped += not _found_by(first, box)
    assert helped > 20


def test_f07_as_many_as_other_boxes_have_and_the_best_of_them() -> None:
    # Box 0 is found by 3 anchors; box 1 overlaps five by less than 0.35.
    anchors = torch.tensor(
        [[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 1, 10, 11]] + [[30.0 + i, 30, 40 + i, 40] for i in range(5)]
    )
    boxes = torch.tensor([[[0.0, 0, 10, 10], [33, 32, 38, 38]]])
    counts = torch.ones(1, 2, dtype=torch.bool)
    found = compensate(ScaleCompensation(), anchors, boxes, counts, None)
    assert _found_by(found, 0) == [0, 1, 2] and len(_found_by(found, 1)) == 3
    overlap = iou_matrix(anchors, boxes)[0, :, 1]
    assert 0.1 < overlap.max() < 0.35
    assert overlap[_found_by(found, 1)].min() == overlap.topk(3).values.min()
    # Nothing changes where every box is found, or nothing overlaps enough.
    for least, positive in ((0.1, 0.2), (0.34, 0.35)):
        spec = ScaleCompensation(positive=positive, negative=0.1, least=least)
        plain = assign(IouAssignment(positive=positive, negative=0.1, low_quality=False), anchors, boxes, counts, None)
        assert torch.equal(compensate(spec, anchors, boxes, counts, None).state, plain.state)


def test_f07_a_box_takes_an_anchor_from_one_that_has_others() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]])
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0, 0, 4, 4]]])  # the small one overlaps both by 0.16 and 0.178
    both = torch.ones(1, 2, dtype=torch.bool)
    found = compensate(ScaleCompensation(), anchors, boxes, both, None)
    assert (_found_by(found, 0), _found_by(found, 1)) == ([0], [1])
    alone = compensate(ScaleCompensation(), anchors[:1], boxes, both, None)
    assert (_found_by(alone, 0), _found_by(alone, 1)) == ([0], [])


def test_raised_thresholds_are_those_of_the_next_stage() -> None:
    spec = IouAssignment(positive=0.5, negative=0.5, low_quality=False)
    assert spec.raised(0.0) is spec
    assert [round(spec.raised(step).positive, 6) for step in (0.1, 0.2, 0.9)] == [0.6, 0.7, 0.95]
    assert spec.raised(0.2).negative == spec.raised(0.2).positive


def test_f03_three_of_the_background_for_each_object_the_hardest_first() -> None:
    state = torch.full((3, 20), BACKGROUND)
    state[0, :2], state[0, 2:4] = OBJECT, IGNORED
    state[1, 0] = OBJECT
    losses = torch.arange(20.0).repeat(3, 1)
    chosen = hardest(HardNegatives(ratio=3.0, least=2), state, losses)
    assert chosen[0].nonzero().flatten().tolist() == [0, 1, *range(14, 20)]
    assert chosen[1].nonzero().flatten().tolist() == [0, 17, 18, 19]
    # An image without objects.
    assert chosen[2].nonzero().flatten().tolist() == [18, 19]
    assert hardest(HardNegatives(ratio=99.0), state, losses)[0].sum() == 18  # all that is not ignored
