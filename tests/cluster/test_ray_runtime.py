"""Ray is started in processes of their own: its settings are read once a process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_STARTED = """
import os, signal, sys
sys.path.insert(0, {root!r})
{first}
from cluster.ray_runtime import RayRuntime
with RayRuntime(cpus=3) as runtime:
    import ray
    assert [node["CPU"] for node in runtime.free()] == [3.0], runtime.free()
    assert len(runtime.nodes()) == 1 and runtime.nodes()[0]["CPU"] == 3.0
    assert isinstance(runtime.node, str)
    worker = ray.remote(lambda: (os.environ["RAY_AUTH_MODE"], os.environ["RAY_USAGE_STATS_ENABLED"]))
    assert ray.get(worker.remote()) == ("token", "0")
    address = ray.get_runtime_context().gcs_address
    import subprocess
    found = subprocess.run(
        [sys.executable, "-c", f"import ray; ray.init(address={{address!r}}, log_to_driver=False)"],
        env={{**os.environ, "RAY_AUTH_TOKEN": "ff" * 32}}, capture_output=True, text=True, timeout=60,
    )
    assert found.returncode != 0 and "nvalid" in found.stderr, found.stderr[-500:]
assert not ray.is_initialized()
print("ok")
"""


def _run(code: str, timeout: float = 150) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("first", ["", "import ray"], ids=["fresh", "ray was imported before"])
def test_ray_asks_for_a_token_and_ends(first: str) -> None:
    done = _run(_STARTED.format(root=str(ROOT), first=first))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] == "ok"


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_address_where_no_ray_is_is_refused_by_name() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from cluster.ray_runtime import RayRuntime
from search_spaces.errors import SpecError
try:
    RayRuntime("127.0.0.1:1").__enter__()
except SpecError as error:
    print(error)
"""
    done = _run(code)
    assert done.stdout.startswith("--address: Ray must be reachable:") and "127.0.0.1:1" in done.stdout, done.stderr


def test_settings_of_the_user_stand() -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "7"
from cluster.ray_runtime import prepare
prepare()
print(os.environ["TUNE_GLOBAL_CHECKPOINT_S"], os.environ["RAY_AUTH_MODE"], "ray" in sys.modules)
"""
    assert _run(code).stdout.split() == ["7", "token", "False"]


def test_how_a_ray_of_somebody_else_is_asked_is_for_the_user_to_say(tmp_path: Path) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
from cluster.ray_runtime import prepare
prepare("auto")
print(os.environ.get("RAY_AUTH_MODE"), os.environ["RAY_USAGE_STATS_ENABLED"])
"""
    for given, mode in (({}, "None"), ({"RAY_AUTH_MODE": "token"}, "token")):
        environment = _environment(tmp_path, **given)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert done.stdout.split() == [mode, "0"]


_CLUSTER = """
import ray, sys
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=50)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
_SEARCH = """\
name: small
task: {kind: function, target: "tests.cluster.searches:plain"}
space: {x: {float: [0.0, 1.0]}, n: {integer: [0, 5]}}
controller: {kind: random}
budget: {trials: 3, epochs: 2}
objectives: [{metric: score, mode: max}]
tracking: null
"""


def _environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    ours = {"HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return {**kept, **ours, "RAY_USAGE_STATS_ENABLED": "0", **more}


@contextmanager
def _cluster(home: Path, **more: str) -> Iterator[str]:
    """A Ray that somebody else has started; ends with its driver."""
    command = [sys.executable, "-c", _CLUSTER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=_environment(home, **more), **pipes) as ray:  # type: ignore[call-overload]
        try:
            yield ray.stdout.readline().strip()
        finally:
            ray.stdin.close()
            ray.wait(60)


def _search(folder: Path, address: str) -> subprocess.CompletedProcess[str]:
    (folder / "search.yaml").write_text(_SEARCH)
    command = [sys.executable, "-m", "cluster.cli", "search", "search.yaml", "--address", address]
    return subprocess.run(command, cwd=folder, env=_environment(folder), capture_output=True, text=True, timeout=200)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_search_runs_on_a_ray_without_token(tmp_path: Path) -> None:
    with _cluster(tmp_path, RAY_AUTH_MODE="disabled") as address:
        done = _search(tmp_path, address)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "small: 3 COMPLETED; budget.trials;" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_ray_whose_token_is_missing_is_refused_in_one_line(tmp_path: Path) -> None:
    with _cluster(tmp_path, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="ab" * 32) as address:
        done = _search(tmp_path, address)
    assert done.returncode == 2, done.stderr[-2000:]
    assert done.stderr.startswith("search.yaml: --address: Ray must be reachable: ") and address in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "runs" / "small").exists()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_mode_without_its_token_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        environment = _environment(tmp_path, RAY_AUTH_MODE="token")
        code = f"""
from cluster.ray_runtime import RayRuntime
from search_spaces.errors import SpecError
try:
    RayRuntime("127.0.0.1:{server.getsockname()[1]}").__enter__()
except SpecError as error:
    print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=100
        )
    assert done.stdout.startswith("--address: Ray must be reachable: ") and "token" in done.stdout, done.stderr
    assert not (tmp_path / ".ray").exists()
