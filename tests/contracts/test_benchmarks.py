"""What benchmarks keep says when and where it was measured."""

import json
import os
import platform
from datetime import UTC, datetime
from functools import partialmethod
from pathlib import Path

import pytest

from benchmarks import winners
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
@pytest.mark.timeout(300)
def test_winner_and_default_train_beside_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(winners, "keep", lambda name, figures: keep(name, figures, tmp_path))
    monkeypatch.setattr(Search, "run", partialmethod(Search.run, executor="local"))
    sets = ["budget.epochs=0.4", "task.data.val=0.1", "task.report_every=0.2"]
    sets.append("space.architecture={kind: chain, layers: [{filters: 8}]}")
    sets.append("space.recipe={optimizer: {kind: sgd, lr: {categorical: [0.02, 0.03]}}, flip: {kind: flip}}")
    options = [argument for one in sets for argument in ("--set", one)]
    code = winners.main(["digits-recipe", "--trials", "1", "--seeds", "2", *options])
    found = json.loads((tmp_path / "winners-digits-recipe.json").read_text())
    assert found["metric"] == "val/accuracy"
    for side in ("winner", "default"):
        assert len(set(found[side])) == 2
        assert found["means"][side] == pytest.approx(sum(found[side]) / 2)
        assert 0 < found["tests"][side]["test/accuracy"] < 1
    assert found["tests"]["winner"]["test/loss"] != found["tests"]["default"]["test/loss"]
    behind = found["means"]["default"] - found["means"]["winner"]
    assert found["holds"] == (behind <= sum(found["spreads"].values())) == (code == 0)
    assert capsys.readouterr().out.count("test/accuracy") == 2


def test_a_figure_that_one_seed_lacks_has_no_mean() -> None:
    assert winners.tested([(0.1, {"a": 1.0, "b": 3.0}), (0.2, {"a": 2.0})]) == {"a": 1.5}


def test_every_example_that_is_compared_is_there() -> None:
    assert all((ROOT / "examples" / f"{name}.yaml").is_file() for name in winners.REAL)


def test_real_data_that_is_not_there_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(winners, "DATA", tmp_path)
    assert winners.main(["--real"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == sorted(winners.REAL)
    assert lines[1] == "scenes-detection-recipe: skipped: no bccd-train.parquet in ../shared/data"
