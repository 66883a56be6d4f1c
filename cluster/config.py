"""A search file as a spec: everything one search is, checked before anything starts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from cluster import searchfile
from controllers.base import ControllerConfig
from controllers.objective import Constraint, Objective
from controllers.pruners import PrunerConfig
from controllers.supernet import SupernetConfig
from controllers.warm_start import WarmStart
from search_spaces.errors import SpecError, nearest
from search_spaces.space import Space
from search_spaces.spec import Spec
from trainers.tasks.base import Task

SCHEMA = 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
DEFAULT_STORAGE = "runs"
PROXY = "proxy/"
DEFAULT_STORE = "sqlite:///mlflow.db"

Positive = Annotated[int, Field(ge=1)]


class Budget(Spec):
    """How much a search may spend. Trials answered from the cache or refused by a constraint are not counted.

    Args:
        trials: Trials started.
        epochs: Epochs of one trial; may be a fraction.
        seconds: Active time of the whole search, summed over resumes.
    """

    trials: Positive | None = None
    epochs: Annotated[float, Field(gt=0)] = 1.0
    seconds: Annotated[float, Field(gt=0)] | None = None

    def check(self) -> None:
        """Checks that the search can end."""
        if self.trials is None and self.seconds is None:
            raise ValueError("a budget needs trials or seconds")


class Resources(Spec):
    """What one trial gets, and how many run at a time.

    Args:
        cpus: Torch threads of a trial.
        gpus: Devices of a trial; a fraction shares one.
        workers: Processes of a trial.
        concurrency: Trials at a time; None: free CPUs over `cpus`.
    """

    cpus: Positive = 1
    gpus: Annotated[float, Field(ge=0)] = 0.0
    workers: Positive = 1
    concurrency: Positive | None = None


class Tracking(Spec):
    """Where MLflow keeps what people see.

    Args:
        uri: An MLflow store: `sqlite:///FILE`, a folder, or a server.
        experiment: Name of the experiment.
    """

    uri: str = DEFAULT_STORE
    experiment: Annotated[str, Field(min_length=1)] = "deepspace"


class SearchConfig(Spec):
    """One search.

    Args:
        name: Folder of the run below `storage`.
        task: What a trial does.
        space: The template as plain data, as the file writes it.
        controller: Who chooses.
        control: Who chooses in a second search, NAME-control, in which all else is equal; it runs after the first, and
            what both found is shown side by side. None: there is none.
        pruner: Who stops trials early; None: nobody.
        warm_start: Which candidates are evaluated first; None: those that the controller proposes.
        budget: How much it may spend.
        objectives: What is better; the first decides `best`.
        constraints: What a candidate must keep to.
        resources: What a trial gets.
        tracking: Where MLflow keeps it; None: without.
        storage: Folder or URI of the runs.
        seed: Root of every generator.
        duplicates: Whether a candidate that was already evaluated is answered from the `cache` or evaluated again.
        lookahead: Trials asked for before a place is free.
        repeats: Evaluations of each candidate.
        keep: Best trials whose checkpoints stay.
    """

    name: str = "search"
    task: Task
    space: dict[str, Any] | list[Any]
    controller: ControllerConfig
    control: ControllerConfig | None = None
    pruner: PrunerConfig | None = None
    warm_start: WarmStart | None = None
    budget: Budget
    objectives: Annotated[tuple[Objective, ...], Field(min_length=1)]
    constraints: tuple[Constraint, ...] = ()
    resources: Resources = Resources()
    tracking: Tracking | None = Tracking()
    storage: str = DEFAULT_STORAGE
    seed: Annotated[int, Field(ge=0)] = 0
    duplicates: Literal["cache", "evaluate"] = "cache"
    lookahead: Annotated[int, Field(ge=0)] = 0
    repeats: Positive = 1
    keep: Annotated[int, Field(ge=0)] = 3

    @field_validator("name")
    @classmethod
    def _name_is_a_folder(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(f"must be a plain name; got {name!r}; allowed letters, digits, and _ . - inside")
        return name

    def check(self) -> None:
        """Checks that every metric that decides something is one that the task reports."""
        known = self.task.metrics()
        told = [metric for metric in known if not metric.startswith(PROXY)]  # a proxy is the result of no trial
        named = {
            "objectives": [goal.metric for goal in self.objectives],
            "constraints": [limit.metric for limit in self.constraints],
        }
        for section, metrics in named.items():
            for number, metric in enumerate(metrics):
                if told and metric not in told:
                    raise unknown_metric(metric, told).at(section, number, "metric")
        for section in ("controller", "control"):
            if isinstance(getattr(self, section), SupernetConfig) and "supernet" not in self.task.modes:
                rule = "this controller trains a supernet first, which this task cannot"
                raise SpecError(rule, _kind(self.task), "classification, or another controller", section)
        for number, metric in enumerate(getattr(self.controller, "features", ()) if known else ()):
            if metric not in known:
                raise unknown_metric(metric, known).at("controller", "features", number)
        if self.warm_start is not None:
            self._check_proxy(self.warm_start.proxy)

    def _check_proxy(self, proxy: str) -> None:
        if "proxy" not in self.task.pooled:
            allowed = "classification, or null"
            raise SpecError("a warm start needs a task with proxies", _kind(self.task), allowed, "warm_start")
        known = [name for name in self.task.metrics() if name.startswith((PROXY, "cost/"))]
        if proxy not in known:
            raise unknown_metric(proxy, known).at("warm_start", "proxy")

    @property
    def fidelity(self) -> int:
        """Reports to which a trial runs: epochs over epochs a report, at least one."""
        return max(1, round(self.budget.epochs / self.task.report_every))

    def make_space(self) -> Space:
        """Returns the space.

        Raises:
            SpecError: The template breaks a rule; the path begins with `space`.
        """
        try:
            return Space(self.task.template(self.space))
        except SpecError as error:
            raise error.at("space") from None


def _kind(task: Task) -> str:
    return getattr(task, "kind", type(task).__name__)


def unknown_metric(name: str, known: Iterable[str]) -> SpecError:
    """Returns the error for a metric that the task does not report, with the task's list."""
    names = list(known)
    close = nearest(name, names)
    rule = "unknown metric" + (f", did you mean {close!r}?" if close else "")
    return SpecError(rule, name, ", ".join(names))


