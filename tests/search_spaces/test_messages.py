"""Findings of the validator in words of the file."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, ValidationError

from search_spaces import messages
from search_spaces.errors import SpecError
from search_spaces.spec import Spec
from tests.search_spaces.samples import Diesel, Train


def findings(data: object) -> list[SpecError]:
    with pytest.raises(ValidationError) as refused:
        Train.model_validate(data)
    return messages.explain_all(refused.value)


def test_deepest_finding_comes_first():
    found = findings({"bell": "perhaps", "engine": {"kind": "diesel", "rate": -1}})
    assert [error.path for error in found] == ["engine/rate", "bell"]


def test_the_null_member_of_a_union_is_not_the_reason():
    class Optional(Train):
        spare: Diesel | None = None

    with pytest.raises(ValidationError) as refused:
        Optional.model_validate({"spare": {"kind": "diesel", "rate": "x"}})
    assert str(messages.explain(refused.value)).startswith("spare/rate: must be a valid number")


def test_custom_error_carries_every_part():
    error = SpecError("rule", 3, "less")
    context = messages.custom_error(error).context
    assert context == {"rule": "rule", "got": 3, "allowed": "less"}


class FreightConfig(Spec):
    """A base whose name ends as those of configs do."""


class Coal(FreightConfig):
    kind: Literal["coal"] = "coal"


class Depot(Spec):
    freight: FreightConfig = Coal()
    tracks: Annotated[tuple[int, ...], Field(min_length=1, max_length=2)] = (1,)
    train: Train = Train()
    signs: dict[str, int] = {}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"freight": "cola"}, "freight: unknown kind of freight, did you mean 'coal'?; got 'cola'; allowed coal"),
        ({"freight": {}}, "freight: the freight needs its kind; allowed kind: coal"),
        ({"train": 5}, "train: must be a mapping; got 5"),
        ({"signs": 5}, "signs: must be a mapping; got 5"),
        ({"tracks": []}, "tracks: needs at least 1 item; got []"),
        ({"tracks": [1, 2, 3]}, "tracks: needs at most 2 items; got [1, 2, 3]"),
    ],
)
def test_what_the_reader_knows_nothing_of_is_not_named(data: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError) as refused:
        Depot.from_data(data)
    assert str(refused.value) == message
