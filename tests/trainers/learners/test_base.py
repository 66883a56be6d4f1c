from tests.trainers.examples import classifier, squares
from trainers.learners.base import Learner
from trainers.learners.classification import ClassificationLearner


def test_the_classification_learner_is_one() -> None:
    learner: Learner = ClassificationLearner(classifier(), squares(), 0, "cpu")
    loss, figures = learner.loss(learner.batch(learner.sampler.next()))
    assert loss.ndim == 0 and loss.requires_grad
    assert all(value.ndim == 0 and not value.requires_grad for value in figures.values())
    assert all(name.startswith("val/") for name in learner.evaluate())
