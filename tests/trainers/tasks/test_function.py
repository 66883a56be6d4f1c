import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from search_spaces.errors import SpecError
from trainers.tasks.base import Task
from trainers.tasks.function import Function
from trainers.trial import Report, TrialContext


def count(spec: Any, trial: TrialContext) -> Iterator[dict[str, float]]:
    """Counts on from what it kept, and draws a number a step."""
    total = trial.restored or 0
    while True:
        total += spec["by"]
        trial.checkpoint(total)
        yield {"total": total, "drawn": torch.rand(1).item()}


def three_steps(spec: Any, trial: TrialContext) -> Iterator[dict[str, float]]:
    yield from ({"step": step} for step in range(3))


WRITTEN = f"{__name__}:count"


def _run(target: Any = count, fidelity: int = 5, **context: Any) -> list[Report]:
    trial = TrialContext("t000001", **{"seed": 1, "fidelity": fidelity, **context})
    return list(Function(target=target).run({"by": 2}, trial, None))


def test_a_function_yields_a_report_a_step() -> None:
    reports = _run()
    assert [report.step for report in reports] == [1, 2, 3, 4, 5]
    assert [report.metrics["total"] for report in reports] == [2, 4, 6, 8, 10]
    assert [report.done for report in reports] == [False] * 4 + [True]
    assert _run(WRITTEN)[-1].metrics == reports[-1].metrics


def test_a_function_that_ends_ends_its_trial() -> None:
    reports = _run(three_steps)
    assert [report.step for report in reports] == [1, 2, 3]
    assert not reports[-1].done


def test_a_killed_trial_goes_on_from_its_state(tmp_path: Path) -> None:
    whole = _run(fidelity=5)
    first = _run(fidelity=5, folder=str(tmp_path / "t000001"))[:3]
    assert first[-1].checkpoint == "t000001/1-3.pt"
    rest = _run(fidelity=5, attempt=2, folder=str(tmp_path / "t000001"), resume_from=str(tmp_path / "t000001/1-3.pt"))
    assert [(report.step, report.metrics) for report in rest] == [(r.step, r.metrics) for r in whole[3:]]
    assert rest[-1].checkpoint == "t000001/2-5.pt"


@pytest.mark.parametrize(
    ("inherit", "steps", "total"), [("all", [4, 5], 8), ("weights", [1, 2, 3, 4, 5], 8), ("none", [1, 2, 3, 4, 5], 2)]
)
def test_a_child_starts_from_its_parent(tmp_path: Path, inherit: str, steps: list[int], total: int) -> None:
    _run(fidelity=3, folder=str(tmp_path / "t000001"))
    found = _run(inherit=inherit, parent_checkpoint=str(tmp_path / "t000001/1-3.pt"))
    assert [report.step for report in found] == steps
    assert found[0].metrics["total"] == total


def test_other_modes_are_refused() -> None:
    with pytest.raises(SpecError, match="mode: task function cannot run this mode; got 'proxy'"):
        _run(mode="proxy")


def test_no_state_no_checkpoint(tmp_path: Path) -> None:
    assert all(report.checkpoint is None for report in _run(three_steps, folder=str(tmp_path / "t000001")))
    assert not (tmp_path / "t000001").exists()


def test_the_trial_owns_the_generators_while_the_function_runs() -> None:
    trial = TrialContext("t000001", seed=1, fidelity=4)
    outside, drawn = torch.get_rng_state(), []
    for report in Function(target=count).run({"by": 1}, trial, None):
        drawn.append(report.metrics["drawn"])
        torch.rand(3)
    assert not torch.equal(torch.get_rng_state(), outside)
    own = torch.Generator().manual_seed(1)
    assert drawn == [torch.rand(1, generator=own).item() for _ in range(4)]


def test_a_function_in_code_cannot_be_written_down() -> None:
    with pytest.raises(SpecError, match="target: a function given in Python cannot be written down; got 'count'"):
        Function(target=count).to_data()
    assert Task.from_data(Function(target=WRITTEN).to_data()) == Function(target=WRITTEN)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nothing", "a target is package.module:name; got 'nothing'"),
        (":count", "a target is package.module:name"),
    ],
)
def test_a_malformed_target_is_refused(target: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Task.from_data({"kind": "function", "target": target})


@pytest.mark.parametrize("target", ["no.such.module:f", f"{__name__}:absent", f"{__name__}:WRITTEN"])
def test_a_target_that_is_not_there_is_refused_before_the_first_trial(target: str) -> None:
    with pytest.raises(SpecError, match="^target: the target"):
        Function(target=target).open()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("def f(:\n", "SyntaxError: "),
        ("f = nothing\n", "NameError: name 'nothing' is not defined"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("open('/none/there')\n", "FileNotFoundError: "),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused_with_its_error(
    text: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    name = f"wrong_{error.partition(':')[0].lower()}"
    (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(SpecError) as caught:
        Function(target=f"{name}:f").open()
    line = str(caught.value)
    assert line.startswith(f"target: the target cannot be imported ({error}") and f"got '{name}:f'" in line
    assert "\n" not in line


def test_a_task_without_torch_imports_none() -> None:
    code = (
        "import sys; from trainers.tasks.function import Function; from trainers.trial import TrialContext\n"
        "def fn(spec, trial):\n"
        "    yield {'a': 1.0}\n"
        "print([r.step for r in Function(target=fn).run({}, TrialContext('t', 0, 1), None)], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[1] False", done.stderr
