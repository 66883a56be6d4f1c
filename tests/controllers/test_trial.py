"""Trials and outcomes survive JSON, and refuse what makes no sense."""

import copy
import json
import math

import pytest

from controllers.trial import Outcome, Status, Trial, Verdict
from search_spaces.candidate import Candidate

CANDIDATE = Candidate({"b": 1.5, "a": ("x", 2), "c": None})


def _json(data: object) -> object:
    return json.loads(json.dumps(data, allow_nan=False))


def test_a_trial_survives_json() -> None:
    trial = Trial("t000042", CANDIDATE, 2**32 - 1, 8, "t000001", "all", "retrain", "t000042", "t000007")
    assert _json(trial.to_data()) == trial.to_data()
    again = Trial.from_data(_json(trial.to_data()))  # type: ignore[arg-type]
    assert again == trial
    assert list(again.candidate) == ["b", "a", "c"]
    assert again.candidate["a"] == ("x", 2)


def test_a_trials_number_is_its_place_in_ask_order() -> None:
    assert Trial("t1000042", CANDIDATE, 0).number == 1000042


@pytest.mark.parametrize(
    ("field", "value"), [("fidelity", 0), ("mode", "guess"), ("inherit", "some"), ("inherit", "weights")]
)
def test_a_trial_refuses_what_makes_no_sense(field: str, value: object) -> None:
    with pytest.raises(ValueError, match="parent_id" if value == "weights" else field):
        Trial("t000000", CANDIDATE, 0, **{field: value})  # type: ignore[arg-type]


def test_an_outcome_survives_json_with_values_that_json_has_no_number_for() -> None:
    metrics = {"loss": math.nan, "up": math.inf, "down": -math.inf, "fine": 0.1}
    outcome = Outcome(Status.FAILED, metrics, 3, {"seconds": 1.5}, {"logits": [1, 2]}, "diverged", "cache")
    again = Outcome.from_data(_json(outcome.to_data()))  # type: ignore[arg-type]
    assert math.isnan(again.metrics["loss"])
    assert [again.metrics[name] for name in ("up", "down", "fine")] == [math.inf, -math.inf, 0.1]
    assert (again.status, again.steps, dict(again.cost)) == (Status.FAILED, 3, {"seconds": 1.5})
    assert (again.payload, again.reason, again.source) == ({"logits": [1, 2]}, "diverged", "cache")


def test_an_outcome_cannot_be_changed_and_can_be_copied() -> None:
    outcome = Outcome(Status.COMPLETED, {"x": 1})
    with pytest.raises(TypeError):
        outcome.metrics["x"] = 2.0  # type: ignore[index]
    assert copy.deepcopy(outcome) == outcome
    assert isinstance(outcome.metrics["x"], float)


@pytest.mark.parametrize("wrong", [{"status": "DONE"}, {"steps": -1}, {"source": "guess"}])
def test_an_outcome_refuses_what_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        Outcome(**{"status": Status.COMPLETED, **wrong})  # type: ignore[arg-type]


def test_words_are_their_own_text() -> None:
    assert f"{Status.PRUNED} {Verdict.STOP}" == "PRUNED STOP"
