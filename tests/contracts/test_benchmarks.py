"""What benchmarks keep says when and where it was measured."""

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.record import keep, processor
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
