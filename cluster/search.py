"""A search from Python: made from a file or from objects, run, resumed, and looked at."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from cluster.config import SearchConfig, in_file, load, placed
from cluster.control import control_config, control_run, refuse_other
from cluster.history import TrialRow
from cluster.journal import headers
from cluster.lock import alive, refuse_second
from cluster.preflight import check_candidates, check_controller, check_space_unchanged, check_store
from cluster.resources import check_here
from cluster.retrain import chosen, retrain_config
from cluster.runs import SEARCH, Run
from cluster.runtime import Opened, drive
from cluster.standing import Standing
from cluster.storage import Storage, StorageError
from cluster.upkeep import STOP_FILE
from search_spaces.candidate import Candidate
from search_spaces.errors import SpecError, join
from search_spaces.space import Space
from search_spaces.spec import plain

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger(__name__)

Executor = Literal["tune", "local"]
DATA_SECONDS = 2.0
"""How long a wrong data file is waited for before Ray is started beside it."""
LOG = "log.txt"
PACKAGES = ("cluster", "controllers", "trainers", "search_spaces")


@dataclass(frozen=True)
class Found:
    """A candidate that a search has evaluated.

    Args:
        trial_id: Its trial.
        candidate: What was chosen.
        spec: The realized candidate: it can be built and trained.
        metrics: The last value of each metric, those of the final test included.
    """

    trial_id: str
    candidate: Candidate
    spec: Any
    metrics: Mapping[str, float]


class Search:
    """One search.

    Args:
        space: A `Space`, or a template: a spec, mapping or tuple with holes.
        task: A task, or a function `fn(spec, trial)` that yields a dict of numbers a step.
        sections: The other keys of a search file, as specs or plain data. A controller or pruner may be given by its
            kind alone.

    Raises:
        SpecError: Something breaks a rule.
    """

    def __init__(self, space: Any, *, task: Any, **sections: Any) -> None:
        made = space if isinstance(space, Space) else Space(space)
        for key in ("controller", "pruner"):
            if isinstance(sections.get(key), str):
                sections[key] = {"kind": sections[key]}
        data = {**sections, "task": {"kind": "function", "target": task} if callable(task) else task}
        config = SearchConfig.from_data({**data, "space": plain(made.template)})
        config = config.model_copy(update={"space": config.task.section(made.template)})
        self._begin(placed(config, Path.cwd()), made)

    def _begin(self, config: SearchConfig, space: Space | None, file: str | os.PathLike[str] | None = None) -> None:
        self.config = config
        self.reason: str | None = None
        self.code = 0
        self.sent = True
        self._given = space
        self._file = file
        self._exact = False
        self._run: Run | None = None

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], overrides: Iterable[str] = (), *, name: str | None = None) -> Self:
        """Returns the search that a file describes.

        Args:
            path: A search file.
            overrides: `path=value` assignments, as of `--set`.
            name: Name of the run, which must be free; None: the file's, with `-2`, `-3` behind it when taken.

        Raises:
            SpecError: Something breaks a rule; the text begins with the file.
        """
        search = cls.__new__(cls)
        search._begin(load(path, overrides), None, path)
        if name is not None:
            search.config = SearchConfig.from_data(search.config.model_copy(update={"name": name}).__dict__)
            search._exact = True
        return search

    @classmethod
    def open(cls, name: str, storage: str | os.PathLike[str] = "runs", overrides: Iterable[str] = ()) -> Self:
        """Returns a search that was begun before, to be resumed or looked at.

        Args:
            name: Of the run.
            storage: Where it lies.
            overrides: `path=value` assignments on what its search file says.

        Raises:
            SpecError: There is no such run, or its search file cannot be read.
        """
        run = Run.find(name, storage, overrides)
        search = cls.__new__(cls)
        search._begin(run.config, None, run.storage.uri(SEARCH))
        search._run = run
        return search

    def run(self, address: str | None = None, progress: bool = True, executor: Executor = "tune") -> Self:
        """Runs the search until its budget is spent.

        Args:
            address: A Ray cluster; None: a local Ray.
            progress: Show it in the terminal.
            executor: `tune`, or `local` for trials in this process, which a debugger can enter.

        Raises:
            SpecError: Something breaks a rule that only data, store or storage can tell.
        """
        with self._told_with_file():
            check_candidates(self.space)
            Storage.open(self.config.storage).ensure_writable()
        space, opened = self._checked(own_ray=executor == "tune" and address is None)
        with self._told_with_file(), opened:
            # Presets are written out: the run goes on with what they were when it began.
            resolved = self.config.model_copy(update={"space": self.config.task.section(space.template)})
            self._run = run = Run.claim(resolved, self._exact)
            self.config = run.config
            try:
                self.control()  # a run of its name that is none of this search is refused before the first trial
                return self._drive(space, opened, address, progress, executor)
            except SpecError:
                # Refused after all, before its first record: the name is free again.
                if not headers(run.storage):
                    run.discard()
                raise

    def resume(self, address: str | None = None, progress: bool = True, executor: Executor = "tune") -> Self:
        """Goes on from where the journal ends.

        Args:
            address: A Ray cluster; None: a local Ray.
            progress: Show it in the terminal.
            executor: `tune`, or `local` for trials in this process, which a debugger can enter.

        Raises:
            SpecError: The search was not begun, or its space is another now.
        """
        run = self.run_folder
        refuse_second(run.storage)
        with self._told_with_file():
            check_space_unchanged(run.storage, self.space)
        space, opened = self._checked(own_ray=executor == "tune" and address is None)
        with self._told_with_file(), opened:
            run.storage.ensure_writable()
            self.control()
            run.save()
            return self._drive(space, opened, address, progress, executor)

    def retrain(self, overrides: Iterable[str] = (), *, trial: str | None = None) -> Search:
        """Returns the search, not yet run, that trains a candidate of this one from scratch as its only trial.

        Args:
            overrides: `path=value` assignments, such as `architecture.filters=64` or `budget.epochs=600`.
            trial: The trial whose candidate it is; None: the best.

        Raises:
            SpecError: There is no such trial, or an override breaks a rule.
        """
        row = chosen(self.standing, trial)
        made = Search.__new__(Search)
        made._begin(retrain_config(self.run_folder.config, self.space, row, overrides, Path.cwd()), None)
        return made

    def control(self) -> Search | None:
        """Returns the control of this search, begun before or not, to be run or resumed; None: it asks for none."""
        config = control_config(self.run_folder.config)
        if config is None:
            return None
        if control_run(self.run_folder) is not None:
            found = Search.open(config.name, config.storage)
            refuse_other(found.config, config)
            found.config = found.run_folder.config = found.config.model_copy(
                update={"budget": config.budget, "tracking": config.tracking}
            )
            return found
        made = Search.__new__(Search)
        made._begin(config, None, self._file)
        made._exact = True
        return made

    def go_on(self, address: str | None = None, progress: bool = True, executor: Executor = "tune") -> Self:
        """Runs the search, or resumes it where it was begun before; as `run` and `resume`."""
        return (self.run if self._run is None else self.resume)(address, progress, executor)

    def set_trials(self, trials: int) -> None:
        """Changes the budget of a search that is going to be resumed.

        Args:
            trials: Trials in all, those that were started included.
        """
        budget = self.config.budget.model_copy(update={"trials": trials})
        self.config = self.config.model_copy(update={"budget": budget})
        if self._run is not None:
            self._run.config = self.config

    def stop(self) -> bool:
        """Asks the driver of this search, or of its control, to save its state and end; returns whether one runs.

        The driver may be another process, on another machine.
        """
        for run in (self.run_folder, control_run(self.run_folder)):
            if run is not None and alive(run.storage) is not None:
                run.storage.write_atomic(STOP_FILE, b"")
                return True
        return False

    @property
    def run_folder(self) -> Run:
        """The run, as it lies in the storage.

        Raises:
            SpecError: The search was not begun.
        """
        if self._run is None:
            raise SpecError("this search was not begun", self.config.name, "run() first, or Search.open(name)")
        return self._run

    @property
    def standing(self) -> Standing:
        """Where the search stands, by its journal."""
        return self.run_folder.standing()

    @property
    def best(self) -> Found | None:
        """The feasible candidate with the best first objective, or None."""
        standing = self.standing
        return None if standing.best is None else self._found(standing, standing.best)

    @property
    def pareto_front(self) -> list[Found]:
        """The feasible candidates that no other dominates, in ask order."""
        standing = self.standing
        return [self._found(standing, row) for row in standing.front]

    @property
    def trials(self) -> pa.Table:
        """All trials as a table, a row each; `p:PATH` is a choice, `m:METRIC` a metric."""
        from cluster.tables import load_trials

        return load_trials(self.run_folder.storage)

    @property
    def space(self) -> Space:
        """The space."""
        if self._given is None:
            self._given = self.config.make_space()
        return self._given

    def _found(self, standing: Standing, row: TrialRow) -> Found:
        metrics = {**row.metrics, **standing.finals.get(row.trial_id, {})}
        return Found(row.trial_id, row.candidate, self.space.realize(row.candidate), metrics)

    def _checked(self, own_ray: bool) -> tuple[Space, Opened]:
        """The space and the data, once everything was checked that shows within seconds."""
        with self._told_with_file():
            check_here(self.config.resources, own_ray)
            check_controller(self.config, self.space)
            self._check_control()
            if self.config.tracking is not None:
                check_store(self.config.tracking.uri)
            opened = Opened(self.config, self.space)
            try:
                opened.wait(DATA_SECONDS)
            except SpecError as error:
                field = error.path.split("/")[0] in type(self.config.task).model_fields
                raise (error.at("task") if field else error) from None
            return self.space, opened

    def _check_control(self) -> None:
        """Refuses a control that cannot search the space, before anything runs."""
        config = control_config(self.config)
        if config is None:
            return
        try:
            check_controller(config, self.space)
        except SpecError as error:
            first, _, rest = error.path.partition("/")
            path = join("control", rest) if first == "controller" else error.path
            allowed = error.allowed and error.allowed.replace("controller/", "control/")
            raise SpecError(error.rule, error.got, allowed, path) from None

    @contextmanager
    def _told_with_file(self) -> Iterator[None]:
        try:
            yield
        except SpecError as error:
            raise (error if self._file is None else in_file(error, self._file)) from None
        except StorageError as error:
            raise (error if self._file is None else StorageError(f"{self._file}: {error}")) from None

    def _drive(self, space: Space, opened: Opened, address: str | None, progress: bool, executor: Executor) -> Self:
        run = self.run_folder
        with _log_to(run.storage), self._live(progress):
            _log.info("%s begins, seed %d, in %s", run.name, run.config.seed, run.storage.uri())
            end = drive(run.config, run.storage, address=address, executor=executor, space=space, opened=opened)
            _log.info("%s ended: %s", run.name, end.reason)
        self.reason, self.code, self.sent = end.reason, end.code, end.sent
        return self

    def _live(self, progress: bool) -> AbstractContextManager[object]:
        if not progress:
            return nullcontext()
        from cluster.terminal import REFRESH_SECONDS, REMOTE_REFRESH_SECONDS, Live

        run = self.run_folder
        refresh = REFRESH_SECONDS if run.storage.appendable else REMOTE_REFRESH_SECONDS
        return Live(run.standing(), run.name, run.config.budget, refresh=refresh)


@contextmanager
def _log_to(storage: Storage) -> Iterator[None]:
    """Writes what our packages log to `log.txt` of a local run, warnings to standard error too."""
    shown = logging.StreamHandler()
    shown.setLevel(logging.WARNING)
    shown.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    handlers: list[logging.Handler] = [shown]
    if storage.folder is not None:
        kept = logging.FileHandler(storage.folder / LOG, encoding="utf-8")
        kept.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(kept)
    loggers = [logging.getLogger(name) for name in PACKAGES]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        for handler in handlers:
            logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            for handler in handlers:
                logger.removeHandler(handler)
        for handler in handlers:
            handler.close()
