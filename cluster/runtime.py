"""One driver start, from opening the data to the last line of the journal.

What takes long begins early and side by side: reading the data, importing mlflow in the sink's process, starting Ray.
"""

from __future__ import annotations

import contextlib
import logging
import platform
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from cluster import resources
from cluster.checkpoints import Checkpoints
from cluster.config import SearchConfig
from cluster.driver import Driver
from cluster.executors.base import Executor, Halt, Shared
from cluster.journal import Journal, JournalError, headers
from cluster.lock import refuse_second
from cluster.mlflow_process import SinkProcess
from cluster.pictures import Pictures, with_architectures, write_curves
from cluster.preflight import check_controller
from cluster.ray_runtime import RayRuntime, prepare
from cluster.replay import check_headers, replay
from cluster.replicas import distributed
from cluster.signals import Signals
from cluster.splits import keep_splits
from cluster.storage import Storage, StorageError
from cluster.tables import Tables
from cluster.upkeep import STOP_FILE, Upkeep
from cluster.winner import finish
from controllers.base import Controller
from controllers.supernet import SupernetConfig
from search_spaces.errors import SpecError
from search_spaces.space import Space
from trainers.data.base import left_out
from trainers.trial import Common

SINK_READY_SECONDS = 5.0
SINK_LAST_SECONDS = 5.0
SINK_DRAIN_SECONDS = 120.0
OK, FAILED, INTERRUPTED = 0, 1, 130
COMMON = "common"
"""Folder of a run in which a trial leaves what others find, such as a teacher that it trained."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class End:
    """How a driver start ended.

    Args:
        reason: `budget.trials`, `budget.seconds`, `exhausted`, `converged`, `interrupted`, or what went wrong.
        code: Exit code: 0 done, 1 failed, 130 interrupted.
        best: The best trial, or None.
        sent: Whether the tracking store has everything.
        sink: What the sink said at its end.
    """

    reason: str
    code: int
    best: str | None = None
    sent: bool = True
    sink: str = ""


class Opened:
    """The data of a task, being opened in a thread of its own.

    Once it is there, the same thread counts the cost of a candidate, which imports torch, while Ray starts.

    Args:
        config: The search.
        space: What has to fit the data; None: nothing is compared.
    """

    def __init__(self, config: SearchConfig, space: Space | None = None) -> None:
        self._task = config.task
        self._space = space
        self._error: BaseException | None = None
        self.data: Any = None
        self.fingerprint = ""
        self.shape: Any = None
        self._there = threading.Event()
        self._thread = threading.Thread(target=self._open, name="data", daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> Opened:
        """Wait until the data is there, or for `timeout` seconds.

        Raises:
            SpecError: It cannot be used.
        """
        self._there.wait(timeout)
        return self.refuse()

    def finish(self) -> None:
        """Wait for the imports too; they hold torch's generator, which a trial in this process needs for itself."""
        self._thread.join()

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        # What is refused ends the process, and a thread that is inside torch then would end it with a crash.
        if error is not None:
            self.finish()

    def refuse(self) -> Opened:
        """Raise what is known to be wrong by now, without waiting."""
        if self._error is not None:
            raise self._error
        return self

    def _open(self) -> None:
        try:
            self.data = self._task.open()
            self.fingerprint = self._task.fingerprint(self.data)
            self.shape = self._task.shape(self.data)
            self._compare()
        except OSError as error:
            self._error = SpecError(f"cannot be read: {error}", path="data")
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error
        finally:
            self._there.set()
        if self._error is None and self._space is not None:
            self._count()

    def _count(self) -> None:
        import numpy as np

        assert self._space is not None
        # What is wrong with one candidate says nothing of the next; the driver counts each again.
        with contextlib.suppress(Exception):
            self._task.static_metrics(self._space.realize(self._space.sample(np.random.default_rng(0))), self.shape)

    def _compare(self) -> None:
        try:
            if self._space is not None:
                self._task.fits(self._space.template, self.data)
                self._task.refuse(self._space.template, self.shape)
        except SpecError as error:
            raise error.at("space") from None


