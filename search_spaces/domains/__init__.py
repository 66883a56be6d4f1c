"""The sets that a searchable field may draw from."""

from search_spaces.domains.base import Choices, Domain, Next, Value, same
from search_spaces.domains.numbers import Float, Grid, Integer
from search_spaces.domains.options import Categorical, Subset
from search_spaces.domains.sequences import Composition, First, Route

__all__ = [
    "Categorical",
    "Choices",
    "Composition",
    "Domain",
    "First",
    "Float",
    "Grid",
    "Integer",
    "Next",
    "Route",
    "Subset",
    "Value",
    "same",
]
