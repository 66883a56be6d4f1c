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


@pytest.mark.parametrize("small", [2**26, 0])
@pytest.mark.parametrize("channels_last", [False, True])
def test_images_are_normalised_however_they_are_held(
    monkeypatch: pytest.MonkeyPatch, small: int, channels_last: bool
) -> None:
    monkeypatch.setattr(classification, "_SMALL", small)
    images = Images(DATA, TRAIN, "cpu", channels_last)
    found = images[torch.arange(len(images))]
    expected = (DATA.images[TRAIN].astype(np.float64) - DATA.mean.reshape(3, 1, 1)) / DATA.std.reshape(3, 1, 1)
    assert np.allclose(found.numpy(), expected, atol=1e-5)
    assert found.mean((0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert found.std((0, 2, 3), correction=0).tolist() == pytest.approx([1] * 3, abs=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
    assert torch.equal(images[torch.tensor([7, 2])], found[[7, 2]])
    assert images.labels.tolist() == DATA.labels[TRAIN].tolist()


def test_a_large_set_is_read_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classification, "_SMALL", 0)
    data = squares()
    data.images.flags.writeable = False
    images = Images(data, TRAIN, "cpu", False)
    assert images._source.data_ptr() == data.images.__array_interface__["data"][0]


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
    assert [change.args[0].kind for change in learner._changes] == ["crop", "flip", "cutout", "mixup"]  # type: ignore


def test_figures_are_those_of_the_whole_part_in_eval_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORK.build(DATA.input_shape, 4)
    images = Images(DATA, TRAIN, "cpu", False)
    logits = network.eval()(images[torch.arange(len(images))])
    monkeypatch.setattr(classification, "_EVALUATED", 7)
    found = figures(network.train(), images)
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