def drive(
    config: SearchConfig,
    storage: Storage,
    *,
    address: str | None = None,
    executor: Literal["tune", "local"] = "tune",
    takeover: bool = False,
    on_tick: Sequence[Callable[[], object]] = (),
    enqueue: Sequence[Mapping[str, Any]] = (),
    space: Space | None = None,
    opened: Opened | None = None,
) -> End:
    """Run a search, from its beginning or from where its journal ends.

    Args:
        config: The search.
        storage: Its own folder.
        address: A Ray that runs already, `auto` or HOST:PORT; None: one of our own.
        executor: `tune`, or `local` for trials in this process.
        takeover: Go on even where another driver seems to live.
        on_tick: Called about twice a second.
        enqueue: Candidates to evaluate first, at the first start.
        space: The space; None: as the search says.
        opened: The data, being opened already; None: it is opened here.

    Raises:
        SpecError: Something about the search is wrong: data, resources, controller.
        LockedError: Another driver runs this search.
        ReplayError: The journal belongs to another search.
    """
    if not takeover:
        refuse_second(storage)
    with Signals() as signals:
        resources.check_here(config.resources, executor == "tune" and address is None)
        controller = check_controller(config, space or config.make_space())
        opened = opened or Opened(config, controller.space)
        sink = _start_sink(config, storage)
        try:
            session = _Session(config, storage, controller, signals, sink, takeover, tuple(on_tick), tuple(enqueue))
            end = session.run_here(opened) if executor == "local" else session.run_on_ray(opened, address)
        except BaseException as error:
            if sink is not None:
                sink.drain(SINK_LAST_SECONDS)
            if isinstance(error, KeyboardInterrupt):
                # As good as SIGKILL: the journal has all that counts.
                return End(Halt.INTERRUPTED.value, INTERRUPTED, sent=sink is None)
            raise
        if sink is None:
            return end
        sent = sink.drain(SINK_DRAIN_SECONDS)
        return End(end.reason, end.code, end.best, sent, sink.summary)


def _start_sink(config: SearchConfig, storage: Storage) -> SinkProcess | None:
    if config.tracking is None:
        return None
    log = None if storage.folder is None else storage.folder / "logs" / "mlflow.txt"
    return SinkProcess(storage, config.tracking.uri, config.tracking.experiment, config.name, log)


