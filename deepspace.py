"""The public face: `from deepspace import Search, Space, Float, ...`; each name is imported when it is first used."""

# ruff: noqa: F401  (the imports below are what a type checker sees)

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cluster.config import Budget, Resources, SearchConfig, Tracking
    from cluster.search import Found, Search
    from controllers.base import Controller, ControllerConfig
    from controllers.objective import Constraint, Objective
    from controllers.table import Proposal
    from controllers.trial import Outcome, Status, Trial, Verdict
    from search_spaces.architectures.chain import Chain, ConvLayer
    from search_spaces.build import Architecture
    from search_spaces.candidate import Candidate
    from search_spaces.cost import Cost, cost
    from search_spaces.domains import Categorical, Composition, Domain, First, Float, Integer, Route, Subset
    from search_spaces.errors import SpecError
    from search_spaces.recipe import (
        ClassificationRecipe,
        DetectionRecipe,
        LanguageRecipe,
        Recipe,
        SegmentationRecipe,
    )
    from search_spaces.reference import reference
    from search_spaces.space import DecisionPoint, Space
    from search_spaces.spec import Hole, Spec, hole, kinds
    from search_spaces.template import preset
    from trainers.tasks.base import Task
    from trainers.trial import TrialContext

__version__ = "0.1.0"

_HOMES = {
    "cluster.config": ("Budget", "Resources", "SearchConfig", "Tracking"),
    "cluster.search": ("Found", "Search"),
    "controllers.base": ("Controller", "ControllerConfig"),
    "controllers.objective": ("Constraint", "Objective"),
    "controllers.table": ("Proposal",),
    "controllers.trial": ("Outcome", "Status", "Trial", "Verdict"),
    "search_spaces.architectures.chain": ("Chain", "ConvLayer"),
    "search_spaces.build": ("Architecture",),
    "search_spaces.candidate": ("Candidate",),
    "search_spaces.cost": ("Cost", "cost"),
    "search_spaces.domains": (
        "Categorical",
        "Composition",
        "Domain",
        "First",
        "Float",
        "Integer",
        "Route",
        "Subset",
    ),
    "search_spaces.errors": ("SpecError",),
    "search_spaces.recipe": (
        "ClassificationRecipe",
        "DetectionRecipe",
        "LanguageRecipe",
        "Recipe",
        "SegmentationRecipe",
    ),
    "search_spaces.reference": ("reference",),
    "search_spaces.space": ("DecisionPoint", "Space"),
    "search_spaces.spec": ("Hole", "Spec", "hole", "kinds"),
    "search_spaces.template": ("preset",),
    "trainers.tasks.base": ("Task",),
    "trainers.trial": ("TrialContext",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'deepspace' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
