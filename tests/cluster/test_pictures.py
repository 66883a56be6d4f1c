import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster import pictures
from cluster.journal import Journal
from cluster.pictures import Pictures, with_architectures, write_curves
from cluster.storage import Storage
from controllers.objective import Objective
from search_spaces.build import Architecture
from search_spaces.space import Space
from search_spaces.template import template
from tests.cluster import samples
from trainers.tasks.classification import Classifier

SHAPE = ((1, 8, 8), 10)


def _specs(count: int) -> list[Any]:
    space = Space(template({"architecture": {"preset": "chain", "layers": 2}}, Classifier))
    generator = np.random.default_rng(0)
    return [space.realize(space.sample(generator)) for _ in range(count)]


def test_an_architecture_is_written_as_json_that_builds_it_and_as_svg(tmp_path: Path) -> None:
    (spec,) = _specs(1)
    Pictures(Storage.open(tmp_path), SHAPE).write("t000007", spec)
    folder = tmp_path / "artifacts" / "t000007"
    assert Architecture.from_json((folder / "architecture.json").read_text()) == spec.architecture
    assert (folder / "architecture.svg").read_text().startswith("<svg")


def test_a_candidate_without_architecture_has_no_files(tmp_path: Path) -> None:
    for spec in ({"x": 0.5, "architecture": "chain"}, object()):
        Pictures(Storage.open(tmp_path), SHAPE).write("t000000", spec)
    assert not (tmp_path / "artifacts").exists()


def test_without_a_shape_nothing_is_drawn(tmp_path: Path) -> None:
    Pictures(Storage.open(tmp_path), None).write("t000000", _specs(1)[0])
    assert [path.name for path in (tmp_path / "artifacts" / "t000000").iterdir()] == ["architecture.json"]


def test_after_a_picture_that_took_long_no_more_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "DRAW_SECONDS", 0.0)
    shown = Pictures(Storage.open(tmp_path), SHAPE)
    for number, spec in enumerate(_specs(2)):
        shown.write(f"t{number}", spec)
    names = {path.name: sorted(file.name for file in path.iterdir()) for path in (tmp_path / "artifacts").iterdir()}
    assert names == {"t0": ["architecture.json", "architecture.svg"], "t1": ["architecture.json"]}


def test_a_picture_that_fails_loses_no_trial(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Pictures(Storage.open(tmp_path), ((8,), 10)).write("t000000", _specs(1)[0])
    assert "trial t000000: artifacts/t000000/ is not whole: SpecError: " in caplog.text
    assert json.loads((tmp_path / "artifacts" / "t000000" / "architecture.json").read_text())["kind"] == "chain"


def test_only_templates_with_an_architecture_are_shown() -> None:
    assert with_architectures(template({"architecture": {"preset": "chain", "layers": 2}}, Classifier))
    assert not with_architectures({"x": 0.5}) and not with_architectures((1, 2))


def test_the_curves_of_the_report_are_written_and_lose_no_search(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    storage = samples.storage(tmp_path)
    journal = Journal.open(storage, samples.HEADER)
    for number in range(3):
        samples.run_trial(journal, number)
    journal.close()
    write_curves(storage, [Objective(metric="val/accuracy")], ())
    for name in ("search", "learning"):
        assert (tmp_path / "report" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    storage.delete("report")
    storage.write_atomic("report", b"a file")
    assert caplog.text == ""
    write_curves(storage, [Objective(metric="val/accuracy")], ())
    assert "report/ has no curves: StorageError: " in caplog.text
