import pytest

from cluster.driver import DriverError
from cluster.journal import JournalError
from cluster.lock import LockedError
from cluster.refusals import refusal
from cluster.replay import ReplayError
from cluster.storage import StorageError
from search_spaces.errors import SpecError
from trainers.data.base import DataError


@pytest.mark.parametrize("kind", [SpecError, DataError, StorageError, LockedError, ReplayError])
def test_what_the_user_can_mend_is_bad_input(kind: type[Exception]) -> None:
    assert refusal(kind("two\n lines")) == ("two lines", 2)


@pytest.mark.parametrize("kind", [DriverError, JournalError])
def test_what_ends_a_search_is_a_failure(kind: type[Exception]) -> None:
    assert refusal(kind("why")) == ("why", 1)


@pytest.mark.parametrize("kind", [KeyError, AssertionError, RuntimeError])
def test_a_fault_of_ours_is_no_refusal(kind: type[Exception]) -> None:
    assert refusal(kind("why")) is None
