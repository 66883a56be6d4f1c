"""What a controller cannot handle is refused by path."""

from types import SimpleNamespace

import pytest

from controllers.capabilities import ALL, CONTINUOUS, MULTI_OBJECTIVE, refuse_domains, refuse_objectives
from controllers.objective import Objective
from search_spaces.domains import Categorical, Float
from search_spaces.errors import SpecError
from search_spaces.space import Space

SPACE = Space({"a": Categorical((1, 2)), "b": Categorical({"x": {"lr": Float(0.1, 1)}, "y": {}})})
TWO = (Objective(metric="x"), Objective(metric="y", mode="min"))


def test_a_continuous_domain_is_refused_by_path_unless_there_are_bins() -> None:
    with pytest.raises(SpecError, match=r"^b/x/lr: controller 'c' takes finite domains; .*controller/bins"):
        refuse_domains("c", ALL - {CONTINUOUS}, SPACE, SimpleNamespace(bins=None))
    with pytest.raises(SpecError, match="allowed a finite domain$"):
        refuse_domains("c", ALL - {CONTINUOUS}, SPACE, SimpleNamespace())
    refuse_domains("c", ALL - {CONTINUOUS}, SPACE, SimpleNamespace(bins=8))
    refuse_domains("c", ALL, SPACE, SimpleNamespace(bins=None))


def test_objectives_are_counted() -> None:
    with pytest.raises(SpecError, match="^objectives: controller 'c' takes one objective; got 2"):
        refuse_objectives("c", ALL - {MULTI_OBJECTIVE}, TWO, pruned=False)
    with pytest.raises(SpecError, match="^pruner: .* got 2"):
        refuse_objectives("c", ALL, TWO, pruned=True)
    with pytest.raises(SpecError, match="^objectives: "):
        refuse_objectives("c", ALL, (), pruned=False)
    refuse_objectives("c", ALL, TWO, pruned=False)
    refuse_objectives("c", ALL - {MULTI_OBJECTIVE}, TWO[:1], pruned=True)
