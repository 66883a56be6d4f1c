"""A control experiment: the same search with another controller, as a run of its own beside it."""

from __future__ import annotations

from typing import Any

from cluster.config import SearchConfig
from cluster.runs import SEARCH, Run
from cluster.storage import Storage
from search_spaces.errors import SpecError

SUFFIX = "-control"


def refuse_other(found: SearchConfig, wanted: SearchConfig) -> None:
    """Refuses a run that has the name of a control, and is another search.

    Args:
        found: The run.
        wanted: The control; budget, tracking and places may differ.

    Raises:
        SpecError: It is another one.
    """
    compared = [name for name in SearchConfig.model_fields if name not in ("budget", "tracking", "storage", "task")]
    differs = [name for name in compared if getattr(found, name) != getattr(wanted, name)]
    differs += [] if _task(found) == _task(wanted) or None in (_task(found), _task(wanted)) else ["task"]
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
