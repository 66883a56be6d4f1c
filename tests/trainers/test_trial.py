import copy
from pathlib import Path

import pytest
import torch

from trainers.trial import TrialContext, TrialFailed


def test_a_failure_says_why_and_where() -> None:
    failure = TrialFailed("the loss is nan", 3)
    assert (failure.reason, failure.step, str(failure)) == ("the loss is nan", 3, "the loss is nan (report 3)")
    # Actors send exceptions to one another.
    assert copy.copy(failure).step == 3


def test_checkpoints_are_named_by_attempt_and_step(tmp_path: Path) -> None:
    trial = TrialContext("t000007", 0, 5, attempt=2, folder=str(tmp_path / "t000007"))
    assert trial.save(4, {"state": 1}) == "t000007/2-4.pt"
    again = TrialContext("t000007", 0, 5, attempt=3, resume_from=str(tmp_path / "t000007" / "2-4.pt"))
    assert again.load() == {"schema": 1, "step": 4, "state": 1}
    assert again.restored == 1
    assert again.continues


def test_a_trial_without_folder_or_past_has_neither() -> None:
    trial = TrialContext("t000007", 0, 5)
    assert trial.save(1, {}) is None
    assert trial.load() is None
    assert trial.restored is None
    assert not trial.continues


@pytest.mark.parametrize(
    ("inherit", "state", "continues"), [("none", None, False), ("weights", 2, False), ("all", 2, True)]
)
def test_what_is_inherited_from_a_parent(tmp_path: Path, inherit: str, state: int | None, continues: bool) -> None:
    parent = TrialContext("t000001", 0, 5, folder=str(tmp_path / "t000001"))
    parent.save(1, {"state": 2})
    path = str(tmp_path / "t000001" / "1-1.pt")
    child = TrialContext("t000002", 0, 5, inherit=inherit, parent_checkpoint=path)
    assert (child.restored, child.continues) == (state, continues)


def test_a_state_is_attached_to_one_report() -> None:
    trial = TrialContext("t000001", 0, 5)
    trial.checkpoint({"w": torch.ones(1)})
    trial.checkpoint(None)
    assert trial.take_attached() == {"state": None}
    assert trial.take_attached() is None
