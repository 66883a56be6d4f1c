import numpy as np
import pytest

from search_spaces.recipe import SeparateSplits
from tests.trainers.examples import classifier, squares
from tests.trainers.supernets import RECIPE, TEMPLATE
from trainers.data.splits import Part
from trainers.determinism import Generators
from trainers.learners.classification import ClassificationLearner
from trainers.learners.supernet import SupernetLearner
from trainers.tasks.classification import Classifier
from trainers.tricks.registry import implementation

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


def test_l15_weights_of_a_supernet_learn_from_their_part_alone_and_other_networks_from_all() -> None:
    data, splits = squares(), SeparateSplits(share=0.6)
    train = np.flatnonzero(data.parts == Part.TRAIN)
    rows = implementation(splits)(train).weights
    assert 0 < len(rows) < len(train) and set(rows) <= set(train)
    spec = Classifier(architecture=TEMPLATE.architecture, recipe=RECIPE.model_copy(update={"splits": splits}))
    with Generators(0):
        supernet = SupernetLearner(spec, data, 5, "cpu")
        plain = ClassificationLearner(classifier(splits=splits), data, 5, "cpu")
    assert supernet._train.labels.tolist() == data.labels[rows].tolist()
    assert plain._train.labels.tolist() == data.labels[train].tolist()
    assert len(supernet._val) == len(plain._val)


def test_l15_an_empty_part_is_refused() -> None:
    with pytest.raises(ValueError, match="separate_splits: 2 training rows with share 0.999 leave a part empty"):
        implementation(SeparateSplits(share=0.999))(np.arange(2))
