"""The controller of a retrain: one candidate, trained from scratch, as often as is asked."""

from controllers.objective import Objective
from controllers.retrain import Retrain, RetrainConfig
from controllers.trial import Outcome, Status
from search_spaces.space import Space


def test_a_space_without_holes_is_trained_once_or_as_often_as_it_is_repeated() -> None:
    space, config = Space({"width": 8}), RetrainConfig(run="first", trial="t000003")
    for repeats in (1, 3):
        controller = Retrain(config, space, [Objective(metric="x")], repeats=repeats)
        trials = controller.ask(9)
        assert [(dict(t.candidate), t.mode, t.inherit, t.same_as) for t in trials] == [
            ({}, "retrain", "none", None)
        ] * repeats
        assert len({trial.seed for trial in trials}) == repeats
        for trial in trials:
            controller.tell(trial.trial_id, Outcome(Status.COMPLETED, {"x": 1.0}, 1))
        assert controller.ask() == [] and controller.finished == "exhausted"
