import io
from pathlib import Path

from rich.console import Console

from cluster.config import Budget
from cluster.journal import Journal
from cluster.standing import Standing
from cluster.terminal import Live
from controllers.objective import Objective
from controllers.trial import Status
from tests.cluster import samples


def follow(folder: Path, terminal: bool) -> tuple[Live, io.StringIO, Journal]:
    storage = samples.storage(folder)
    journal = Journal.open(storage, samples.HEADER)
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=160, soft_wrap=True, highlight=False)
    standing = Standing(storage, (Objective(metric="val/accuracy"),))
    return Live(standing, "sample", Budget(trials=4), console), out, journal


def test_without_a_terminal_each_trial_is_a_plain_line(tmp_path: Path) -> None:
    live, out, journal = follow(tmp_path, terminal=False)
    with live:
        samples.run_trial(journal, 0)
        samples.run_trial(journal, 1, status=Status.FAILED, reason="loss is [nan]")
        samples.ask(journal, samples.trial(2))
        samples.start(journal, 2)
    first, second = out.getvalue().splitlines()
    assert first.startswith("t000000 COMPLETED val/accuracy=0.6667 [1/4 trials")
    assert second.startswith("t000001 FAILED val/accuracy=0.75 loss is [nan] [2/4 trials")
    assert "\x1b" not in out.getvalue()


def test_the_state_tells_running_best_failed_and_time_left(tmp_path: Path) -> None:
    live, _, journal = follow(tmp_path, terminal=False)
    samples.run_trial(journal, 0)
    samples.run_trial(journal, 2)
    samples.run_trial(journal, 3, status=Status.FAILED, reason="x")
    samples.ask(journal, samples.trial(4))
    samples.start(journal, 4)
    live.update()
    assert live.state().startswith("running 1 · best 0.8 (t000002) · failed 1 · left 0:0")


def test_on_a_terminal_there_is_one_live_line(tmp_path: Path) -> None:
    live, out, journal = follow(tmp_path, terminal=True)
    with live:
        samples.run_trial(journal, 0)
        live.update()
    text = out.getvalue()
    assert "sample" in text and "1/4" in text and "best 0.6667" in text
    assert "t000000 COMPLETED" not in text


def test_a_supernet_that_collapses_is_told_of_while_it_trains(tmp_path: Path) -> None:
    live, out, journal = follow(tmp_path, terminal=False)
    samples.ask(journal, samples.trial(0, mode="supernet"))
    samples.start(journal, 0)
    samples.report(journal, 0, 1, **{"arch/skip_ratio": 0.4, "arch/collapsed": 0.0})
    live.update()
    assert out.getvalue() == ""
    for step in (2, 3):
        samples.report(journal, 0, step, **{"arch/skip_ratio": 0.625, "arch/collapsed": 1.0})
        live.update()
    expected = "t000000: arch/skip_ratio 0.625: so many operations of a cell are skips: the search has collapsed"
    assert out.getvalue().splitlines() == [expected]
