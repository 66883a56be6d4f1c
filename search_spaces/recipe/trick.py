"""The base of every training trick: a spec whose implementation `trainers` finds by its class."""

from __future__ import annotations

from typing import ClassVar

from search_spaces.spec import Spec

ALL_TASKS = frozenset({"classification", "segmentation", "detection", "language"})
IMAGE_TASKS = ALL_TASKS - {"language"}


class Trick(Spec):
    """One choice of how to train."""

    home: ClassVar[str | None] = "search_spaces.recipe"
    group: ClassVar[str | None] = "deepspace.tricks"
    tasks: ClassVar[frozenset[str]] = ALL_TASKS
    """Names of the tasks that can use it; the recipe of another task refuses it."""
