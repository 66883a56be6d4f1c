"""Which rows weights and architecture learn from, and batches of both."""

import numpy as np
import torch

from search_spaces.recipe import SeparateSplits
from tests.trainers.examples import squares
from tests.trainers.supernets import RECIPE, TEMPLATE
from trainers.data.splits import Part
from trainers.learners.supernet import SupernetLearner, splits_of


def test_training_rows_are_halved_unless_the_recipe_says_otherwise() -> None:
    data = squares()
    rows = np.flatnonzero(data.parts == Part.TRAIN)
    halves = splits_of(RECIPE, data)
    assert sorted([*halves.weights, *halves.architecture]) == rows.tolist()
    assert 0.35 < len(halves.weights) / len(rows) < 0.65
    assert halves.architecture_learns(0.0)
    others = splits_of(RECIPE.model_copy(update={"splits": SeparateSplits(share=0.8, start=0.5)}), data)
    assert len(others.weights) > len(halves.weights)
    assert not others.architecture_learns(0.4) and others.architecture_learns(0.5)


def test_batches_of_both_parts_and_their_position() -> None:
    data = squares()
    learner = SupernetLearner(TEMPLATE, data, 3, "cpu")
    halves = splits_of(RECIPE, data)
    known = {
        part: {data.images[row].tobytes() for row in rows} for part, rows in vars(halves).items() if part != "spec"
    }
    mean, std = (torch.from_numpy(x).view(1, -1, 1, 1) for x in (data.mean, data.std))

    def raw(images: torch.Tensor) -> set[bytes]:
        pixels = (images * std + mean).round().to(torch.uint8)
        return {image.contiguous().numpy().tobytes() for image in pixels}

    assert raw(learner.batch(learner.sampler.next()).images) <= known["weights"]
    first = learner.held_out()
    assert raw(first.images) <= known["architecture"]
    state = learner.state_dict()
    second = learner.held_out()
    again = SupernetLearner(TEMPLATE, data, 3, "cpu")
    again.load_state_dict(state)
    assert torch.equal(again.held_out().images, second.images) and not torch.equal(first.images, second.images)


def test_it_is_judged_without_the_cost_of_a_network() -> None:
    assert set(SupernetLearner(TEMPLATE, squares(), 3, "cpu").evaluate()) == {"val/loss", "val/accuracy"}
