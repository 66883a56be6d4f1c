"""What a controller can handle, and the refusal of what it cannot, before the first trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controllers.objective import Objective
from search_spaces.errors import SpecError
from search_spaces.space import Space

CONTINUOUS = "continuous"
MULTI_OBJECTIVE = "multi_objective"
ALL = frozenset({CONTINUOUS, MULTI_OBJECTIVE})


def refuse_objectives(name: str, supports: frozenset[str], objectives: Sequence[Objective], pruned: bool) -> None:
    """Refuses objectives that a controller, or its pruner, cannot handle.

    Args:
        name: Kind of the controller.
        supports: What it can handle.
        objectives: What is wanted.
        pruned: Whether there is a pruner.

    Raises:
        SpecError: There is none, or more than one where one is taken.
    """
    if not objectives:
        raise SpecError("a search needs an objective", path="objectives")
    if len(objectives) > 1 and MULTI_OBJECTIVE not in supports:
        raise SpecError(f"controller {name!r} takes one objective", len(objectives), "1", "objectives")
    if len(objectives) > 1 and pruned:
        raise SpecError("a pruner judges one objective", len(objectives), "1, or no pruner", "pruner")


def refuse_domains(name: str, supports: frozenset[str], space: Space, config: Any) -> None:
    """Refuses the first decision that a controller cannot handle.

    Args:
        name: Kind of the controller.
        supports: What it can handle.
        space: Where it chooses.
        config: Its settings; `bins` are those that a continuous domain is seen as, if it is.

    Raises:
        SpecError: A domain is continuous; the path says which.
    """
    if CONTINUOUS in supports or getattr(config, "bins", None) is not None:
        return
    ways = "a finite domain, or controller/bins" if hasattr(config, "bins") else "a finite domain"
    for point in space.points():
        if not point.domain.finite:
            raise SpecError(f"controller {name!r} takes finite domains", point.domain.describe(), ways, point.path)
