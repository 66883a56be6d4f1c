from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from search_spaces.recipe import Crop, Cutout, Flip, LabelSmoothing, Mixup
from tests.trainers.examples import NETWORK, classifier, run, squares
from trainers.checkpoint import load
from trainers.data.splits import Part
from trainers.determinism import Generators
from trainers.learners import classification
from trainers.learners.classification import ClassificationLearner, Images, figures, figures_of_checkpoint

DATA = squares(channels=3)
TRAIN = np.flatnonzero(DATA.parts == Part.TRAIN)


def _learner(**recipe: object) -> ClassificationLearner:
    with Generators(0):
        return ClassificationLearner(classifier(**recipe), squares(), 0, "cpu")


def test_plain_labels_serve_as_targets_until_something_softens_them() -> None:
    learner = _learner()
    batch = learner.batch(learner.sampler.next())
    assert batch.targets is batch.labels
    learner = _learner(label_smoothing=LabelSmoothing(epsilon=0.4))
    batch = learner.batch(learner.sampler.next())
    assert batch.targets[0, batch.labels[0]].item() == pytest.approx(0.7)


def test_the_loss_is_the_cross_entropy_with_the_targets() -> None:
    learner = _learner(label_smoothing=LabelSmoothing(epsilon=0.4))
    batch = learner.batch(learner.sampler.next())
    loss, others = learner.loss(batch)
    logits = learner.network(batch.images)["out"]
    assert loss.item() == pytest.approx(F.cross_entropy(logits, batch.targets).item(), rel=1e-5)
    assert others["accuracy"].item() == (logits.argmax(1) == batch.labels).float().mean().item()


def test_changes_apply_in_the_order_of_the_recipe() -> None:
    learner = _learner(mix=Mixup(), cutout=Cutout(length=0.25), flip=Flip(), crop=Crop())
    assert [change.args[0].kind for change in learner._changes.used] == ["crop", "flip", "cutout", "mixup"]  # type: ignore


def test_figures_are_those_of_the_whole_part(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORK.build(DATA.input_shape, 4)
    images = Images(DATA, TRAIN, "cpu", False)
    logits = network.eval()(images[torch.arange(len(images))])
    monkeypatch.setattr(classification, "_EVALUATED", 7)
    found = figures(network, images)
    assert found["loss"] == pytest.approx(F.cross_entropy(logits, images.labels).item(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((logits.argmax(1) == images.labels).float().mean().item())


def test_a_checkpoint_is_judged_as_the_trial_was(tmp_path: Path) -> None:
    from search_spaces.recipe import Ema

    for recipe in ({}, {"ema": Ema(decay=0.9)}):
        folder = tmp_path / f"t{len(recipe)}"
        report = run(classifier(**recipe), folder=str(folder))[-1]
        path = str(tmp_path / str(report.checkpoint))
        found = figures_of_checkpoint(classifier(**recipe), path, squares(), Part.VAL)
        assert found["loss"] == pytest.approx(report.metrics["val/loss"], rel=1e-5)
        assert found["accuracy"] == report.metrics["val/accuracy"]
    assert "ema" in load(path)
