"""Networks of searched cells learn to read digits."""

import numpy as np
import pytest

from search_spaces.architectures.nasnet import nasnet
from search_spaces.recipe import AdamW, ClassificationRecipe, DropPath
from search_spaces.space import Space
from trainers.tasks.classification import Classification, Classifier
from trainers.trial import TrialContext


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_random_pair_of_cells_of_nasnet_learns_to_read_digits() -> None:
    space, task = Space(nasnet(repeats=1, filters=8)), Classification()
    architecture = space.realize(space.sample(np.random.default_rng(0)))
    recipe = ClassificationRecipe(optimizer=AdamW(lr=5e-3), drop_path=DropPath(rate=0.2))
    spec = Classifier(architecture=architecture, recipe=recipe)
    reports = list(task.run(spec, TrialContext("t000001", seed=0, fidelity=4), task.open()))
    assert reports[-1].metrics["val/accuracy"] > 0.9
