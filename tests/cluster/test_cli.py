import resource
import subprocess
import sys

import pytest

from cluster.cli import call


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert call([]) == 0
    bare = capsys.readouterr().out
    assert call(["--help"]) == 0
    assert capsys.readouterr().out == bare
    for command in ("search", "resume", "stop", "show", "report", "list", "inspect", "ui"):
        assert f"\n  {command} " in bare


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serch"], "deepspace: No such command 'serch'. Did you mean 'search'?"),
        (["search"], "deepspace: Missing argument 'FILE'."),
        (["search", "x.yaml", "--foo"], "deepspace: No such option: --foo"),
        (["list", "spices"], "unknown list, did you mean 'spaces'?; got 'spices'"),
        (["inspect", "chain-7"], "unknown reference architecture, did you mean 'chain-6'?; got 'chain-7'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(line)
    assert printed.err.count("\n") == 1


def test_an_error_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    from cluster.commands import catalogue

    monkeypatch.setitem(catalogue.LISTS, "spaces", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call(["list", "spaces"])


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cluster.cli import call; call(['--help']);"
        "print([name for name in ('torch', 'ray', 'mlflow', 'pydantic', 'numpy') if name in sys.modules])"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # CPU seconds, which other work on the machine does not lengthen.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
    assert done.stdout.splitlines()[-1] == "[]"
