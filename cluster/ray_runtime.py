"""Ray's start and end: with token authentication, without dashboard, and silent."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from search_spaces.errors import SpecError

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Tune's own output, loggers, signal handling and experiment state.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
_WORKER = {"RAY_CHDIR_TO_TRIAL_DIR": "0"}
# Ray listens on all interfaces whatever it is told: ours asks for a token.
_AUTH = "RAY_AUTH_MODE"
LOCAL = "local"
CONNECT_SECONDS = 2.0
_ALLOWED = "a Ray that runs; one that asks for a token needs RAY_AUTH_MODE=token and its token here too"


def prepare(address: str | None = None) -> None:
    """Set what Ray reads from the environment when it is imported; call it before that. What the user has set stands.

    Args:
        address: None or `local`: a Ray of our own, which asks for a token. With another Ray both sides must be set
            alike, which is for the user to do, as everywhere with Ray.
    """
    own = address in (None, LOCAL)
    late = own and "ray" in sys.modules and os.environ.get(_AUTH) != "token"
    for name, value in (_QUIET | _WORKER | ({_AUTH: "token"} if own else {})).items():
        os.environ.setdefault(name, value)
    if late and os.environ[_AUTH] == "token":
        from ray._raylet import Config  # type: ignore[attr-defined]

        Config.initialize(json.dumps({"AUTH_MODE": "token"}))


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what Ray's native code says while it tries to connect from standing before the one line of a refusal."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep Ray from answering SIGTERM with an exit half-way through its start, which ends in an abort."""
    from ray._private import utils

    if not hasattr(utils, "set_sigterm_handler"):
        yield
        return
    install = utils.set_sigterm_handler
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = install


class RayRuntime:
    """A running Ray, ours or the caller's; a context manager. Start it in the main thread.

    Ray's processes end with the thread that started them.

    Args:
        address: None or `local`: a Ray of our own on this machine; else `auto` or HOST:PORT.
        cpus: CPUs that a Ray of our own counts with; None: those there are.
    """

    def __init__(self, address: str | None = None, cpus: int | None = None) -> None:
        self.address = address or LOCAL
        self._cpus = cpus
        self._ours = False

    def __enter__(self) -> RayRuntime:
        prepare(self.address)
        import ray
        from ray.exceptions import RayError

        logging.getLogger("ray").setLevel(logging.CRITICAL)
        if ray.is_initialized():
            return self
        self._refuse_silence()
        try:
            with _own_handlers(), contextlib.nullcontext() if self.address == LOCAL else _silence():
                ray.init(**self._arguments())
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, RayError) as error:
            line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            allowed = None if self.address == LOCAL else _ALLOWED
            raise SpecError(f"Ray must be reachable: {line}", self.address, allowed, "--address") from error
        self._ours = True
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the Ray of our own with all its processes, or leave the cluster; a second call does nothing."""
        if self._ours:
            import ray

            self._ours = False
            ray.shutdown()

    def nodes(self) -> list[Mapping[str, float]]:
        """What each living node has."""
        import ray

        return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]

    def free(self) -> list[Mapping[str, float]]:
        """What each node has that nobody uses now."""
        from ray._private.state import available_resources_per_node

        return list(available_resources_per_node().values())  # type: ignore[no-untyped-call]

    @property
    def node(self) -> str | None:
        """Name of the only node, or None when there are several."""
        import ray

        alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        return str(alive[0]["NodeManagerHostname"]) if len(alive) == 1 else None

    def _refuse_silence(self) -> None:
        """Refuse an address where nobody listens: Ray would try for minutes."""
        host, colon, port = self.address.rpartition(":")
        if self.address in (LOCAL, "auto") or "://" in self.address:
            return
        try:
            if not colon:
                raise ValueError("no port")
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        except (OSError, ValueError) as error:
            rule = f"Ray must be reachable: {getattr(error, 'strerror', None) or error}"
            raise SpecError(rule, self.address, "auto, or HOST:PORT of a Ray that runs", "--address") from None

    def _arguments(self) -> dict[str, Any]:
        quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        if self.address == LOCAL:
            if not any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")):
                os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
            return {"address": LOCAL, "include_dashboard": False, "num_cpus": self._cpus, **quiet}
        return {"address": self.address, "runtime_env": {"env_vars": dict(_WORKER)}, **quiet}
