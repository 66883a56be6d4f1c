import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.executors.base import Assignment, Failure, Shared, TrialRun
from controllers.trial import Trial
from search_spaces.candidate import Candidate
from search_spaces.space import Space
from tests.cluster import searches
from trainers.trial import Report, TrialFailed


def _run(function: str, folder: Path, **more: Any) -> TrialRun:
    search = searches.config(function)
    trial = Trial("t000000", Candidate({"x": 0.5, "n": 1}), seed=3, fidelity=3)
    given = Assignment(trial, 1, folder=str(folder / "t000000"), log=str(folder / "log.txt"))
    return TrialRun(given, Shared(search.task, search.make_space(), None), **more)


def test_an_assignment_survives_the_journey_as_data() -> None:
    trial = Trial("t000001", Candidate({"x": 0.5, "y": (1, 2)}), seed=3, parent_id="t000000", inherit="weights")
    given = Assignment(trial, 2, "folder", "own.pt", "parent.pt", "log.txt")
    assert Assignment.from_data(given.to_data()) == given


def test_each_step_brings_a_report_and_the_last_one_the_end(tmp_path: Path) -> None:
    run = _run("climb", tmp_path)
    words = [run.step() for _ in range(3)]
    assert [word.ended for word in words] == [False, False, True]
    assert [word.report.checkpoint for word in words if word.report] == [f"t000000/1-{step}.pt" for step in (1, 2, 3)]
    assert run.step().ended and run.step().report is None


def test_a_report_that_says_so_is_the_last(tmp_path: Path) -> None:
    class Brief:
        def run(self, *arguments: object) -> Any:
            yield Report(1, {"score": 1.0}, done=True)

    trial = Trial("t000000", Candidate({}), seed=0, fidelity=9)
    word = TrialRun(Assignment(trial, 1), Shared(Brief(), Space({}), None)).step()  # type: ignore[arg-type]
    assert word.ended and word.report is not None


def test_a_failure_is_a_word_with_type_message_and_place(tmp_path: Path) -> None:
    run = _run("broken", tmp_path)
    assert run.step().failure is None
    failure = run.step().failure
    assert failure is not None
    assert failure.reason.startswith("ValueError: bad luck with 1 (searches.py:")
    assert failure.reason.endswith(" in broken)")
    assert failure.fingerprint.startswith("ValueError (searches.py:")
    assert "ValueError: bad luck with 1" in (tmp_path / "log.txt").read_text()


def test_failures_of_one_cause_have_one_fingerprint() -> None:
    found = []
    for text in ("a", "b"):
        try:
            raise KeyError(text)
        except KeyError as error:
            found.append(Failure.of(error))
    assert found[0].fingerprint == found[1].fingerprint
    assert found[0].reason != found[1].reason


def test_a_failure_that_the_trial_names_is_told_in_its_words() -> None:
    failure = Failure.of(TrialFailed("the loss is nan", 7))
    assert (failure.reason, failure.fingerprint) == ("the loss is nan (report 7)", "the loss is nan")


def test_the_place_of_a_failure_inside_a_library_is_the_line_that_called_it() -> None:
    import json

    try:
        json.loads("{")
    except ValueError as error:
        assert Failure.of(error).reason.endswith(
            "in test_the_place_of_a_failure_inside_a_library_is_the_line_that_called_it)"
        )


def test_a_trial_that_exits_is_a_failure(tmp_path: Path) -> None:
    class Leaves:
        def run(self, *arguments: object) -> Any:
            sys.exit(3)

    trial = Trial("t000000", Candidate({}), seed=0)
    word = TrialRun(Assignment(trial, 1), Shared(Leaves(), Space({}), None)).step()  # type: ignore[arg-type]
    assert word.failure is not None and word.failure.reason.startswith("SystemExit: 3")


def test_a_candidate_that_breaks_a_rule_is_a_failure_of_its_trial(tmp_path: Path) -> None:
    trial = Trial("t000000", Candidate({"elsewhere": 1}), seed=0)
    search = searches.config()
    word = TrialRun(Assignment(trial, 1), Shared(search.task, search.make_space(), None)).step()
    assert word.ended and word.failure is not None


def test_a_run_that_is_closed_says_no_more(tmp_path: Path) -> None:
    run = _run("climb", tmp_path)
    run.step()
    run.close()
    word = run.step()
    assert word.ended and word.report is None and word.failure is None


def test_prints_are_captured_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run("says", tmp_path).step()
    assert capsys.readouterr().out == "hello from t000000\n"
    assert not (tmp_path / "log.txt").exists()
    _run("says", tmp_path, capture=True).step()
    assert capsys.readouterr().out == ""
    assert (tmp_path / "log.txt").read_text() == "hello from t000000\n"


def test_prints_go_to_a_log_in_a_remote_place_with_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyarrow import fs

    files = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    opened = staticmethod(lambda uri: (files, uri.removeprefix("store://").partition("?")[0]))
    monkeypatch.setattr(fs, "FileSystem", type("Finder", (), {"from_uri": opened}))
    search = searches.config("says")
    trial = Trial("t000000", Candidate({"x": 0.5, "n": 1}), seed=3, fidelity=3)
    given = Assignment(trial, 1, log="store://bucket/logs/t000000.txt?endpoint_override=http://host:9000/minio")
    word = TrialRun(given, Shared(search.task, search.make_space(), None), capture=True).step()
    assert word.failure is None
    assert (tmp_path / "bucket/logs/t000000.txt").read_text() == "hello from t000000\n"


def test_torch_gets_the_trials_threads(tmp_path: Path) -> None:
    import torch

    before = torch.get_num_threads()
    try:
        search = searches.config("says")
        trial = Trial("t000000", Candidate({"x": 0.5, "n": 1}), seed=3)
        word = TrialRun(Assignment(trial, 1), Shared(search.task, search.make_space(), None, threads=3)).step()
        assert word.report is not None and word.report.metrics["threads"] == 3.0
    finally:
        torch.set_num_threads(before)
