"""A control is a search of its own, with the same budget and seed, and another controller."""

from pathlib import Path
from statistics import median

import pytest

from cluster.commands import screens
from cluster.commands.look import show
from cluster.commands.run import _with_control
from cluster.lock import Lock
from cluster.search import Search
from cluster.upkeep import STOP_FILE
from controllers.evolution import EvolutionConfig
from controllers.random_search import RandomConfig
from search_spaces.errors import SpecError
from tests.cluster.test_search import make, run

EVOLUTION = {"kind": "evolution", "population": 2, "sample": 2}


def choices(search: Search) -> list[dict[str, object]]:
    return [dict(row.candidate) for row in search.standing.rows]


def test_a_control_differs_in_its_controller_alone(tmp_path: Path) -> None:
    search = run(make(tmp_path, controller=EVOLUTION, control={"kind": "random"}, budget={"trials": 8, "epochs": 2}))
    control = search.control()
    assert control is not None
    assert control.go_on(executor="local", progress=False).code == 0
    assert isinstance(search.config.controller, EvolutionConfig)
    assert isinstance(control.config.controller, RandomConfig) and control.config.control is None
    assert control.run_folder.name == "parabola-control" and control.control() is None
    changed = {"name": "parabola", "controller": search.config.controller, "control": search.config.control}
    assert control.config.model_copy(update=changed) == search.config
    # The same candidates as a random search of this seed that is nobody's control.
    alone = run(make(tmp_path / "alone", budget={"trials": 8, "epochs": 2}))
    assert choices(control) == choices(alone) != choices(search)


def test_a_control_goes_on_with_its_search(tmp_path: Path) -> None:
    search = run(make(tmp_path, controller=EVOLUTION, control={"kind": "random"}))
    control = search.control()
    assert control is not None
    control.go_on(executor="local", progress=False)
    first = choices(control)
    again = Search.open("parabola", tmp_path / "runs")
    again.set_trials(9)
    control = again.resume(executor="local", progress=False).control()
    assert control is not None
    control.go_on(executor="local", progress=False)
    assert len(first) == 6 and choices(control)[:6] == first and len(choices(control)) == 9


def test_show_and_stop_know_of_a_control(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = run(make(tmp_path, controller=EVOLUTION, control={"kind": "random"}))
    control = search.control()
    assert control is not None and not search.stop()
    show("parabola", False, str(tmp_path / "runs"))
    assert "parabola-control" not in capsys.readouterr().out
    control.go_on(executor="local", progress=False)
    show("parabola", False, str(tmp_path / "runs"))
    assert "parabola-control  random" in capsys.readouterr().out
    lock = Lock(control.run_folder.storage)
    assert search.stop() and (tmp_path / "runs" / "parabola-control" / STOP_FILE).exists()
    lock.release()
    assert not (tmp_path / "runs" / "parabola" / STOP_FILE).exists()


def test_both_are_shown_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = run(make(tmp_path, controller=EVOLUTION, control={"kind": "random"}))
    control = search.control()
    assert control is not None
    control.go_on(executor="local", progress=False)
    table = screens.beside([(s.run_folder.name, s.config, s.standing) for s in (search, control)]).splitlines()
    assert table[0].split() == ["search", "controller", "best", "score", "its", "test", "median", "complete"]
    values = [standing.value(row) for standing in [control.standing] for row in standing.rows]
    scores = [value for value in values if value is not None]
    assert table[2].split() == [
        *("parabola-control", "random", f"{max(scores):.4g}", "-", f"{median(scores):.4g}", "6")
    ]
    plain = run(make(tmp_path / "plain"))
    assert _with_control(plain, None) == 0
    assert "controller" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "named"), [({"seed": 9}, "seed"), ({"budget": {"trials": 6, "epochs": 3}}, "budget/epochs")], ids=str
)
def test_a_run_of_its_name_that_is_another_search_is_refused_before_the_first_trial(
    change: dict[str, object], named: str, tmp_path: Path
) -> None:
    run(make(tmp_path, name="parabola-control", **change))
    kept = Search.open("parabola-control", tmp_path / "runs").run_folder.text()
    with pytest.raises(
        SpecError, match=f"control: the name of the control is taken by another search, whose {named} differ"
    ):
        run(make(tmp_path, controller=EVOLUTION, control={"kind": "random"}))
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["parabola-control"]
    assert Search.open("parabola-control", tmp_path / "runs").run_folder.text() == kept


@pytest.mark.parametrize(
    ("control", "message"),
    [
        (
            {"kind": "uniform"},
            "space/x: controller 'uniform' takes finite domains; .* allowed a finite domain, or control/bins",
        ),
        ({"kind": "reinforce", "bins": 3, "grow_start": 3}, "control/grow_start: nothing grows"),
    ],
)
def test_what_is_wrong_with_a_control_is_said_of_the_control(
    control: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=f"^{message}"):
        run(make(tmp_path, control=control))


def test_a_control_that_cannot_search_the_space_is_refused_before_the_search(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="reinforce"):
        run(make(tmp_path, control={"kind": "reinforce"}))
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())
