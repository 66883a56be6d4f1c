import base64
import re
from pathlib import Path

import numpy as np
import pytest

from cluster import report
from cluster.journal import Journal
from cluster.report import Winner, best_so_far, expected_best, random_part, write
from cluster.standing import Standing
from controllers.objective import Objective
from controllers.trial import Status
from search_spaces.architectures.chain import Chain
from search_spaces.drawing import draw_svg
from search_spaces.reference import reference
from tests.cluster import samples


def test_best_so_far_never_falls() -> None:
    assert best_so_far([0.2, 0.5, 0.3, 0.9]) == [0.2, 0.5, 0.5, 0.9]
    assert best_so_far([]) == []


def test_expected_best_of_draws_is_that_of_all_sequences_of_draws() -> None:
    scores = [0.1, 0.4, 0.2]
    first, second = expected_best(scores, 2)
    assert first == pytest.approx(np.mean(scores))
    assert second == pytest.approx(np.mean([max(a, b) for a in scores for b in scores]))
    assert expected_best(scores, 200)[-1] == pytest.approx(0.4)


@pytest.mark.parametrize(("count", "first"), [(3, 3), (8, 8), (24, 8), (64, 16)])
def test_the_first_quarter_stands_for_random_draws(count: int, first: int) -> None:
    assert random_part(count) == first


def make(folder: Path, trials: int = 9) -> Standing:
    storage = samples.storage(folder)
    journal = Journal.open(storage, samples.HEADER)
    for number in range(trials):
        samples.run_trial(journal, number, 3)
    samples.run_trial(journal, trials, status=Status.FAILED, reason="loss <nan>")
    if trials:
        journal.append("final", trial="t000002", metrics={"test/accuracy": 0.4321})
    journal.append("end", reason="budget.trials")
    standing = Standing(storage, (Objective(metric="val/accuracy"),))
    standing.update()
    return standing


def test_the_report_is_one_file_that_needs_no_other(tmp_path: Path) -> None:
    page = write(make(tmp_path / "run"), "a <name>", tmp_path / "out", None)
    text = page.read_text()
    assert "a &lt;name&gt;" in text and "loss &lt;nan&gt;" in text
    assert "<name>" not in text and "<nan>" not in text
    assert "t000002" in text and "0.4321" in text
    assert text.count("data:image/png;base64,") == 2
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
    for name in ("search.png", "learning.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_the_report_shows_the_winner(tmp_path: Path) -> None:
    known = reference("chain-6")
    assert isinstance(known.architecture, Chain)
    picture = draw_svg(known.architecture, (3, 32, 32), 10)
    page = write(make(tmp_path / "run"), "name", tmp_path / "out", Winner(known.architecture, picture))
    text = page.read_text()
    assert "<svg" in text
    assert "pool_after" in text


def test_the_report_shows_what_the_winner_predicts(tmp_path: Path) -> None:
    known = reference("chain-6").architecture
    page = write(make(tmp_path / "run"), "name", tmp_path / "out", Winner(known, None, b"a picture"))
    text = page.read_text()
    assert "What it predicts" in text and base64.b64encode(b"a picture").decode() in text
    plain = write(make(tmp_path / "other"), "name", tmp_path / "out", Winner(known)).read_text()
    assert "What it predicts" not in plain


def test_a_search_without_a_trial_has_a_report_too(tmp_path: Path) -> None:
    page = write(make(tmp_path / "run", 0), "name", tmp_path / "out", None)
    assert "1 FAILED" in page.read_text()
    assert not (tmp_path / "out" / "search.png").exists()


def test_of_many_curves_some_are_drawn_and_the_best_always(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "FAINT_CURVES", 2)
    monkeypatch.setattr(report, "BOLD_CURVES", 1)
    standing = make(tmp_path / "run")
    figure = report._learning_figure(standing)
    assert figure is not None
    # Every fifth of ten, t000000 and t000005, and the best.
    assert standing.best is not None and standing.best.trial_id == "t000002"
    assert len(figure.axes[0].lines) == 3
