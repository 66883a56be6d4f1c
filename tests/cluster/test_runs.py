import json
from pathlib import Path

import pytest

from cluster.config import SearchConfig, load
from cluster.runs import Run
from search_spaces.errors import SpecError
from tests.cluster.files import write_search


@pytest.fixture
def config(tmp_path: Path) -> SearchConfig:
    return load(write_search(tmp_path), base=tmp_path)


def test_a_files_name_that_is_taken_gets_a_number(config: SearchConfig) -> None:
    assert [Run.claim(config, exact=False).name for _ in range(3)] == ["small", "small-2", "small-3"]


def test_a_name_that_was_asked_for_and_is_taken_is_refused_with_both_ways_out(config: SearchConfig) -> None:
    Run.claim(config, exact=True)
    with pytest.raises(SpecError) as caught:
        Run.claim(config, exact=True)
    text = str(caught.value)
    assert text.startswith(
        "--name: this name is taken; got 'small'; allowed another --name, or: deepspace resume small"
    )


def test_a_run_is_found_again_as_it_was_claimed(config: SearchConfig, tmp_path: Path) -> None:
    claimed = Run.claim(config, exact=True)
    found = Run.find("small", tmp_path / "runs")
    assert found.config == claimed.config
    assert found.storage.uri() == str(tmp_path / "runs" / "small")


def test_a_moved_run_is_found_where_it_is_now(config: SearchConfig, tmp_path: Path) -> None:
    Run.claim(config, exact=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").rename(tmp_path / "elsewhere" / "runs")
    found = Run.find("small", tmp_path / "elsewhere" / "runs")
    assert found.config.storage == str(tmp_path / "elsewhere" / "runs")
    assert found.config.tracking is not None
    assert found.config.tracking.uri == f"sqlite:///{tmp_path}/elsewhere/mlflow.db"


@pytest.mark.parametrize("name", ["nix", "../runs/small", ""])
def test_a_name_that_is_not_there_is_refused_with_those_that_are(
    config: SearchConfig, tmp_path: Path, name: str
) -> None:
    Run.claim(config, exact=True)
    with pytest.raises(SpecError) as caught:
        Run.find(name, str(tmp_path / "runs"))
    assert str(caught.value) == f"{tmp_path}/runs: no search of this name here; got {name!r}; allowed small"


def test_a_stored_file_that_was_damaged_is_refused_with_its_path(config: SearchConfig, tmp_path: Path) -> None:
    run = Run.claim(config, exact=True)
    run.storage.write_atomic("search.yaml", b"schema: 9\n")
    with pytest.raises(SpecError, match=r"runs/small/search.yaml: schema: unreadable schema; got 9; allowed 1"):
        Run.find("small", tmp_path / "runs")


def test_a_function_given_in_python_is_written_by_its_name(config: SearchConfig, tmp_path: Path) -> None:
    def task(spec: object, trial: object) -> list[dict[str, float]]:
        return []

    data = {**config.__dict__, "task": {"kind": "function", "target": task}, "space": {}}
    run = Run.claim(SearchConfig.from_data(data), exact=True)
    assert f"target: {__name__}:test_a_function_given_in_python_is_written_by_its_name.locals.task" in run.text()
    assert run.config.task.to_data  # the run itself keeps the function
    assert run.config.task.__dict__["target"] is task


def test_the_environment_is_written_down(config: SearchConfig, tmp_path: Path) -> None:
    Run.claim(config, exact=True)
    data = json.loads((tmp_path / "runs" / "small" / "environment.json").read_text())
    assert data["schema"] == 1
    assert {"torch", "ray", "mlflow"} <= data["versions"].keys()


def test_a_discarded_run_frees_its_name(config: SearchConfig) -> None:
    Run.claim(config, exact=True).discard()
    assert Run.claim(config, exact=True).name == "small"
