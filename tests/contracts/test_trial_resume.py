"""A trial that is killed and goes on ends with the weights of one that was not, whatever process it goes on in."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainers.examples import ALL_TRICKS, classifier, final_weights, run, same, squares, timeless
from tests.trainers.examples_dense import PIXEL_TRICKS, TOKEN_TRICKS, language_model, read, segment, segmenter
from trainers.checkpoint import load
from trainers.tasks.classification import Classification
from trainers.trial import TrialContext

FIDELITY = 6
SPAWN = multiprocessing.get_context("spawn")
RECIPES = [pytest.param({}, id="default"), pytest.param(ALL_TRICKS, id="every-trick")]


def _train(recipe: dict[str, Any], folder: str, attempt: int, resume_from: str | None, slow: bool) -> None:
    """Runs in a process of its own; a slow one gives the parent time to kill it."""
    trial = TrialContext("t000001", 5, FIDELITY, attempt=attempt, folder=folder, resume_from=resume_from)
    for _ in Classification(report_every=0.5).run(classifier(**recipe), trial, squares()):
        time.sleep(0.3 if slow else 0)


def _start(
    recipe: dict[str, Any], folder: Path, attempt: int, resume_from: Path | None = None, slow: bool = False
) -> Any:
    path = None if resume_from is None else str(resume_from)
    process = SPAWN.Process(target=_train, args=(dict(recipe), str(folder), attempt, path, slow))
    process.start()
    return process


def _final(folder: Path, attempt: int) -> dict[str, Any]:
    return timeless(load(str(folder / f"{attempt}-{FIDELITY}.pt")))  # type: ignore[no-any-return]


def _kill_after(process: Any, file: Path) -> None:
    deadline = time.monotonic() + 40
    while not file.exists():
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_killed_trial_goes_on_in_a_fresh_process(recipe: dict[str, Any], tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole" / "t000001", tmp_path / "killed" / "t000001"
    unbroken, killed = _start(recipe, whole, 1), _start(recipe, folder, 1, slow=True)
    _kill_after(killed, folder / "1-3.pt")
    unbroken.join()
    assert unbroken.exitcode == 0
    again = _start(recipe, folder, 2, resume_from=folder / "1-3.pt")
    again.join()
    assert again.exitcode == 0
    # Not the weights alone: moments, averages, counters, positions and generators as well.
    assert same(_final(folder, 2), _final(whole, 1))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_killed_trial_goes_on_as_the_tenth_of_a_process(recipe: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "t000001"
    whole = run(classifier(**recipe), fidelity=FIDELITY, folder=str(folder))
    for seed in range(9):
        run(classifier(**ALL_TRICKS), fidelity=1, seed=seed)
        torch.rand(seed)
    for step in (1, 4):
        context = {"attempt": step + 1, "resume_from": str(folder / f"1-{step}.pt")}
        rest = run(classifier(**recipe), fidelity=FIDELITY, folder=str(folder), **context)
        assert [report.step for report in rest] == list(range(step + 1, FIDELITY + 1))
        assert same(final_weights(folder, rest), final_weights(folder, whole))
        assert same(_final(folder, step + 1), _final(folder, 1))


@pytest.mark.parametrize("dropped", ["optimizer", "sampler", "generators", "ema", "stopping", "network"])
def test_each_part_of_a_checkpoint_is_needed(dropped: str, tmp_path: Path) -> None:
    from trainers.checkpoint import save

    folder, other = tmp_path / "t000001", tmp_path / "t000002"
    run(classifier(**ALL_TRICKS), fidelity=FIDELITY, folder=str(folder))
    run(classifier(**ALL_TRICKS), fidelity=1, folder=str(other), seed=9)
    state = load(str(folder / "1-3.pt"))
    state[dropped] = load(str(other / "1-1.pt"))[dropped]
    save(str(folder), "changed.pt", state)
    context = {"attempt": 2, "resume_from": str(folder / "changed.pt"), "folder": str(folder)}
    run(classifier(**ALL_TRICKS), fidelity=FIDELITY, **context)
    assert not same(_final(folder, 2), _final(folder, 1))


DENSE = [
    pytest.param(segment, segmenter(), id="segmentation"),
    pytest.param(segment, segmenter(**PIXEL_TRICKS), id="segmentation-every-trick"),
    pytest.param(read, language_model(), id="language"),
    pytest.param(read, language_model(**TOKEN_TRICKS), id="language-every-trick"),
]


@pytest.mark.parametrize(("task", "spec"), DENSE)
def test_other_tasks_go_on_as_if_nothing_had_happened(task: Any, spec: Any, tmp_path: Path) -> None:
    folder = tmp_path / "t000001"
    # Reports in the midst of epochs, where the state of a language model is carried on.
    every = {"report_every": 0.4} if task is read else {}
    whole = task(spec, fidelity=4, folder=str(folder), **every)
    for step in (1, 2, 3):
        task(spec, fidelity=1, seed=step)
        context = {"attempt": step + 1, "resume_from": str(folder / f"1-{step}.pt"), **every}
        rest = task(spec, fidelity=4, folder=str(folder), **context)
        assert [timeless(report.metrics) for report in rest] == [timeless(report.metrics) for report in whole[step:]]
        assert same(timeless(load(str(folder / f"{step + 1}-4.pt"))), timeless(load(str(folder / "1-4.pt"))))


def test_a_language_model_needs_its_state_to_go_on(tmp_path: Path) -> None:
    from trainers.checkpoint import save

    folder = tmp_path / "t000001"
    read(language_model(), fidelity=3, report_every=0.4, folder=str(folder))
    state = load(str(folder / "1-1.pt"))
    save(str(folder), "changed.pt", {**state, "learner": {"state": None}})
    again = {"attempt": 2, "resume_from": str(folder / "changed.pt"), "folder": str(folder)}
    read(language_model(), fidelity=3, report_every=0.4, **again)
    assert not same(load(str(folder / "2-3.pt"))["network"], load(str(folder / "1-3.pt"))["network"])


@pytest.mark.gpu
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_trial_goes_on_exactly_on_an_accelerator(recipe: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "t000001"
    context = {"folder": str(folder), "device": str(torch.accelerator.current_accelerator())}
    whole = run(classifier(**recipe), fidelity=4, **context)
    rest = run(classifier(**recipe), fidelity=4, attempt=2, resume_from=str(folder / "1-2.pt"), **context)
    found, expected = final_weights(folder, rest), final_weights(folder, whole)
    assert all(torch.allclose(found[name], expected[name], rtol=1e-3, atol=1e-4) for name in expected)
