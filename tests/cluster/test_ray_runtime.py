"""Ray is started in processes of their own: its settings are read once a process."""

import subprocess
import sys
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
    assert runtime.free()["CPU"] == 3.0, runtime.free()
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
