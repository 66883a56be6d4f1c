"""Tokens are uniform over what is allowed, where values would not be."""

from collections import Counter

import pytest

from controllers.base import make_controller
from controllers.objective import Objective
from controllers.rl.uniform import UniformConfig
from search_spaces.domains import Categorical, Composition, Float
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.views import to_tokens

OBJECTIVES = [Objective(metric="x")]


def test_each_token_is_uniform_over_what_the_mask_allows() -> None:
    space = Space({"parts": Composition(4, 3, 1), "a": Categorical(("x", "y", "z"))})
    search = make_controller(UniformConfig(), space, OBJECTIVES, duplicates="evaluate")
    counts = Counter(trial.candidate["parts"] for trial in search.ask(3000))
    # Three values; the first part is 1 or 2 with equal chance, and 2 leaves one value.
    expected = {(1, 1, 2): 750, (1, 2, 1): 750, (2, 1, 1): 1500}
    assert set(counts) == set(expected)
    assert all(abs(counts[value] - n) < 120 for value, n in expected.items())


def test_a_choice_below_another_is_drawn_where_it_is_active() -> None:
    items = ({"w": Categorical((1, 2))}, {"w": Categorical((1, 2)), "from": Categorical((), of="items")})
    space = Space({"mix": Categorical({"off": {}, "on": {"n": Categorical((1, 2))}}), "items": items})
    search = make_controller(UniformConfig(), space, OBJECTIVES)
    drawn = {trial.candidate for trial in search.ask(100)}
    assert drawn == set(space.enumerate())
    assert search.finished == "exhausted"
    assert all(to_tokens(space, candidate) for candidate in drawn)


def test_continuous_domains_need_bins() -> None:
    space = Space({"lr": Float(0.01, 1.0, log=True)})
    with pytest.raises(SpecError, match="^lr: controller 'uniform' takes finite domains"):
        make_controller(UniformConfig(), space, OBJECTIVES)
    search = make_controller(UniformConfig(bins=3), space, OBJECTIVES)
    values = sorted(trial.candidate["lr"] for trial in search.ask(3))
    assert values == pytest.approx([0.01 * 100 ** (k / 6) for k in (1, 3, 5)])
