"""A control experiment: the same search with another controller, as a run of its own beside it."""

from __future__ import annotations

from cluster.config import SearchConfig

SUFFIX = "-control"


def control_config(config: SearchConfig) -> SearchConfig | None:
    """Returns the control of a search: budget, data, seed and all else are the search's. None: it asks for none.

    Args:
        config: The search.
    """
    if config.control is None:
        return None
    name = f"{config.name}{SUFFIX}"
    return config.model_copy(update={"name": name, "controller": config.control, "control": None})
