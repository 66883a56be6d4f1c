"""Resume: the driver's book and the controller's state, rebuilt from the newest snapshot and the journal.

The controller is called again as the journal says, in its order, and what it answers is compared with what was written.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import Any

from cluster import snapshot
from cluster.checkpoints import Checkpoints
from cluster.journal import Record, headers, read
from cluster.ledger import Ledger
from cluster.storage import Storage
from controllers.base import Controller
from controllers.trial import Outcome, Verdict
from search_spaces.candidate import Candidate

_log = logging.getLogger(__name__)


class ReplayError(Exception):
    """The journal and this search do not belong together; the text is one line for the user."""


@dataclass
class Replayed:
    """What a resume begins with.

    Args:
        ledger: The book up to the journal's end.
        records: Number of records in the journal.
        snapshot: Number of records in the snapshot that was used; 0: none was.
        seconds: How long the controller's part took.
    """

    ledger: Ledger
    records: int = 0
    snapshot: int = 0
    seconds: float = 0.0


def check_headers(storage: Storage, expected: dict[str, str | int]) -> None:
    """Refuse to go on with another space, other data or another seed than the search began with.

    Args:
        storage: The storage of the search.
        expected: `space`, `data` and `seed` as they are now.

    Raises:
        ReplayError: One of them differs.
    """
    names = {"space": "search space", "data": "data", "seed": "root seed"}
    for header in headers(storage):
        for key, what in names.items():
            if header.get(key) != expected[key]:
                raise ReplayError(
                    f"{key}: a search goes on with the {what} it began with; got {expected[key]}; "
                    f"allowed {header.get(key)}; put the old one back, or start a search of another name"
                )


def replay(storage: Storage, controller: Controller[Any], checkpoints: Checkpoints) -> Replayed:
    """Bring a fresh controller to where the journal ends.

    Args:
        storage: The storage of the search, its journal held.
        controller: As the search file makes it; is changed.
        checkpoints: Is told what the journal names; no file is touched.

    Raises:
        ReplayError: The controller answers otherwise than the journal says; the text names the record.
    """
    records = list(read(storage))
    replayed = Replayed(Ledger(), len(records))
    began = time.monotonic()
    replayed.snapshot = _load_snapshot(storage, controller, len(records))
    # What was asked was asked: the budget of now does not say how often the controller might repeat itself then.
    patience, controller.patience = controller.patience, math.inf
    for record in records:
        try:
            replayed.ledger.apply(record.kind, record.fields)
            if record.kind == "reported" and record.fields["checkpoint"] is not None:
                checkpoints.note(record.fields["trial"], record.fields["checkpoint"])
            if record.offset >= replayed.snapshot:
                _repeat(controller, record)
        except (KeyError, ValueError) as error:
            what = f"{record.offset} ({record.kind})"
            raise ReplayError(f"journal record {what}: cannot be repeated: {error}") from error
    controller.patience = patience
    replayed.seconds = time.monotonic() - began
    return replayed


def _load_snapshot(storage: Storage, controller: Controller[Any], records: int) -> int:
    """Load the newest snapshot; the number of records in it, or 0 when there is none that fits the controller.

    One of other settings is passed over, and the records say what they changed.
    """
    found = snapshot.load_newest(storage, limit=records)
    if found is None:
        return 0
    state, offset = found
    fresh = controller.state_dict()
    try:
        controller.load_state_dict(state)
    except Exception as error:  # noqa: BLE001 - what a controller cannot take on fails in its own way
        _log.warning("the snapshot of %d records is not used: %s", offset, " ".join(str(error).split()))
        controller.load_state_dict(fresh)
        return 0
    return offset


def _repeat(controller: Controller[Any], record: Record) -> None:
    fields = record.fields
    if record.kind == "asked":
        # Not as many as were asked for: why there were fewer may have changed since.
        trials = [trial.to_data() for trial in controller.ask(len(fields["trials"]))]
        _compare(record, trials, fields["trials"])
    elif record.kind == "reported":
        verdict = controller.report(fields["trial"], fields["step"], fields["metrics"])
        _compare(record, verdict, Verdict(fields["verdict"]))
    elif record.kind == "told":
        controller.tell(fields["trial"], Outcome.from_data(fields["outcome"]))
    elif record.kind == "enqueued":
        controller.enqueue(Candidate.from_json(fields["candidate"]))


def _compare(record: Record, now: object, then: object) -> None:
    if now != then:
        raise ReplayError(
            f"journal record {record.offset} ({record.kind}): the controller must answer as it did; got {now}; "
            f"the journal says {then}; resume with the versions and settings that began the search"
        )
