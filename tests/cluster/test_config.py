import subprocess
import sys
from pathlib import Path

import pytest

from cluster.config import SearchConfig, load, to_text
from search_spaces.errors import SpecError
from tests.cluster.files import SEARCH, write_search

# What is wrong, as `--set`, and the line that says so, behind the file's name.
REFUSED = {
    "unknown key": ("sed=1", "unknown key 'sed', did you mean 'seed'?"),
    "unknown key below": ("budget.trial=1", "budget: unknown key 'trial', did you mean 'trials'?"),
    "unknown kind": ("controller.kind=randm", "controller: unknown kind of controller, did you mean 'random'?"),
    "out of range": ("budget.epochs=-1", "budget/epochs: out of range; got -1; allowed above 0"),
    "no budget": ("budget.trials=null", "budget: a budget needs trials or seconds"),
    "no objective": ("objectives=[]", "objectives: "),
    "unknown metric": ("objectives.0.metric=val/acc", "objectives/0/metric: unknown metric"),
    "metric begun": (
        "objectives.0.metric=val/acc",
        "objectives/0/metric: unknown metric, did you mean 'val/accuracy'?",
    ),
    "proxy as a goal": ("objectives.0.metric=proxy/nwot", "objectives/0/metric: unknown metric"),
    "constraint": ("constraints=[{metric: cost/parms, max: 1}]", "constraints/0/metric: unknown metric, did you mean"),
    "proxy": ("warm_start.proxy=proxy/nwt", "warm_start/proxy: unknown metric, did you mean 'proxy/nwot'?"),
    "no proxies": (
        "task={kind: function, target: 'a:b'}",
        "warm_start: a warm start needs a task with proxies; got 'function'",
    ),
    "feature": (
        "controller={kind: predictor, features: [proxy/nwt]}",
        "controller/features/0: unknown metric, did you",
    ),
    "no supernets": (
        "task={kind: segmentation, data: {kind: scenes}}",
        "controller: this controller trains a supernet first, which this task cannot; got 'segmentation'",
    ),
    "name": ("name=a/b", "name: must be a plain name; got 'a/b'"),
    "schema": ("schema=7", "unknown key 'schema'"),
    "hole outside the space": ("budget.epochs={float: [1, 2]}", "budget/epochs: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_file_is_refused_in_one_line_with_its_path(case: str, tmp_path: Path) -> None:
    file = write_search(tmp_path)
    change, message = REFUSED[case]
    more = {
        "no proxies": ["warm_start.best=2"],
        "no supernets": ["controller={kind: darts}", "objectives=[{metric: val/miou}]"],
    }
    changes = [change, *more.get(case, [])]
    with pytest.raises(SpecError) as caught:
        load(file, changes)
    text = str(caught.value)
    assert text.startswith(f"{file}: {message}")
    assert "\n" not in text


def test_an_unknown_metric_is_refused_with_the_list_of_the_task(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="allowed .*train/loss.*val/accuracy.*cost/macs"):
        load(write_search(tmp_path), ["objectives.0.metric=val/acc"])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="none.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml")


def test_defaults_lie_where_the_command_is_typed_and_the_files_paths_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    file = write_search(tmp_path / "sub")
    plain = load(file, base=tmp_path)
    assert plain.storage == str(tmp_path / "runs")
    assert plain.tracking is not None and plain.tracking.uri == f"sqlite:///{tmp_path}/mlflow.db"
    file.write_text(SEARCH + "storage: here\ntracking: {uri: 'sqlite:///x.db'}\n")
    written = load(file, base=tmp_path)
    assert written.storage == str(tmp_path / "sub" / "here")
    assert written.tracking is not None and written.tracking.uri == f"sqlite:///{tmp_path}/sub/x.db"


def test_a_name_that_is_not_written_is_the_files(tmp_path: Path) -> None:
    file = write_search(tmp_path, SEARCH.replace("name: small\n", ""), "mine.yaml")
    assert load(file).name == "mine"


def test_the_stored_file_moves_with_its_run(tmp_path: Path) -> None:
    config = load(write_search(tmp_path), base=tmp_path)
    old, new = tmp_path / "runs" / "small", tmp_path / "moved" / "runs" / "small"
    new.mkdir(parents=True)
    (new / "search.yaml").write_text(to_text(config, old))
    moved = load(new / "search.yaml")
    assert moved.storage == str(tmp_path / "moved" / "runs")
    assert moved.tracking is not None and moved.tracking.uri == f"sqlite:///{tmp_path}/moved/mlflow.db"
    kept = {"storage", "tracking"}
    assert {k: v for k, v in moved.to_data().items() if k not in kept} == {
        k: v for k, v in config.to_data().items() if k not in kept
    }
    assert moved.make_space().fingerprint == config.make_space().fingerprint


def test_fidelity_counts_reports(tmp_path: Path) -> None:
    file = write_search(tmp_path)
    assert load(file, ["budget.epochs=8"]).fidelity == 8
    assert load(file, ["budget.epochs=8", "task.report_every=0.5"]).fidelity == 16
    assert load(file, ["budget.epochs=0.1"]).fidelity == 1


def test_an_error_in_the_space_has_its_path(tmp_path: Path) -> None:
    config = load(write_search(tmp_path), ["space.recipe.optimizer.lr={float: [2, 1]}"])
    with pytest.raises(SpecError, match="^space/recipe/optimizer/lr: "):
        config.make_space()


def test_two_options_with_one_label_are_refused(tmp_path: Path) -> None:
    options = "[{kind: mixup, alpha: 0.1}, {kind: mixup, alpha: 0.2}]"
    config = load(write_search(tmp_path), [f"space.recipe.mix={{categorical: {options}}}"])
    with pytest.raises(SpecError, match="^space/recipe/mix: .*give them names"):
        config.make_space()


def test_reading_a_file_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from cluster.config import load; load(sys.argv[1]).make_space();"
        "print([name for name in ('ray', 'mlflow', 'optuna', 'nni') if name in sys.modules])"
    )
    file = write_search(tmp_path)
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_round_trip_is_whole(tmp_path: Path) -> None:
    config = load(write_search(tmp_path))
    assert SearchConfig.from_data(config.to_data()) == config
