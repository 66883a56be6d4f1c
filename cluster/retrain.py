"""A retrain: one trial of a search, made larger where asked, trained from scratch as a run of its own.

The run has the search's data, task and objectives, no holes, and a controller that names search and trial. So it has a
journal, is resumed, tested at its end, and shown like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cluster import searchfile
from cluster.config import SearchConfig, placed
from cluster.history import TrialRow
from cluster.runs import SEARCH, Run
from cluster.standing import Standing
from cluster.storage import Storage
from controllers.retrain import RetrainConfig
from search_spaces.errors import SpecError, listed, unknown
from search_spaces.space import Space
from search_spaces.spec import first_hole, plain
from trainers.tasks.base import Task

SUFFIX = "-retrain"


def chosen(standing: Standing, trial_id: str | None) -> TrialRow:
    """Returns the trial to retrain.

    Args:
        standing: Of the search.
        trial_id: The trial; None: the best.

    Raises:
        SpecError: There is none, or it is a supernet.
    """
    if trial_id is not None:
        if trial_id not in standing.history.trials:
            raise unknown("trial", trial_id, standing.history.trials, "--trial")
        row = standing.history.trials[trial_id]
        if row.mode == "supernet":
            networks = [name for name, each in standing.history.trials.items() if each.mode != "supernet"]
            rule = "a supernet is no network to train from scratch"
            raise SpecError(rule, trial_id, listed(networks), "--trial")
        return row
    if standing.best is None:
        raise SpecError("this search has no best trial yet", allowed="--trial ID", path="--trial")
    return standing.best


def retrain_config(
    config: SearchConfig, space: Space, row: TrialRow, overrides: Iterable[str], here: Path
) -> SearchConfig:
    """Returns the search of one trial that trains a candidate from scratch.

    Nobody stops it early and no constraint refuses it; epochs, recipe and all else are the search's, until overridden.

    Args:
        config: The search.
        space: Its space.
        row: The trial whose candidate it is.
        overrides: `path=value` assignments; a path that begins with no section of a search file is one below `space`.
        here: To which relative paths in them belong.

    Raises:
        SpecError: An override breaks a rule, or leaves something to choose.
    """
    changes: dict[str, Any] = {
        "name": f"{config.name}{SUFFIX}",
        "space": config.task.section(space.realize(row.candidate)),
        "controller": RetrainConfig(run=config.name, trial=row.trial_id).to_data(),
        "control": None,
        "pruner": None,
        "budget": {"trials": 1, "epochs": config.budget.epochs},
        "constraints": [],
        "resources": {**config.resources.to_data(), "concurrency": 1},
        "lookahead": 0,
        "repeats": 1,
    }
    kept = {name: plain(getattr(config, name)) for name in SearchConfig.model_fields if name not in ("task", *changes)}
    kept["task"] = _written(config.task)
    data = searchfile.override({**kept, **changes}, map(_below_space, overrides), here)
    made = placed(SearchConfig.from_data(data), here)
    if (hole := first_hole(made.make_space().template)) is not None:
        raise SpecError(
            "a retrain trains one network: nothing is left to choose", allowed="a value", path=f"space/{hole}"
        )
    return made


def retrains(run: Run) -> list[str]:
    """Returns the names of the runs beside a search that are called as its retrains are."""
    runs, name = Storage.open(run.config.storage), re.compile(rf"{re.escape(run.name)}{SUFFIX}(-[0-9]+)?")
    return [found for found in runs.list() if name.fullmatch(found) and runs.exists(f"{found}/{SEARCH}")]


def _written(task: Task) -> Any:
    """The task as plain data, whose fields can be set; one of a function given in Python stays what it is."""
    try:
        return task.to_data()
    except SpecError:
        return task


def _below_space(assignment: str) -> str:
    first = assignment.partition("=")[0].split(".")[0].strip()
    return assignment if first in SearchConfig.model_fields else f"space.{assignment}"
