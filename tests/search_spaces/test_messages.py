"""Findings of the validator in words of the file."""

import pytest
from pydantic import ValidationError

from search_spaces import messages
from search_spaces.errors import SpecError
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
