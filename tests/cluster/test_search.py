import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster.config import Budget, Tracking
from cluster.search import Search
from controllers.objective import Objective
from search_spaces.domains import Float, Integer
from search_spaces.errors import SpecError
from search_spaces.spec import Hole, Spec, hole
from tests.cluster import stores
from tests.cluster.files import write_search
from trainers.trial import TrialContext


class Point(Spec):
    x: Hole[float] = 0.0
    n: Hole[int] = 1


TEMPLATE = Point(x=hole(Float(0.0, 1.0)), n=hole(Integer(1, 3)))


def parabola(spec: Point, trial: TrialContext) -> Iterator[dict[str, float]]:
    for step in range(1, trial.fidelity + 1):
        yield {"score": -((spec.x - 0.3) ** 2) + 0.01 * step, "size": float(spec.n)}


def make(folder: Path, template: Any = TEMPLATE, **sections: Any) -> Search:
    given: dict[str, Any] = {
        "name": "parabola",
        "controller": "random",
        "budget": {"trials": 6, "epochs": 2},
        "objectives": [{"metric": "score"}],
        "resources": {"concurrency": 1},
        "tracking": None,
        "storage": str(folder / "runs"),
    }
    return Search(template, task=parabola, **{**given, **sections})


def run(search: Search) -> Search:
    return search.run(executor="local", progress=False)


def test_a_search_made_in_python_finds_its_best(tmp_path: Path) -> None:
    search = run(make(tmp_path))
    assert (search.reason, search.code) == ("budget.trials", 0)
    table = search.trials
    scores = dict(zip(table["trial_id"].to_pylist(), table["m:score"].to_pylist(), strict=True))
    assert len(scores) == 6
    assert search.best is not None
    assert search.best.trial_id == max(scores, key=lambda trial_id: scores[trial_id])
    # The function was given specs, not plain data, and so is who looks at the result.
    assert isinstance(search.best.spec, Point)
    assert search.best.metrics["score"] == pytest.approx(-((search.best.spec.x - 0.3) ** 2) + 0.02)


def test_sections_may_be_specs(tmp_path: Path) -> None:
    goals = (Objective(metric="score"), Objective(metric="size", mode="min"))
    search = make(tmp_path, budget=Budget(trials=9), objectives=goals, tracking=Tracking(uri="sqlite:///x.db"))
    assert search.config.budget.trials == 9
    search = run(make(tmp_path, budget=Budget(trials=9), objectives=goals))
    front = search.pareto_front
    for found in front:
        better = [o for o in front if o.metrics["score"] > found.metrics["score"]]
        assert all(other.metrics["size"] > found.metrics["size"] for other in better)
    rows = search.trials.to_pylist()
    smallest = min(row["m:size"] for row in rows)
    assert any(found.metrics["size"] == smallest for found in front)


def test_a_wrong_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="budget: unknown key 'trial', did you mean 'trials'"):
        make(tmp_path, budget={"trial": 3})


def test_a_resume_goes_on_where_the_journal_ends(tmp_path: Path) -> None:
    whole = run(make(tmp_path, name="whole", budget={"trials": 8}))
    search = run(make(tmp_path, name="parts", budget={"trials": 5}))
    search.set_trials(8)
    search.resume(executor="local", progress=False)
    assert search.trials["candidate_id"].to_pylist() == whole.trials["candidate_id"].to_pylist()
    assert "trials: 8" in (tmp_path / "runs" / "parts" / "search.yaml").read_text()


def test_a_run_is_opened_by_name(tmp_path: Path) -> None:
    run(make(tmp_path))
    search = Search.open("parabola", tmp_path / "runs")
    assert search.trials.num_rows == 6
    assert search.stop() is False


def test_a_search_that_was_not_begun_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="this search was not begun; got 'parabola'"):
        _ = make(tmp_path).best


