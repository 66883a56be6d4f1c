import numpy as np
import pytest

from search_spaces.recipe import ClassificationRecipe, SeparateSplits
from tests.trainers.examples import classifier, squares
from trainers.data.splits import Part
from trainers.determinism import Generators
from trainers.learners.classification import ClassificationLearner
from trainers.tricks.registry import implementation
from trainers.tricks.splits import weight_rows

ROWS = np.arange(0, 3000, 3)


def test_l15_the_parts_are_disjoint_and_whole_and_as_large_as_their_shares() -> None:
    splits = implementation(SeparateSplits(share=0.8))(ROWS)
    assert not set(splits.weights) & set(splits.architecture)
    assert sorted([*splits.weights, *splits.architecture]) == ROWS.tolist()
    assert len(splits.weights) / 1000 == pytest.approx(0.8, abs=0.04)


def test_l15_the_architecture_stands_still_before_its_start() -> None:
    splits = implementation(SeparateSplits())(ROWS)
    assert [splits.architecture_learns(epoch / 40) for epoch in (0, 19, 20, 39)] == [False, False, True, True]
    assert implementation(SeparateSplits(start=0.0))(ROWS).architecture_learns(0.0)


def test_l15_weights_learn_from_their_part_of_the_training_rows_alone() -> None:
    data, recipe = squares(), ClassificationRecipe(splits=SeparateSplits(share=0.6))
    train = np.flatnonzero(data.parts == Part.TRAIN)
    rows = weight_rows(recipe, train)
    assert 0 < len(rows) < len(train) and set(rows) <= set(train)
    with Generators(0):
        learner = ClassificationLearner(classifier(splits=recipe.splits), data, 5, "cpu")
        plain = ClassificationLearner(classifier(), data, 5, "cpu")
    assert learner._train.labels.tolist() == data.labels[rows].tolist()
    assert len(plain._train) == len(train) and len(learner._val) == len(plain._val)


def test_l15_an_empty_part_is_refused() -> None:
    with pytest.raises(ValueError, match="separate_splits: 2 training rows with share 0.999 leave a part empty"):
        implementation(SeparateSplits(share=0.999))(np.arange(2))