def load(path: str | os.PathLike[str], overrides: Iterable[str] = (), base: Path | None = None) -> SearchConfig:
    """Returns the search that a file describes.

    Args:
        path: A YAML file; relative paths in it belong to its folder. What it does not say has its default, and the
            default places (`runs`, `mlflow.db`) lie where the command was typed.
        overrides: `path=value` assignments; relative paths in them belong to `base`.
        base: Where the command was typed; None: the working directory.

    Raises:
        SpecError: Something breaks a rule; the text is one line that begins with the file.
    """
    file, here = Path(path), base or Path.cwd()
    try:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "must be UTF-8 text"
            raise SpecError(f"cannot be read: {reason}") from None
        return from_text(text, file.absolute().parent, here, overrides, file.stem)
    except SpecError as error:
        raise in_file(error, path) from None


def from_text(
    text: str, folder: Path, here: Path, overrides: Iterable[str] = (), name: str | None = None
) -> SearchConfig:
    """Returns the search that a text describes.

    Args:
        text: YAML.
        folder: To which relative paths in the text belong.
        here: To which relative paths in the overrides and the default places belong.
        overrides: `path=value` assignments.
        name: The search's name where the text gives none.

    Raises:
        SpecError: Something breaks a rule.
    """
    data = searchfile.absolute(searchfile.mapping(text), folder)
    schema = data.pop("schema", SCHEMA)
    if schema != SCHEMA:
        raise SpecError("unreadable schema", schema, str(SCHEMA), "schema")
    data = searchfile.override(data, overrides, here)
    if name is not None and NAME.fullmatch(name):
        data.setdefault("name", name)
    return placed(SearchConfig.from_data(data), here)


def placed(config: SearchConfig, here: Path) -> SearchConfig:
    """Returns the search with its storage and its tracking store as absolute places.

    Args:
        config: The search.
        here: To which relative ones belong.
    """
    tracking = None if config.tracking is None else config.tracking.to_data()
    places = searchfile.absolute({"storage": config.storage, "tracking": tracking}, here)
    kept = config.tracking and config.tracking.model_copy(update={"uri": places["tracking"]["uri"]})
    return config.model_copy(update={"storage": places["storage"], "tracking": kept})


def in_file(error: SpecError, file: str | os.PathLike[str]) -> SpecError:
    """Returns the error with the file before its path: `FILE: PATH: rule; ...`."""
    where = f"{os.fspath(file)}: {error.path}" if error.path else os.fspath(file)
    return SpecError(error.rule, error.got, error.allowed, where)


def to_text(config: SearchConfig, run: Path | None) -> str:
    """Returns the resolved search as YAML: what is stored with the run.

    Args:
        config: The search.
        run: Local folder of the run, to which paths are made relative so that both can be moved; None: paths stay.
    """
    data = {"schema": SCHEMA, **config.to_data()}
    return searchfile.dump(data if run is None else searchfile.relative(data, run))