def test_a_resume_with_a_changed_space_is_refused_with_its_file(tmp_path: Path) -> None:
    run(make(tmp_path))
    file = tmp_path / "runs" / "parabola" / "search.yaml"
    changed = re.sub(r"- 3\n", "- 4\n", file.read_text())
    assert changed != file.read_text()
    file.write_text(changed)
    search = Search.open("parabola", tmp_path / "runs")
    with pytest.raises(SpecError, match=f"^{file}: space: a search goes on with the space that it began with"):
        search.resume(executor="local", progress=False)


def test_presets_are_written_out_and_mean_the_same_space(tmp_path: Path) -> None:
    search = Search.from_yaml(write_search(tmp_path), [f"storage={tmp_path}/runs", "tracking=null"])
    before = search.space.fingerprint
    run(search)
    text = (tmp_path / "runs" / "small" / "search.yaml").read_text()
    assert "preset" not in text and "stride_height: 1" in text
    again = Search.open("small", tmp_path / "runs")
    assert again.space.fingerprint == before
    assert again.best is not None and again.best.metrics["test/accuracy"] > 0


def test_the_run_keeps_which_row_belongs_to_which_part(tmp_path: Path) -> None:
    sets = [f"storage={tmp_path}/runs", "tracking=null", "budget.trials=1", "task.data.split_seed=5"]
    search = run(Search.from_yaml(write_search(tmp_path), sets))
    file = tmp_path / "runs" / "small" / "splits.npz"
    with np.load(file) as found:
        assert np.array_equal(found["parts"], search.config.task.open().parts)
        assert np.bincount(found["parts"]).sum() == 1797
    written = file.stat().st_mtime_ns
    search.resume(executor="local", progress=False)
    assert file.stat().st_mtime_ns == written


def test_a_given_name_is_exact_and_a_files_name_is_numbered(tmp_path: Path) -> None:
    file = write_search(tmp_path)
    sets = [
        f"storage={tmp_path}/runs",
        "tracking=null",
        "task={kind: function, target: 'tests.cluster.test_search:one'}",
    ]
    sets += ["space={x: {integer: [1, 3]}}", "objectives=[{metric: score}]"]
    names = [run(Search.from_yaml(file, sets)).run_folder.name for _ in range(2)]
    assert names == ["small", "small-2"]
    with pytest.raises(SpecError, match="this name is taken; got 'small-2'"):
        run(Search.from_yaml(file, sets, name="small-2"))


def one(spec: Any, trial: TrialContext) -> Iterator[dict[str, float]]:
    yield {"score": float(spec["x"])}


def test_what_is_logged_is_kept(tmp_path: Path) -> None:
    search = run(make(tmp_path, seed=7))
    text = (tmp_path / "runs" / "parabola" / "log.txt").read_text()
    assert "parabola begins, seed 7" in text
    assert "parabola ended: budget.trials" in text
    assert search.sent


