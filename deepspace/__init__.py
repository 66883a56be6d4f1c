"""The public face: `from deepspace import Search, Space, Float, ...`; each name is imported when it is first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what a type checker sees; `as` says that a name is meant to be imported from here
    from cluster.config import Budget as Budget
    from cluster.config import Resources as Resources
    from cluster.config import SearchConfig as SearchConfig
    from cluster.config import Tracking as Tracking
    from cluster.search import Found as Found
    from cluster.search import Search as Search
    from controllers.base import Controller as Controller
    from controllers.base import ControllerConfig as ControllerConfig
    from controllers.objective import Constraint as Constraint
    from controllers.objective import Objective as Objective
    from controllers.table import Proposal as Proposal
    from controllers.trial import Outcome as Outcome
    from controllers.trial import Status as Status
    from controllers.trial import Trial as Trial
    from controllers.trial import Verdict as Verdict
    from search_spaces.architectures.chain import Chain as Chain
    from search_spaces.architectures.chain import ConvLayer as ConvLayer
    from search_spaces.build import Architecture as Architecture
    from search_spaces.candidate import Candidate as Candidate
    from search_spaces.cost import Cost as Cost
    from search_spaces.cost import cost as cost
    from search_spaces.domains import Categorical as Categorical
    from search_spaces.domains import Composition as Composition
    from search_spaces.domains import Domain as Domain
    from search_spaces.domains import First as First
    from search_spaces.domains import Float as Float
    from search_spaces.domains import Integer as Integer
    from search_spaces.domains import Route as Route
    from search_spaces.domains import Subset as Subset
    from search_spaces.errors import SpecError as SpecError
    from search_spaces.recipe import ClassificationRecipe as ClassificationRecipe
    from search_spaces.recipe import DetectionRecipe as DetectionRecipe
    from search_spaces.recipe import LanguageRecipe as LanguageRecipe
    from search_spaces.recipe import Recipe as Recipe
    from search_spaces.recipe import SegmentationRecipe as SegmentationRecipe
    from search_spaces.reference import reference as reference
    from search_spaces.space import DecisionPoint as DecisionPoint
    from search_spaces.space import Space as Space
    from search_spaces.spec import Hole as Hole
    from search_spaces.spec import Spec as Spec
    from search_spaces.spec import hole as hole
    from search_spaces.spec import kinds as kinds
    from search_spaces.template import preset as preset
    from trainers.tasks.base import Task as Task
    from trainers.trial import TrialContext as TrialContext

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
