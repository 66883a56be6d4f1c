"""What benchmarks keep says when and where it was measured."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks import recipes
from benchmarks.record import keep, processor
from cluster.search import Search
from tests.policy.source import ROOT

MODULES = [file for file in sorted((ROOT / "benchmarks").glob("*.py")) if file.stem not in ("__init__", "record")]


def test_figures_are_kept_with_date_and_machine(tmp_path: Path) -> None:
    file = keep("some", {"times": 3.5, "bound": 3.0}, tmp_path)
    found = json.loads(file.read_text())
    assert file == tmp_path / "some.json" and (found["times"], found["bound"]) == (3.5, 3.0)
    age = datetime.now(UTC) - datetime.fromisoformat(found["date"])
    assert 0 <= age.total_seconds() < 60
    assert found["machine"]["python"] == platform.python_version()
    assert 1 <= found["machine"]["cores"] <= (os.cpu_count() or 1) and found["machine"]["cpu"]
    assert found["machine"]["torch"].startswith("2.")


def test_the_processor_has_a_name(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: another\n")
    assert processor(str(tmp_path / "cpuinfo")) == "Some CPU @ 2 GHz"
    assert processor(str(tmp_path / "absent"))


@pytest.mark.parametrize("file", MODULES, ids=lambda file: file.stem)
def test_a_benchmark_opens_with_its_claim_and_keeps_its_figures(file: Path) -> None:
    text = file.read_text()
    assert text.startswith('"""Claim: ')
    assert "from benchmarks.record import keep" in text and "keep(" in text


@pytest.mark.slow
def test_winner_and_default_train_beside_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipes, "keep", lambda name, figures: keep(name, figures, tmp_path))
    options = ["--storage", str(tmp_path / "runs")]
    assert recipes.main(["digits-recipe", *options]) == 0
    assert "digits-recipe: skipped: " in capsys.readouterr().out
    sets = ["budget={trials: 1, epochs: 1}", f"storage={tmp_path / 'runs'}", "tracking=null", "task.data.val=0.1"]
    sets.append("space.architecture={kind: chain, layers: [{filters: 8}]}")
    sets.append("space.recipe={optimizer: {kind: sgd, lr: {categorical: [0.02, 0.03]}}, flip: {kind: flip}}")
    search = Search.from_yaml(ROOT / "examples" / "digits-recipe.yaml", sets, name="digits-recipe")
    search.run(executor="local", progress=False)
    recipes.main(["digits-recipe", *options, "--seeds", "2", "--epochs", "0.4", "--threads", "1"])
    found = json.loads((tmp_path / "recipes-digits-recipe.json").read_text())
    assert (found["objective"], found["epochs"], found["seeds"]) == ("val/accuracy", 0.4, 2)
    for side in ("winner", "default"):
        assert len(set(found[side]["values"])) == 2
        assert found[side]["mean"] == pytest.approx(sum(found[side]["values"]) / 2)
        assert 0 < found[side]["test"]["test/accuracy"] < 1
    assert found["winner"]["values"] != found["default"]["values"]
    spreads = (found["winner"]["spread"] + found["default"]["spread"]) / 2**0.5
    assert found["holds"] == (found["winner"]["mean"] - found["default"]["mean"] > spreads)


def test_real_data_that_is_not_there_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(recipes, "DATA", tmp_path)
    assert recipes.main(["--real", "--storage", str(tmp_path / "runs")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(recipes.EXAMPLES)
    assert lines[2] == "scenes-detection-recipe: skipped: no bccd-train.parquet in ../shared/data"
