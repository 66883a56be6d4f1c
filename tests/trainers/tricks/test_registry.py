from typing import Literal

import pytest

from search_spaces.recipe import Augmentation, Flip, Recipe
from trainers.schedules import Position
from trainers.tricks.registry import implementation, implements


def test_two_implementations_are_an_error() -> None:
    implementation(Flip())
    with pytest.raises(TypeError, match="Flip has two implementations"):
        implements(Flip)(lambda spec, batch: batch)


def test_a_trick_without_implementation_is_named() -> None:
    # Without a plain kind it is not registered, so that no other test meets it.
    class Blur(Augmentation):
        kind: Literal["blur", "smear"]

    with pytest.raises(LookupError, match="Blur has no implementation.*@implements"):
        implementation(Blur(kind="blur"))


def test_the_spec_is_given() -> None:
    factor = implementation(Recipe().schedule)
    assert factor(Position(0, 10, 1)) == 1.0
    assert factor(Position(10, 10, 1)) == pytest.approx(0.0)
