"""Which checkpoints stay.

The files are written by the trials, as `checkpoints/TRIAL/ATTEMPT-STEP.pt`; they count once the journal names them.
While a trial runs its newest two stay, so that a damaged one can be passed over; afterwards those of the best trials
and of trials whose weights others still need.
"""

from __future__ import annotations

from collections.abc import Collection

from cluster.storage import Storage

FOLDER = "checkpoints"
NEWEST = 2


class Checkpoints:
    """The checkpoints that the journal of a search names.

    Args:
        storage: The storage of the search.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._named: dict[str, list[str]] = {}

    def uri(self, name: str = "") -> str:
        """Where a checkpoint lies, or the folder of all when no name is given."""
        return self._storage.uri(f"{FOLDER}/{name}" if name else FOLDER)

    def newest(self, trial_id: str) -> tuple[str, ...]:
        """The names of a trial's checkpoints that stay, the newest first."""
        return tuple(reversed(self._named.get(trial_id, ())))

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
        """Take in a checkpoint after the journal has named it, and delete what it supersedes."""
        for superseded in self.note(trial_id, name):
            self._storage.delete(f"{FOLDER}/{superseded}")

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
