"""What is new, and what is better, to the controllers that learn."""

from controllers.evolution import Evolution, EvolutionConfig
from controllers.objective import Objective
from controllers.trial import Outcome, Status
from search_spaces.candidate import Candidate
from search_spaces.domains import Categorical
from search_spaces.space import Space

SPACE = Space({"a": Categorical((1, 2, 3)), "b": Categorical((1, 2))})


def test_what_was_asked_for_is_not_new_until_it_is_cancelled() -> None:
    controller = Evolution(EvolutionConfig(), SPACE, [Objective(metric="x")])
    (trial,) = controller.ask()
    other = Candidate({"a": trial.candidate["a"], "b": 3 - trial.candidate["b"]})
    assert not controller.is_new(trial.candidate) and controller.is_new(other)
    controller.tell(trial.trial_id, Outcome(Status.CANCELLED))
    assert controller.is_new(trial.candidate)


def test_the_score_of_a_loss_is_greater_where_it_is_less() -> None:
    scores = {}
    for mode in ("max", "min"):
        controller = Evolution(EvolutionConfig(), SPACE, [Objective(metric="x", mode=mode)])
        (trial,) = controller.ask()
        scores[mode] = controller.score(controller.tell(trial.trial_id, Outcome(Status.COMPLETED, {"x": 0.25}, 1)))
    assert scores == {"max": 0.25, "min": -0.25}
