"""What a trial was worth, made from the driver's book alone, so that a resume makes the same of it."""

from __future__ import annotations

from collections.abc import Mapping

from cluster.ledger import Entry
from controllers.trial import Outcome, Status, Verdict


def status_of(entry: Entry) -> Status:
    """Return how a trial ended that ended by itself: stopped on the way, or complete."""
    stopped = entry.verdict is Verdict.STOP and not entry.complete
    return Status.PRUNED if stopped else Status.COMPLETED


def make_outcome(
    entry: Entry, static: Mapping[str, float], status: Status, reason: str | None = None, devices: float = 1.0
) -> Outcome:
    """Return an outcome with the trial's last metrics and its cost.

    Args:
        entry: The trial.
        static: What is known of the candidate before it trains.
        status: How it ended.
        reason: Why.
        devices: Devices that the trial had.
    """
    cost: dict[str, float] = {}
    if entry.attempt:
        seconds = entry.metrics.get("seconds", entry.seconds)
        cost = {"seconds": seconds, "device_seconds": seconds * devices}
    if "epoch" in entry.metrics:
        cost["epochs"] = entry.metrics["epoch"]
    return Outcome(status, {**static, **entry.metrics}, entry.steps, cost, entry.payload, reason)