@pytest.mark.parametrize("resources", [{"cpus": 9999}, {"workers": 2}])
def test_what_needs_no_ray_is_refused_without_one(tmp_path: Path, resources: dict[str, int]) -> None:
    (name,) = resources
    search = make(tmp_path, resources=resources, tracking={"uri": f"sqlite:///{tmp_path}/mlflow.db"})
    with pytest.raises(SpecError, match=f"resources/{name}: "):
        search.run(progress=False)
    # Neither was the name claimed nor MLflow's process started.
    assert not (tmp_path / "runs" / "parabola").exists() and not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_search_that_is_refused_after_all_frees_its_name_and_leaves_no_run(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    uri = stores.database(tmp_path, tmp_path_factory.mktemp("template"))
    with pytest.raises(SpecError, match="resources/gpus: a trial must fit on a node"):
        make(tmp_path, resources={"gpus": 99}, tracking={"uri": uri}).run(progress=False)
    assert not (tmp_path / "runs" / "parabola").exists()
    looked = stores.client(uri)
    experiments = [found.experiment_id for found in looked.search_experiments()]
    assert looked.search_runs(experiments) == []


def test_places_are_where_the_search_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    search = make(tmp_path, storage="mine", tracking={"uri": "sqlite:///x.db"})
    assert search.config.storage == str(tmp_path / "mine")
    assert search.config.tracking is not None and search.config.tracking.uri == f"sqlite:///{tmp_path}/x.db"
    assert make(tmp_path, storage="s3://bucket/runs").config.storage == "s3://bucket/runs"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_search_of_python_and_its_resume_by_name_are_one_run_in_mlflow(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.database(tmp_path, tmp_path_factory.mktemp("template"))
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"budget": {"trials": 2}, "objectives": [{"metric": "score"}], "controller": "random"}
    run(Search({"x": Integer(1, 9)}, task=one, name="parabola", tracking={"uri": "sqlite:///mlflow.db"}, **given))
    before, _ = stores.runs(f"sqlite:///{tmp_path}/mlflow.db", "deepspace")
    # Run and store move together.
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("runs", "mlflow.db"):
        (tmp_path / name).rename(moved / name)
    search = Search.open("parabola", moved / "runs")
    search.set_trials(3)
    search.resume(executor="local", progress=False)
    after, children = stores.runs(f"sqlite:///{moved}/mlflow.db", "deepspace")
    assert after.info.run_id == before.info.run_id and sorted(children) == ["t000000", "t000001", "t000002"]


def test_a_run_that_is_opened_by_name_goes_on_with_the_class_of_its_template(tmp_path: Path) -> None:
    first = run(make(tmp_path, budget={"trials": 3, "epochs": 2}))
    opened = Search.open("parabola", tmp_path / "runs")
    assert opened.space.fingerprint == first.space.fingerprint
    opened.set_trials(6)
    opened.resume(executor="local", progress=False)
    # The function reads `spec.x`: given plain data, it would fail.
    assert opened.trials["status"].to_pylist() == ["COMPLETED"] * 6
    assert opened.best is not None and isinstance(opened.best.spec, Point)


def test_a_run_whose_class_is_gone_or_another_is_refused_in_one_line(tmp_path: Path) -> None:
    run(make(tmp_path))
    file = tmp_path / "runs" / "parabola" / "search.yaml"
    text = file.read_text()
    assert f"class: {__name__}:Point\n" in text
    file.write_text(text.replace(f"{__name__}:Point", f"{__name__}:Gone"))
    with pytest.raises(SpecError, match=f"^{file}: space/class: the class of this spec cannot be imported"):
        Search.open("parabola", tmp_path / "runs").resume(executor="local", progress=False)
    file.write_text(text.replace(f"{__name__}:Point", f"{__name__}:Spot"))
    with pytest.raises(SpecError, match="space: a search goes on with the space that it began with"):
        Search.open("parabola", tmp_path / "runs").resume(executor="local", progress=False)


class Spot(Point):
    """The same fields under another name."""


def total(spec: Any, trial: TrialContext) -> Iterator[dict[str, float]]:
    point, weight = spec
    yield {"score": point.x * weight}


def test_a_tuple_is_a_template(tmp_path: Path) -> None:
    sections: dict[str, Any] = {
        "name": "pair",
        "controller": "random",
        "objectives": [{"metric": "score"}],
        "tracking": None,
        "storage": str(tmp_path / "runs"),
    }
    run(Search((Point(x=hole(Float(0.0, 1.0))), Integer(1, 3)), task=total, budget={"trials": 2}, **sections))
    opened = Search.open("pair", tmp_path / "runs")
    opened.set_trials(4)
    opened.resume(executor="local", progress=False)
    assert opened.trials["status"].to_pylist() == ["COMPLETED"] * 4
    assert opened.best is not None
    point, weight = opened.best.spec
    assert isinstance(point, Point) and weight in (1, 2, 3)
    assert opened.best.candidate.keys() == {"0/x", "1"}


def test_a_space_of_which_every_candidate_breaks_a_rule_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    class Unhappy(Point):
        def check(self) -> None:
            raise SpecError("nothing is right", self.n, "nothing", "n")

    with pytest.raises(SpecError) as caught:
        run(make(tmp_path, Unhappy(x=hole(Float(0.0, 1.0)))))
    text = "space/n: no candidate of 20 keeps this rule: nothing is right; got 1; allowed nothing"
    assert str(caught.value) == text
    assert not (tmp_path / "runs").exists()
