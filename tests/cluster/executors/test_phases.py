from pathlib import Path
from typing import Any

from cluster.executors.base import Calls, Halt
from cluster.executors.local import LocalExecutor
from cluster.executors.phases import Phases
from controllers.random_search import RandomSearch
from controllers.table import Proposal
from tests.cluster import searches
from trainers.tasks.function import Function


class _Mixed(RandomSearch):
    """Two proxies, then trials."""

    def _propose(self) -> Proposal:
        mode: Any = "proxy" if self._asked < 2 else "train"
        return Proposal(self.space.sample(self.rng), mode=mode)


class _Named(LocalExecutor):
    """Notes what it is asked to run."""

    def __init__(self, name: str, runs: list[str], shared: Any) -> None:
        super().__init__(shared)
        self._name, self._runs = name, runs

    def run(self, driver: Calls) -> Halt | None:
        self._runs.append(self._name)
        return super().run(driver)


def _run(folder: Path, monkeypatch: Any, interrupt: bool = False) -> tuple[list[str], Halt | None]:
    monkeypatch.setattr(Function, "pooled", ("proxy",))
    monkeypatch.setattr(Function, "refuse_mode", lambda task, trial: None)
    search = searches.config("plain", budget={"trials": 4, "epochs": 1}, resources={"concurrency": 3})
    space = search.make_space()
    controller = _Mixed(search.controller, space, search.objectives, (), search.seed, budget=4)
    driver, _, journal, shared = searches.make_driver(search, folder, controller=controller)
    if interrupt:
        report = driver.on_report

        def interrupted(*arguments: Any) -> Any:
            driver.interrupt()
            return report(*arguments)

        driver.on_report = interrupted  # type: ignore[method-assign]
    runs: list[str] = []
    halt = Phases(lambda: _Named("pool", runs, shared), lambda: _Named("single", runs, shared)).run(driver)
    journal.close()
    return runs, halt


def test_a_phase_for_each_kind_of_trial(tmp_path: Path, monkeypatch: Any) -> None:
    runs, halt = _run(tmp_path, monkeypatch)
    assert runs == ["pool", "single"] and halt is None
    # Two proxies, which do not count, and the four trials of the budget.
    assert [trial for trial, _ in searches.steps(tmp_path)] == [f"t{i:06d}" for i in range(6)]
    started = [record.offset for record in searches.records(tmp_path, "started")]
    told = [record.offset for record in searches.records(tmp_path, "told")]
    assert max(told[:2]) < started[2]


def test_an_interrupted_phase_is_the_last(tmp_path: Path, monkeypatch: Any) -> None:
    runs, halt = _run(tmp_path, monkeypatch, interrupt=True)
    assert runs == ["pool"] and halt is Halt.INTERRUPTED
