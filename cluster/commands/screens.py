"""What people read about a search: the winner, what failed, where things lie."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from cluster.config import SearchConfig
from cluster.history import TrialRow
from cluster.standing import Standing, clock_text, number_text


def summary(standing: Standing, name: str) -> str:
    """Returns the state of a search in one line.

    Args:
        standing: The search.
        name: Its name.
    """
    state = standing.state()
    return f"{name}: {state.trials or 'no trial yet'}; {state}; {clock_text(standing.seconds)} active"


def winner(standing: Standing, row: TrialRow) -> str:
    """Returns the lines about a candidate: figures, cost, choices.

    Args:
        standing: The search.
        row: The candidate's trial.
    """
    goals = {goal.metric: standing.value(row, goal) for goal in standing.objectives}
    tested = standing.finals.get(row.trial_id, {})
    shown = {name: value for name, value in row.metrics.items() if name.startswith("val/")} | goals | tested
    lines = [f"best: {row.trial_id}"]
    lines += [_line(name, number_text(value)) for name, value in shown.items()]
    lines += [_line(word, f"{row.metrics[name]:,.0f}") for name, word in COSTS.items() if name in row.metrics]
    lines += [_line(path, number_text(value)) for path, value in row.candidate.items()]
    return "\n".join(lines)


COSTS = {
    "cost/params": "parameters",
    "cost/macs": "multiply-adds (MACs)",
    "cost/deployed_params": "parameters, deployed",
    "cost/deployed_macs": "multiply-adds (MACs), deployed",
}


def _line(name: str, text: str) -> str:
    return f"  {name:<44} {text}"


def beside(searches: Sequence[tuple[str, SearchConfig, Standing]]) -> str:
    """Returns a table of searches with equal objectives, a row each: how the best, and all that completed, did.

    Args:
        searches: Name, search file and state of each.
    """
    goal = searches[0][2].objectives[0]
    rows = [("search", "controller", f"best {goal.metric}", "its test", "median", "complete")]
    for name, config, standing in searches:
        ranked = standing.ranked()
        values = [value for row in ranked if (value := standing.value(row, goal)) is not None]
        tested = standing.finals.get(ranked[0].trial_id, {}) if ranked else {}
        test = tested.get(f"test/{goal.metric.removeprefix('val/')}")
        figures = (values[0], test, statistics.median(values)) if values else (None, None, None)
        texts = ["-" if figure is None else number_text(figure) for figure in figures]
        rows.append((name, config.controller.to_data()["kind"], *texts, str(len(values))))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def failures(standing: Standing) -> str:
    """Returns one line a group of trials that failed alike, the largest group first; empty when none failed."""
    lines = [f"  {group.count} x {group.reason} (for example {group.trial_id})" for group in standing.failures()]
    return "\n".join(["failed:", *lines]) if lines else ""


def as_data(standing: Standing, name: str, where: str, tracking: str | None) -> dict[str, Any]:
    """Returns what `show --json` prints.

    Args:
        standing: The search.
        name: Its name.
        where: Folder or URI of its run.
        tracking: Its MLflow store, if it has one.
    """
    state = standing.state()
    return {
        "name": name,
        "run": where,
        "tracking": tracking,
        "reason": state.reason,
        "running": state.running,
        "to_go_on": state.left,
        "counts": state.counts,
        "seconds": standing.seconds,
        "best": None if standing.best is None else _row(standing, standing.best),
        "pareto_front": [_row(standing, row) for row in standing.front],
        "failures": [group.__dict__ for group in standing.failures()],
    }


def _row(standing: Standing, row: TrialRow) -> dict[str, Any]:
    return {
        "trial_id": row.trial_id,
        "values": {goal.metric: standing.value(row, goal) for goal in standing.objectives},
        "metrics": row.metrics,
        "test": standing.finals.get(row.trial_id, {}),
        "candidate": dict(row.candidate),
    }
