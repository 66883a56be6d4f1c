"""The MLflow sink seen from the driver: a process that is started early, asked to finish, and waited for.

Nothing here imports mlflow.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cluster.storage import Storage, check_schema

STATE = "mlflow_offset.json"
STATE_SCHEMA = 1


def read_state(storage: Storage) -> dict[str, Any]:
    """What the sink keeps of a search: tracking, experiment_id, run_id, search_id, offset, check; empty before it ran.

    Raises:
        StorageError: The file has a schema that this version cannot read.
    """
    try:
        state = json.loads(storage.read_bytes(STATE))
    except (FileNotFoundError, ValueError):
        return {}
    check_schema(state.pop("schema", None), STATE_SCHEMA, storage.uri(STATE))
    return dict(state)


class SinkProcess:
    """A running sink. It ends by itself when this process ends, after it has sent what the journal holds.

    Args:
        storage: The storage of the search.
        tracking: URI of the MLflow store.
        experiment: Name of the experiment.
        name: Name of the search, and of its run.
        log: File to which the sink writes what goes wrong; None: nowhere.
    """

    def __init__(
        self, storage: Storage, tracking: str, experiment: str, name: str, log: str | os.PathLike[str] | None = None
    ) -> None:
        command = [sys.executable, "-m", "cluster.mlflow_sink", storage.uri()]
        command += ["--tracking", tracking, "--experiment", experiment, "--name", name]
        if log is not None:
            Path(log).parent.mkdir(parents=True, exist_ok=True)
        packages = str(Path(__file__).parents[1])
        paths = [packages, *filter(None, [os.environ.get("PYTHONPATH")])]
        with open(log or os.devnull, "ab") as errors:
            # A session of its own: Ctrl-C is for the driver, which then asks the sink to finish.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        self._output = b""

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def wait_ready(self, timeout: float) -> bool:
        """Wait until mlflow is imported and the run of the search is there.

        Args:
            timeout: In seconds.

        Returns:
            Whether it is so by now.
        """
        deadline = time.monotonic() + timeout
        assert self._process.stdout is not None
        while b"\n" not in self._output:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                return False
            data = os.read(self._process.stdout.fileno(), 4096)
            if not data:
                return False
            self._output += data
        return self._output.startswith(b"ready ")

    def drain(self, timeout: float) -> bool:
        """Let the sink send what the journal holds, and end.

        Args:
            timeout: In seconds; what is not sent by then is sent by the sink of the next resume.

        Returns:
            Whether everything was sent.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        if not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.terminate()
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if not self._process.stdout.closed:
            self._output += self._process.stdout.read()
            self._process.stdout.close()
        return self._process.returncode == 0

    @property
    def summary(self) -> str:
        """What the sink said at its end: how many trials it sent, and how many a second."""
        lines = self._output.decode(errors="replace").splitlines()
        return lines[-1] if lines and not lines[-1].startswith("ready ") else ""
