from pathlib import Path
from typing import Any

from cluster.executors.base import Assignment, Shared, Word
from cluster.ray_runtime import prepare
from controllers.trial import Trial
from search_spaces.candidate import Candidate
from tests.cluster import searches

prepare()

from cluster.trainable import ASSIGNMENT, WORD, TrialActor  # noqa: E402 - Ray reads its settings when it is imported


class _Bare(TrialActor):
    """The actor without Ray's part."""

    def __init__(self, config: dict[str, Any], shared: Shared) -> None:
        self.config = config
        self.setup(config, shared)


def _given(number: int, folder: Path) -> dict[str, Any]:
    trial = Trial(f"t{number:06d}", Candidate({"x": 0.5, "n": number}), seed=number, fidelity=3)
    return {ASSIGNMENT: Assignment(trial, 1, folder=str(folder / trial.trial_id)).to_data()}


def _shared(function: str = "climb") -> Shared:
    search = searches.config(function)
    return Shared(search.task, search.make_space(), None)


def _word(result: dict[str, Any]) -> Word:
    (word,) = result[WORD]
    assert isinstance(word, Word)
    return word


def test_a_step_is_a_report_and_the_last_one_is_done(tmp_path: Path) -> None:
    actor = _Bare(_given(0, tmp_path), _shared())
    results = [actor.step() for _ in range(3)]
    assert [result["done"] for result in results] == [False, False, True]
    reports = [_word(result).report for result in results]
    assert [report.step for report in reports if report] == [1, 2, 3]
    # Tune sends back what stands in the config, with every result.
    assert actor.config == {}


def test_reset_only_stores_and_the_next_step_begins_the_next_trial(tmp_path: Path) -> None:
    actor = _Bare(_given(0, tmp_path), _shared())
    actor.step()
    assert actor.reset_config(_given(1, tmp_path)) is True
    assert not (tmp_path / "t000001").exists()
    report = _word(actor.step()).report
    assert report is not None and report.checkpoint == "t000001/1-1.pt"


def test_the_tenth_trial_of_an_actor_is_as_the_first_of_another(tmp_path: Path) -> None:
    def metrics(actor: TrialActor) -> list[Any]:
        return [report.metrics for report in (_word(actor.step()).report for _ in range(3)) if report]

    used = _Bare(_given(0, tmp_path), _shared())
    for number in range(1, 10):
        used.step()
        used.reset_config(_given(number, tmp_path))
    assert metrics(used) == metrics(_Bare(_given(9, tmp_path / "other"), _shared()))


def test_an_exception_of_the_trial_is_a_word_and_the_actor_goes_on(tmp_path: Path) -> None:
    actor = _Bare(_given(1, tmp_path), _shared("fails_for_odd"))
    result = actor.step()
    failure = _word(result).failure
    assert result["done"] and failure is not None and failure.reason.startswith("RuntimeError: odd")
    actor.reset_config(_given(2, tmp_path))
    assert _word(actor.step()).failure is None


def test_no_method_of_ours_hides_one_of_tunes() -> None:
    from ray.tune import Trainable

    ours = {name for name in vars(TrialActor) if callable(getattr(TrialActor, name)) and not name.startswith("__")}
    assert ours == {"setup", "step", "reset_config", "cleanup"}
    assert all(hasattr(Trainable, name) for name in ours)
