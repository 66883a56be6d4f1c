from pathlib import Path

import pytest

from cluster.commands.run import _total, program, resume_command, stop, tracking_option
from cluster.search import Search
from search_spaces.errors import SpecError
from tests.cluster.test_search import make, run


@pytest.mark.parametrize(("text", "before", "total"), [("+3", 5, 8), ("9", 5, 9), ("9", None, 9)])
def test_trials_are_added_or_set(text: str, before: int | None, total: int) -> None:
    assert _total(text, before) == total


@pytest.mark.parametrize(("text", "before"), [("0", 5), ("-3", 5), ("x", 5), ("+3", None)])
def test_a_wrong_number_of_trials_is_refused(text: str, before: int | None) -> None:
    with pytest.raises(SpecError, match="^--trials: "):
        _total(text, before)


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
    assert stop("parabola", "runs", None) == 0
    assert "parabola does not run" in capsys.readouterr().out


def test_the_command_that_goes_on_carries_the_tracking_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    search = run(make(tmp_path))
    monkeypatch.setattr(Search, "stop", lambda self: True)
    assert stop("parabola", f"{tmp_path}/runs", "http://host:5000") == 0
    assert capsys.readouterr().out.strip().endswith(f"{resume_command(search)} --tracking http://host:5000")
    assert (tracking_option(None), tracking_option("a b")) == ("", " --tracking 'a b'")
