"""A control experiment: the same search with another controller, as a run of its own beside it."""

from __future__ import annotations

from typing import Any

from cluster.config import SearchConfig
from cluster.runs import SEARCH, Run
from cluster.storage import Storage
from search_spaces.errors import SpecError

SUFFIX = "-control"
MAY_DIFFER = ("task", "budget", "resources", "keep", "tracking", "storage")
"""Keys of a search file that do not say whether two runs are one experiment, or not as a whole."""


def refuse_other(found: SearchConfig, wanted: SearchConfig) -> None:
    """Refuses a run that has the name of a control, and is another search.

    Args:
        found: The run.
        wanted: The control. What a search may spend, and where it runs and is kept, may differ.

    Raises:
        SpecError: It is another one.
    """
    compared = [name for name in SearchConfig.model_fields if name not in MAY_DIFFER]
    differs = [name for name in compared if getattr(found, name) != getattr(wanted, name)]
    differs += [] if found.budget.epochs == wanted.budget.epochs else ["budget/epochs"]
    tasks = _task(found), _task(wanted)
    differs += ["task"] if None not in tasks and tasks[0] != tasks[1] else []
    if differs:
        rule = f"the name of the control is taken by another search, whose {', '.join(differs)} differ"
        raise SpecError(rule, found.name, "another --name, or that run moved away", "control")


def _task(config: SearchConfig) -> dict[str, Any] | None:
    """The task as plain data; None: it is a function given in Python."""
    return None if callable(config.task.__dict__.get("target")) else config.task.to_data()


def control_config(config: SearchConfig) -> SearchConfig | None:
    """Returns the control of a search: budget, data, seed and all else are the search's. None: it asks for none.

    Args:
        config: The search.
    """
    if config.control is None:
        return None
    name = f"{config.name}{SUFFIX}"
    return config.model_copy(update={"name": name, "controller": config.control, "control": None})


def control_run(run: Run) -> Run | None:
    """Returns the run of a search's control, or None where it has none or has not begun.

    Args:
        run: The search.
    """
    config = control_config(run.config)
    begun = config is not None and Storage.open(config.storage).exists(f"{config.name}/{SEARCH}")
    return Run.find(config.name, config.storage) if config is not None and begun else None
