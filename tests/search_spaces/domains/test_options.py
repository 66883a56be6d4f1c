"""Labels, values and bounds of the option domains."""

import numpy as np
import pytest

from search_spaces.domains import Categorical, Subset
from search_spaces.domains.options import label_of
from search_spaces.errors import SpecError


def test_labels_are_names_kinds_or_literals():
    assert [label_of(x) for x in (None, True, 3, 0.5, "x", {"kind": "se"}, (1, 2))] == [
        "null", "true", "3", "0.5", "x", "se", "",
    ]  # fmt: skip
    named = Categorical({"light": {"p": 0.1}, "strong": {"p": 0.5}})
    assert named.option_values == ("light", "strong") and named.realized("strong", {}) == {"p": 0.5}


def test_options_without_distinct_labels_are_refused():
    with pytest.raises(SpecError, match="same label: give them names; got 'se'"):
        Categorical(({"kind": "se"}, {"kind": "se"}))
    with pytest.raises(SpecError, match="needs a label"):
        Categorical(((1, 2), (3, 4)))
    with pytest.raises(SpecError, match="needs at least one option"):
        Categorical(())
    with pytest.raises(SpecError, match="low <= high"):
        Subset((1, 2), 2, 1)


def test_values_are_told_apart_by_type():
    domain = Categorical((1, 2, "1.0"))
    assert domain.contains(1) and not domain.contains(True) and not domain.contains(1.0) and not domain.contains([1])
    with pytest.raises(SpecError, match="not an option; got 3; allowed categorical of 1, 2, 1.0"):
        domain.choices_of(3)


def test_one_label_of_two_types_is_refused():
    with pytest.raises(SpecError, match="same label"):
        Categorical((1, "1"))


def test_subset_value_keeps_the_order_of_options():
    domain = Subset(("a", "b", "c"), 1, 2)
    assert domain.contains(("a", "c")) and not domain.contains(("c", "a")) and not domain.contains(())
    assert not domain.contains(("a", "b", "c")) and not domain.contains(("a", "a"))
    assert domain.value_of((1, 0, 1)) == ("a", "c")


def test_subset_of_earlier_items_is_bounded_by_them():
    domain = Subset((), 2, 3, of="layers")
    assert [domain.resolved(i).cardinality() for i in range(6)] == [1, 1, 1, 4, 10, 20]
    assert domain.resolved(4).of == "layers"


def test_subset_counts_what_is_below_its_options():
    assert Subset(("a", "b", "c"), 1, 2).weighted({"a": 2, "b": 3}) == 2 + 3 + 1 + 6 + 2 + 3


def test_large_subset_samples_every_option_half_of_the_time():
    domain, rng = Subset(tuple(range(20))), np.random.default_rng(1)
    counts = np.zeros(20)
    for _ in range(2000):
        counts[list(domain.sample(rng))] += 1
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(500))
