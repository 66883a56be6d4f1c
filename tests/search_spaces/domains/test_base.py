"""Every domain's finite view agrees with its own values, counts and samples."""

import itertools
from collections import Counter

import numpy as np
import pytest

from search_spaces.domains import Categorical, Composition, First, Float, Integer, Route, Subset, same
from search_spaces.errors import SpecError

FINITE = [
    Categorical((None, 1, True, 1.5, "x")),
    Categorical({"small": 16, "big": (64, 64)}),
    Subset((1, 2, 3, 4)),
    Subset(("a", "b", "c", "d"), 1, 2),
    Subset((1, 2, 3), 2, 2),
    Integer(1, 9, 2),
    Integer(2, 64, log=True),
    Composition(7, 3),
    Composition(3, 3, 0),
    First((1, 2, 3, 4), 2),
    Route(4, 4),
    Route(3, 3, 1),
    Float(0.1, 10.0, log=True).binned(5),
]


def ids(domain: object) -> str:
    return str(domain)[:40]


@pytest.mark.parametrize("domain", FINITE, ids=ids)
def test_listing_counting_and_choices_agree(domain):
    values = list(domain.values())
    assert len(values) == domain.cardinality() == len(set(map(repr, values)))
    for value in values:
        assert domain.contains(value)
        assert same(domain.value_of(domain.choices_of(value)), value)
        assert len(domain.features(value)) == len(domain.features(values[0]))
        assert all(0 <= x <= 1 for x in domain.features(value))


@pytest.mark.parametrize("domain", [d for d in FINITE if not getattr(d, "log", False)], ids=ids)
def test_samples_are_uniform_over_values(domain):
    rng, n = np.random.default_rng(0), 300 * domain.cardinality()
    seen = Counter(repr(domain.sample(rng)) for _ in range(n))
    assert set(seen) == set(map(repr, domain.values()))
    chi2 = sum((count - 300) ** 2 / 300 for count in seen.values())
    k = domain.cardinality() - 1
    assert chi2 < k + 5 * np.sqrt(2 * k) + 1


@pytest.mark.parametrize("domain", FINITE, ids=ids)
def test_neighbours_are_other_values_and_connect_the_domain(domain):
    rng, values = np.random.default_rng(0), list(domain.values())
    reached, frontier = {repr(values[0])}, [values[0]]
    while frontier:
        value = frontier.pop()
        for other in domain.neighbours(value, rng):
            assert domain.contains(other) and not same(other, value)
            if repr(other) not in reached:
                reached.add(repr(other))
                frontier.append(other)
    assert len(reached) == len(values)


@pytest.mark.parametrize("domain", FINITE, ids=ids)
def test_masks_allow_exactly_the_values(domain):
    listed = {domain.choices_of(value) for value in domain.values()}
    lengths = {len(choices) for choices in listed}
    sizes = [domain.choices(next(iter(listed))[:i])[0] for i in range(max(lengths))]
    valid = set()
    for length in lengths:
        for choices in itertools.product(*map(range, sizes[:length])):
            steps = [domain.choices(choices[:i]) for i in range(length)]
            if all(step and step[1][c] for step, c in zip(steps, choices, strict=True)):
                valid.add(choices)
    assert valid == listed


def test_published_cardinalities():
    assert Composition(16, 4).cardinality() == 455
    assert Composition(8, 4).cardinality() == 35
    assert Composition(33, 4).cardinality() == 4960
    assert Route(4, 11).cardinality() == 28657
    assert Route(4, 12).cardinality() == 75025


def test_same_separates_types():
    assert same((1, "a"), (1, "a"))
    assert not same(1, True) and not same(1, 1.0) and not same((1,), (1.0,)) and not same((1,), (1, 2))


def test_a_continuous_domain_has_no_choices():
    with pytest.raises(SpecError, match="no finite choices.*bins"):
        Float(0.0, 1.0).choices(())