@dataclass
class _Session:
    """What one driver start holds."""

    config: SearchConfig
    storage: Storage
    controller: Controller[Any]
    signals: Signals
    sink: SinkProcess | None
    takeover: bool
    on_tick: tuple[Callable[[], object], ...]
    enqueue: tuple[Mapping[str, Any], ...]

    def run_here(self, opened: Opened) -> End:
        """Run the trials in this process."""
        from cluster.executors.local import LocalExecutor

        shared = self._shared(opened.wait())
        many = self.config.resources.concurrency or 1
        return self._run(opened, LocalExecutor(shared), many, platform.node())

    def run_on_ray(self, opened: Opened, address: str | None) -> End:
        """Run the trials as Tune's."""
        prepare(address)
        opened.refuse()
        if self.signals.received:
            raise KeyboardInterrupt
        wanted = self.config.resources
        with RayRuntime(address, resources.counted(wanted, "train" in self.config.task.pooled)) as running:
            import ray

            # Ray's processes start while the thread of the data imports torch; Tune's import would take turns with it.
            from cluster.executors.phases import Phases
            from cluster.executors.pool import PoolExecutor
            from cluster.executors.tune import TuneExecutor

            self.signals.install()
            resources.check_fits(wanted, running.nodes())
            fit = resources.fitting(wanted, running.free())
            many = resources.concurrency(wanted, running.free())
            # Into the object store once, whichever executors there will be.
            shared, bundle = ray.put(self._shared(opened.wait())), resources.bundle(wanted)
            executor = Phases(lambda: PoolExecutor(shared, bundle, fit), lambda: TuneExecutor(shared, bundle))
            with distributed(self.controller):
                return self._run(opened, executor, many, running.node)

    def _shared(self, opened: Opened) -> Shared:
        task, wanted = self.config.task, self.config.resources
        common = Common(self.storage.uri(COMMON), self.config.seed)
        space, controller = self.controller.space, self.config.controller
        learns = partial(controller.updater, space.template) if isinstance(controller, SupernetConfig) else None
        return Shared(task, space, opened.data, resources.device(wanted), wanted.cpus, common, learns)

    def _run(self, opened: Opened, executor: Executor, concurrency: int, node: str | None) -> End:
        marks: dict[str, str | int]
        marks = {"space": self.controller.space.fingerprint, "data": opened.fingerprint, "seed": self.config.seed}
        check_headers(self.storage, marks)
        # Until here nothing was made in MLflow that a refusal would leave behind.
        journal = Journal.open(self.storage, {**marks, "versions": _versions()}, takeover=self.takeover)
        try:
            self.storage.delete(STOP_FILE)
            keep_splits(self.storage, self.config.task.parts(opened.data))
            _warn_of_versions(self.storage)
            if (told := left_out(opened.data)) is not None:
                _log.warning("%s", told)
            tables = Tables(self.storage)
            driver = self._driver(opened, journal, tables, concurrency, node)
            try:
                return self._execute(opened, executor, driver, journal, tables)
            except Exception as error:
                with contextlib.suppress(JournalError, StorageError, OSError):
                    driver.note("end", reason=f"{type(error).__name__}: {error}", failed=True, time=time.time())
                raise
        finally:
            journal.close()

    def _execute(self, opened: Opened, executor: Executor, driver: Driver, journal: Journal, tables: Tables) -> End:
        self.signals.on_request(driver.interrupt)
        opened.finish()
        if self.sink is not None:
            # Its imports would take the processors from the first trials.
            self.sink.wait_ready(SINK_READY_SECONDS)
        halt = executor.run(driver)
        driver.close(halt)
        if halt is not Halt.INTERRUPTED:
            finish(driver, opened.data, opened.shape)
            if self.sink is not None:
                journal.sync()
                write_curves(self.storage, self.config.objectives, self.config.constraints)
        tables.close()
        reason = driver.reason or "done"
        driver.note("end", reason=reason, failed=driver.failed, time=time.time())
        code = INTERRUPTED if halt is Halt.INTERRUPTED else FAILED if driver.failed else OK
        return End(reason, code, driver.controller.best)

    def _driver(self, opened: Opened, journal: Journal, tables: Tables, concurrency: int, node: str | None) -> Driver:
        checkpoints = Checkpoints(self.storage)
        replayed = replay(self.storage, self.controller, checkpoints)
        task, shape = self.config.task, opened.shape
        # Where candidates have no architecture, nothing is done for a picture.
        shown = self.sink is not None and with_architectures(self.controller.space.template)
        driver = Driver(
            self.config,
            self.controller,
            journal,
            self.storage,
            checkpoints,
            replayed.ledger,
            Upkeep(self.storage, journal, replayed, (tables.update, *self.on_tick)),
            lambda spec: task.static_metrics(spec, shape),
            concurrency,
            node,
            Pictures(self.storage, shape).write if shown else None,
        )
        if replayed.records == 0:
            for candidate in self.enqueue:
                driver.enqueue(dict(candidate))
        return driver


def _versions() -> dict[str, str]:
    found = {}
    for name in ("deepspace", "torch", "ray", "numpy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "python": platform.python_version()}


def _warn_of_versions(storage: Storage) -> None:
    """A resume under other versions goes on, and says so: results may differ in their last bits."""
    written = headers(storage)
    if len(written) < 2:
        return
    now, before = _versions(), written[-2].get("versions", {})
    names = [name for name in before if now.get(name, before[name]) != before[name]]
    changed = [f"{name} {before[name]} -> {now[name]}" for name in names]
    if changed:
        _log.warning("resumed under other versions: %s", ", ".join(changed))
