from pathlib import Path

import pytest

from cluster.commands.run import _total, _tracking, program, resume_command, stop
from search_spaces.errors import SpecError
from tests.cluster.test_search import make, run


@pytest.mark.parametrize(("text", "before", "total"), [("+3", 5, 8), ("9", 5, 9), ("9", None, 9)])
def test_trials_are_added_or_set(text: str, before: int | None, total: int) -> None:
    assert _total(text, before) == total


@pytest.mark.parametrize(("text", "before"), [("0", 5), ("-3", 5), ("x", 5), ("+3", None)])
def test_a_wrong_number_of_trials_is_refused(text: str, before: int | None) -> None:
    with pytest.raises(SpecError, match="^--trials: "):
        _total(text, before)


def test_tracking_none_goes_without() -> None:
    assert _tracking(None) == []
    assert _tracking("none") == ["tracking=null"]
    assert _tracking("http://h:1") == ['tracking.uri="http://h:1"']


def test_the_command_is_called_as_the_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("python", "deepspace"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    assert program() == str(tmp_path / "deepspace")
    monkeypatch.chdir(tmp_path.parent)
    assert program() == f"{tmp_path.name}/deepspace"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program() == "deepspace"


def test_the_command_that_goes_on_names_the_storage_where_it_is_not_the_usual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search = run(make(tmp_path))
    assert resume_command(search) == f"{program()} resume parabola --storage {tmp_path}/runs"
    monkeypatch.chdir(tmp_path)
    assert resume_command(search) == f"{program()} resume parabola"
    assert stop("parabola", "runs") == 0
    assert "parabola does not run" in capsys.readouterr().out
