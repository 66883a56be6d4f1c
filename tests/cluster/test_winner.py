import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from cluster.executors.local import LocalExecutor
from cluster.storage import Storage
from cluster.winner import finish, write_best, write_folder
from controllers.trial import Outcome, Status, Trial
from search_spaces.build import Architecture
from search_spaces.candidate import Candidate
from search_spaces.space import Space
from search_spaces.template import template
from tests.cluster import searches, trained
from trainers.checkpoint import save
from trainers.tasks.classification import Classification, Classifier


def test_best_json_holds_what_is_needed_to_find_and_judge_the_winner(tmp_path: Path) -> None:
    trial = Trial("t000007", Candidate({"x": 0.5, "way": (1, 2)}), seed=9)
    outcome = Outcome(Status.COMPLETED, {"val/accuracy": 0.9}, 3, {"seconds": 2.0})
    write_best(Storage.open(tmp_path), trial, outcome, {"test/accuracy": 0.8})
    found = json.loads((tmp_path / "best.json").read_text())
    assert found["metrics"] == {"val/accuracy": 0.9, "test/accuracy": 0.8}
    assert (found["trial_id"], found["candidate_id"]) == ("t000007", trial.candidate.id)
    assert Candidate.from_data(found["candidate"]) == trial.candidate


def test_the_folder_rebuilds_the_network_with_its_weights(tmp_path: Path) -> None:
    space = Space(template({"architecture": {"preset": "chain", "layers": 2}}, Classifier))
    spec = space.realize(space.sample(np.random.default_rng(0)))
    network = spec.architecture.build((1, 8, 8), 10)
    name = save(str(tmp_path / "checkpoints" / "t000000"), "1-1.pt", {"network": dict(network.state_dict())})
    storage = Storage.open(tmp_path)
    storage.write_atomic("best/leftover.txt", b"")
    write_folder(storage, spec, {"val/accuracy": 0.9}, str(tmp_path / "checkpoints" / name), ((1, 8, 8), 10))
    names = sorted(path.name for path in (tmp_path / "best").iterdir())
    assert names == ["architecture.json", "architecture.svg", "metrics.json", "recipe.json", "weights.safetensors"]
    again = Architecture.from_json((tmp_path / "best" / "architecture.json").read_text()).build((1, 8, 8), 10)
    again.load_state_dict(load_file(tmp_path / "best" / "weights.safetensors"))
    x = torch.linspace(0, 1, 64).reshape(1, 1, 8, 8)
    assert torch.equal(network.eval()(x), again.eval()(x))


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a small search whose task has a final test, to its end."""

    def run(test: Any, **changes: Any) -> Any:
        search = searches.config(**changes)
        monkeypatch.setattr(type(search.task), "final_test", test)
        driver, _, journal, shared = searches.make_driver(search, tmp_path)
        LocalExecutor(shared).run(driver)
        finish(driver, None, None)
        journal.close()
        return driver

    return run


def test_the_final_test_runs_once_for_the_winner_and_is_journaled(tmp_path: Path, finished: Any) -> None:
    calls: list[str] = []

    def test(self: Any, spec: Any, checkpoint: str, data: Any) -> dict[str, float]:
        calls.append(checkpoint)
        return {"test/score": 0.25}

    driver = finished(test)
    best = driver.controller.best
    assert calls == [str(tmp_path / "checkpoints" / best / "1-3.pt")]
    finals = [(record.fields["trial"], record.fields["metrics"]) for record in searches.records(tmp_path, "final")]
    assert finals == [(best, {"test/score": 0.25})]
    assert json.loads((tmp_path / "best.json").read_text())["metrics"]["test/score"] == 0.25
    assert json.loads((tmp_path / "best" / "metrics.json").read_text())["test/score"] == 0.25
    finish(driver, None, None)
    assert len(calls) == 1


def test_each_member_of_the_front_is_tested(finished: Any) -> None:
    tested: list[str] = []

    def test(self: Any, spec: Any, checkpoint: str, data: Any) -> dict[str, float]:
        tested.append(Path(checkpoint).parent.name)
        return {"test/score": 0.25}

    objectives = [{"metric": "score", "mode": "max"}, {"metric": "score", "mode": "min"}]
    driver = finished(test, objectives=objectives, keep=0)
    assert len(tested) == 6 and tuple(tested) == tuple(driver.controller.pareto_front)


def test_a_final_test_that_fails_loses_nothing(tmp_path: Path, finished: Any, caplog: pytest.LogCaptureFixture) -> None:
    def test(self: Any, spec: Any, checkpoint: str, data: Any) -> dict[str, float]:
        raise OSError("the test images are gone")

    finished(test)
    assert "the test images are gone" in caplog.text
    assert (tmp_path / "best" / "metrics.json").exists()
    assert searches.records(tmp_path, "final") == []


def test_what_the_winner_predicts_is_drawn_at_the_end_of_a_search(tmp_path: Path) -> None:
    trained.images(tmp_path / "images")
    search = trained.run(trained.make(tmp_path))
    folder = tmp_path / "runs" / "small" / "best"
    picture = (folder / "prediction.png").read_bytes()
    assert search.best is not None
    (checkpoint,) = (tmp_path / "runs" / "small" / "checkpoints" / search.best.trial_id).iterdir()
    task = search.config.task
    assert picture == task.picture(search.best.spec, str(checkpoint), task.open())
    with Image.open(io.BytesIO(picture)) as image:
        assert image.format == "PNG" and min(image.size) > 100
    # A function has no picture, and one that was there would not be its.
    storage = Storage.open(folder.parent)
    write_folder(storage, {"x": 1}, {}, None, None)
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "spec.json"]


def test_a_picture_that_fails_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def picture(self: Any, spec: Any, checkpoint: str, data: Any) -> bytes:
        raise OSError("no font here")

    trained.images(tmp_path / "images")
    monkeypatch.setattr(Classification, "picture", picture)
    assert trained.run(trained.make(tmp_path)).code == 0
    assert "no picture of predictions: OSError: no font here" in capsys.readouterr().err
    names = {path.name for path in (tmp_path / "runs" / "small" / "best").iterdir()}
    assert "weights.safetensors" in names and "prediction.png" not in names
