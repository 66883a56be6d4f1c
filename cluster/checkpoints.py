"""Which checkpoints stay.

The files are written by the trials, as `checkpoints/TRIAL/ATTEMPT-STEP.pt`; they count once the journal names them.
While a trial runs its newest two stay, so that a damaged one can be passed over; afterwards those of the best trials
and of trials whose weights others still need.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from cluster.storage import Storage

FOLDER = "checkpoints"
NEWEST = 2

_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints that the journal of a search names.

    Args:
        storage: The storage of the search.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._named: dict[str, list[str]] = {}
        self._superseded: list[str] = []

    def uri(self, name: str = "") -> str:
        """Where a checkpoint lies, or the folder of all when no name is given."""
        return self._storage.uri(f"{FOLDER}/{name}" if name else FOLDER)

    def newest(self, trial_id: str) -> tuple[str, ...]:
        """The names of a trial's checkpoints that stay, the newest first."""
        return tuple(reversed(self._named.get(trial_id, ())))

    def usable(self, trial_id: str) -> str | None:
        """Return where the newest whole checkpoint of a trial lies; a damaged one is passed over with a warning."""
        from trainers.checkpoint import CheckpointError, load

        for name in self.newest(trial_id):
            try:
                load(self.uri(name))
            except CheckpointError as error:
                _log.warning("trial %s: not used: %s", trial_id, error)
            else:
                return self.uri(name)
        return None

    def note(self, trial_id: str, name: str) -> list[str]:
        """Take in that the journal names a checkpoint, and touch no file: what a replay calls.

        Args:
            trial_id: The trial.
            name: `TRIAL/ATTEMPT-STEP.pt`.

        Returns:
            The names that are superseded by it.
        """
        names = self._named.setdefault(trial_id, [])
        if name not in names:
            names.append(name)
        superseded, names[:] = names[:-NEWEST], names[-NEWEST:]
        return superseded

    def reported(self, trial_id: str, name: str) -> None:
        """Take in a checkpoint after the journal has named it; what it supersedes waits for `collect`."""
        self._superseded += self.note(trial_id, name)

    def collect(self) -> None:
        """Delete what is superseded.

        To be called once the journal is synced: a power loss, or on an object store the death of the driver, would
        else leave a journal whose newest records name what is gone.
        """
        for name in self._superseded:
            self._storage.delete(f"{FOLDER}/{name}")
        self._superseded.clear()

    def retain(self, kept: Collection[str]) -> None:
        """Delete the checkpoints of every trial but these: those running, the best, and parents still needed."""
        for trial_id in [trial_id for trial_id in self._named if trial_id not in kept]:
            del self._named[trial_id]
            self._storage.delete(f"{FOLDER}/{trial_id}")

    def sweep(self, kept: Collection[str]) -> None:
        """After a replay: delete every file that the journal does not name, and those of trials that are not kept.

        Args:
            kept: As for `retain`.
        """
        self._named = {trial_id: names for trial_id, names in self._named.items() if trial_id in kept}
        for trial_id in self._storage.list(FOLDER):
            if trial_id not in self._named:
                self._storage.delete(f"{FOLDER}/{trial_id}")
                continue
            for file in self._storage.list(f"{FOLDER}/{trial_id}"):
                if f"{trial_id}/{file}" not in self._named[trial_id]:
                    self._storage.delete(f"{FOLDER}/{trial_id}/{file}")
