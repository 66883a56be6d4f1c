"""Which errors are told in one line: those that the user can mend, and those that end a search in good order."""

from __future__ import annotations

FAILED = 1
BAD_INPUT = 2


def refusal(error: BaseException) -> tuple[str, int] | None:
    """Returns the line that tells of an error, and the exit code; None when the fault is ours.

    Args:
        error: What was raised.
    """
    from cluster.driver import DriverError
    from cluster.journal import JournalError
    from cluster.lock import LockedError
    from cluster.replay import ReplayError
    from cluster.snapshot import SnapshotError
    from cluster.storage import StorageError
    from search_spaces.errors import SpecError

    if isinstance(error, SpecError | StorageError | LockedError | ReplayError):
        return " ".join(str(error).split()), BAD_INPUT
    if isinstance(error, DriverError | JournalError | SnapshotError):
        return " ".join(str(error).split()), FAILED
    return None
