"""A retrain is a run of its own: what it takes over, what may be changed, resume, final test, MLflow."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cluster.config import load
from cluster.history import History, TrialRow
from cluster.retrain import chosen, retrain_config, retrains
from cluster.runs import Run
from cluster.search import Search
from search_spaces.candidate import Candidate
from search_spaces.domains import Float, Integer
from search_spaces.errors import SpecError
from tests.cluster import searches, stores, trained
from trainers.trial import TrialContext

CHAIN: dict[str, Any] = {
    "architecture": {"kind": "chain", "layers": [{"filters": {"categorical": [2, 4]}}]},
    "recipe": {"batch_size": 8, "optimizer": {"kind": "sgd", "lr": {"float": [0.01, 0.1]}}},
}


def climb(spec: dict[str, Any], trial: TrialContext) -> Iterator[dict[str, float]]:
    state = trial.restored or {"sum": 0.0, "steps": 0}
    for step in range(state["steps"] + 1, trial.fidelity + 1):
        flag = Path(spec["folder"]) / "interrupted"
        if trial.mode == "retrain" and step == 3 and not flag.exists():
            flag.touch()
            raise KeyboardInterrupt
        state = {"sum": state["sum"] + spec["x"] * step, "steps": step}
        trial.checkpoint(state)
        yield {"score": state["sum"], "width": float(spec["width"]), "mode": float(trial.mode == "retrain")}


def make(folder: Path, **sections: Any) -> Search:
    given: dict[str, Any] = {
        "name": "hill",
        "controller": "random",
        "pruner": "median",
        "budget": {"trials": 4, "epochs": 2},
        "objectives": [{"metric": "score"}],
        "constraints": [{"metric": "width", "max": 5}],
        "resources": {"concurrency": 2},
        "tracking": None,
        "storage": str(folder / "runs"),
        "seed": 7,
    }
    space = {"x": Float(0.0, 1.0), "width": Integer(1, 3), "folder": str(folder)}
    return Search(space, task=climb, **{**given, **sections})


def run(search: Search) -> Search:
    return search.run(executor="local", progress=False)


def test_a_retrain_that_was_interrupted_goes_on_by_its_own_name(tmp_path: Path) -> None:
    first = run(make(tmp_path))
    assert first.best is not None
    again = run(Search.open("hill", tmp_path / "runs").retrain(["width=9", "budget.epochs=6"]))
    assert (again.reason, again.code) == ("interrupted", 130)
    opened = Search.open("hill-retrain", tmp_path / "runs")
    opened.resume(executor="local", progress=False)
    assert (opened.reason, opened.code) == ("budget.trials", 0)
    table = opened.trials.to_pylist()
    assert [(row["status"], row["mode"], row["attempts"], row["steps"]) for row in table] == [
        ("COMPLETED", "retrain", 2, 6)
    ]
    assert [step for _, step in searches.steps(tmp_path / "runs" / "hill-retrain")] == [1, 2, 3, 4, 5, 6]
    # The choices of the winner but for the width; a constraint that the larger one breaks does not count.
    assert opened.best is not None
    assert opened.best.spec == {**first.best.spec, "width": 9}
    assert opened.best.metrics["score"] == pytest.approx(21 * first.best.spec["x"])
    assert (opened.best.metrics["width"], opened.best.metrics["mode"]) == (9, 1)
    assert len(first.trials) == 4 and set(first.trials["mode"].to_pylist()) == {"train"}
    assert retrains(Run.find("hill", tmp_path / "runs")) == ["hill-retrain"]


def test_another_retrain_has_another_name_and_any_trial_can_be_had(tmp_path: Path) -> None:
    (tmp_path / "interrupted").touch()
    first = run(make(tmp_path))
    assert first.best is not None
    other = next(row for row in first.standing.rows if row.trial_id != first.best.trial_id)
    names = []
    for trial in (None, other.trial_id):
        made = run(first.retrain(["repeats=2", "budget.trials=2"], trial=trial))
        names.append(made.run_folder.name)
        assert made.best is not None
        assert made.best.spec["x"] == (first.best.candidate if trial is None else other.candidate)["x"]
        assert len(set(made.trials["seed"].to_pylist())) == 2
        controller = made.config.controller.to_data()
        assert controller == {"kind": "retrain", "run": "hill", "trial": trial or first.best.trial_id}
    assert names == ["hill-retrain", "hill-retrain-2"]
    assert retrains(first.run_folder) == names


def test_what_is_taken_over_and_what_is_not(tmp_path: Path) -> None:
    search = run(make(tmp_path))
    row = chosen(search.standing, None)
    made = retrain_config(search.config, search.space, row, ["space.width=4", "resources.cpus=2"], tmp_path)
    assert (made.budget.trials, made.budget.epochs, made.seed, made.pruner, made.constraints) == (1, 2, 7, None, ())
    assert (made.resources.cpus, made.resources.concurrency, made.storage) == (2, 1, search.config.storage)
    assert made.space == {"x": row.candidate["x"], "width": 4, "folder": str(tmp_path)}


def test_what_cannot_be_retrained_is_refused(tmp_path: Path) -> None:
    search = run(make(tmp_path))
    with pytest.raises(SpecError, match="--trial: unknown trial, did you mean 't00000[0-3]'"):
        search.retrain(trial="t00000")
    with pytest.raises(SpecError, match="space/width: a retrain trains one network: nothing is left to choose"):
        search.retrain(["width={integer: [1, 3]}"])
    with pytest.raises(SpecError, match="budget/epochs: .*got -1"):
        search.retrain(["budget.epochs=-1"])
    empty = run(make(tmp_path, name="none", constraints=[{"metric": "width", "min": 5}]))
    with pytest.raises(SpecError, match="--trial: this search has no best trial yet"):
        empty.retrain()


def test_the_winner_of_the_nasnet_example_is_trained_as_its_header_says(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "examples" / "cifar10-nasnet.yaml"
    header = file.read_text(encoding="utf-8").partition("\nname:")[0].replace("\\\n#", "")
    (command,) = [line for line in header.splitlines() if "deepspace retrain" in line]
    words = shlex.split(command)
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    config = load(file)
    space = config.make_space()
    row = TrialRow("t000000", space.sample(np.random.default_rng(0)), 0, 1, "train")
    made = retrain_config(config, space, row, sets, tmp_path)
    spec = made.make_space().template
    recipe, network = spec.recipe, spec.architecture
    assert (network.repeats, network.filters, network.aux, made.budget.epochs) == (6, 32, True, 600)
    assert (recipe.drop_path.rate, recipe.deep_supervision.weight) == (0.4, 0.4)
    assert (recipe.batch_size, recipe.clip.norm) == (32, 5.0)
    made.task.refuse(spec, ((3, 32, 32), 10))


def test_a_supernet_is_refused() -> None:
    history = History()
    modes = ("supernet", "train", "train", "supernet")
    history.trials |= {
        name: TrialRow(name, Candidate({}), 0, 1, mode) for i, mode in enumerate(modes) if (name := f"t{i:06}")
    }
    standing: Any = SimpleNamespace(history=history)
    assert chosen(standing, "t000001").mode == "train"
    with pytest.raises(SpecError) as refused:
        chosen(standing, "t000003")
    expected = "--trial: a supernet is no network to train from scratch; got 't000003'; allowed t000001, t000002"
    assert str(refused.value) == expected


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_network_is_made_larger_trained_tested_and_shown(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    uri = stores.database(tmp_path, tmp_path_factory.mktemp("template"))
    trained.images(tmp_path / "images")
    first = trained.run(trained.make(tmp_path, CHAIN, tracking={"uri": uri, "experiment": "search"}))
    assert first.best is not None
    sets = ["architecture.layers.0.filters=16", "budget.epochs=3", "tracking.experiment=retrain"]
    again = trained.run(first.retrain(sets))
    assert again.best is not None
    assert again.best.spec.architecture.layers[0].filters == 16
    assert again.best.spec.recipe == first.best.spec.recipe
    assert again.best.metrics["epoch"] == 3 and "test/accuracy" in again.best.metrics
    folder = tmp_path / "runs" / "small-retrain"
    assert json.loads((folder / "best" / "architecture.json").read_text())["layers"][0]["filters"] == 16
    assert [record.fields["trial"] for record in searches.records(folder, "final")] == ["t000000"]
    # The same rows train, validate and test.
    assert (folder / "splits.npz").read_bytes() == (tmp_path / "runs" / "small" / "splits.npz").read_bytes()
    parent, children = stores.runs(uri, "retrain")
    assert parent.data.params["controller/run"] == "small"
    assert parent.data.params["controller/trial"] == first.best.trial_id
    assert children["t000000"].data.tags["deepspace.mode"] == "retrain"
    assert len(stores.points(uri, children["t000000"], "val/accuracy")) == 3
