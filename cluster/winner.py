"""What a search leaves for people: `best.json` while it runs, the folder `best/` and the final test at its end."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.storage import Storage
from controllers.trial import Outcome, Trial
from search_spaces.spec import plain

if TYPE_CHECKING:
    from cluster.driver import Driver

SCHEMA = 1
BEST = "best.json"
FOLDER = "best"

_log = logging.getLogger(__name__)


def write_best(storage: Storage, trial: Trial, outcome: Outcome, final: Mapping[str, float] | None = None) -> None:
    """Replace `best.json`.

    Args:
        storage: The storage of the search.
        trial: The best one.
        outcome: What it was worth.
        final: Figures of its final test, when that has run.
    """
    content = {
        "schema": SCHEMA,
        "trial_id": trial.trial_id,
        "candidate_id": trial.candidate.id,
        "candidate": trial.candidate.to_data(),
        "seed": trial.seed,
        "steps": outcome.steps,
        "metrics": {**outcome.metrics, **(final or {})},
        "cost": dict(outcome.cost),
    }
    storage.write_atomic(BEST, json.dumps(content, indent=2).encode())


def finish(driver: Driver, data: Any, shape: Any) -> None:
    """Test the winner, or each member of the front, and each retrain, and write `best.json` and `best/`.

    A trial that the journal says was tested is not tested again. What goes wrong here loses no search: it is logged.

    Args:
        driver: At the end of its search.
        data: What the task opened.
        shape: (input shape, number of classes), or None.
    """
    best = driver.controller.best
    if best is None:
        return
    several = len(driver.config.objectives) > 1
    chosen = driver.controller.pareto_front if several else (best,)
    for trial_id in dict.fromkeys((*chosen, *_retrains(driver))):
        try:
            _test(driver, trial_id, data)
        except Exception as error:  # noqa: BLE001 - the search itself is done
            _log.warning("trial %s: the final test failed: %s: %s", trial_id, type(error).__name__, error)
    entry = driver.ledger[best]
    assert entry.outcome is not None
    final = driver.ledger.finals.get(best, {})
    write_best(driver.storage, entry.trial, entry.outcome, final)
    spec = driver.controller.space.realize(entry.trial.candidate)
    metrics = {**entry.outcome.metrics, **final}
    checkpoint = driver.checkpoints.usable(best)
    picture = None if checkpoint is None else _picture(driver, spec, checkpoint, data)
    try:
        write_folder(driver.storage, spec, metrics, checkpoint, shape, picture)
    except Exception as error:  # noqa: BLE001 - the search itself is done
        _log.warning("trial %s: %s/ is not whole: %s: %s", best, FOLDER, type(error).__name__, error)


def _retrains(driver: Driver) -> list[str]:
    return [
        name for name, record in driver.controller.records.items() if record.ranked and record.trial.mode == "retrain"
    ]


def _test(driver: Driver, trial_id: str, data: Any) -> None:
    checkpoint = driver.checkpoints.usable(trial_id)
    if trial_id in driver.ledger.finals or checkpoint is None:
        return
    spec = driver.controller.space.realize(driver.ledger[trial_id].trial.candidate)
    figures = driver.config.task.final_test(spec, checkpoint, data)
    if figures:
        driver.note("final", trial=trial_id, metrics=figures, time=time.time())


def _picture(driver: Driver, spec: Any, checkpoint: str, data: Any) -> bytes | None:
    """A PNG of what the winner predicts, where its task has one."""
    try:
        picture: bytes | None = driver.config.task.picture(spec, checkpoint, data)
        return picture
    except Exception as error:  # noqa: BLE001 - the search itself is done
        _log.warning("no picture of predictions: %s: %s", type(error).__name__, error)
        return None


def write_folder(
    storage: Storage,
    spec: Any,
    metrics: Mapping[str, float],
    checkpoint: str | None,
    shape: Any,
    picture: bytes | None = None,
) -> None:
    """Write `best/`: architecture and recipe (or the whole spec) as JSON, weights, pictures, metrics.

    Args:
        storage: The storage of the search.
        spec: The realized best candidate.
        metrics: Its last metrics and those of its final test.
        checkpoint: Path or URI of what it kept.
        shape: (input shape, number of classes) of the data; None: it has none, and the network is not drawn.
        picture: PNG of what it predicts, if there is one.
    """
    files: dict[str, bytes] = {}
    data = plain(spec)
    for part in ("architecture", "recipe"):
        if isinstance(data, dict) and part in data:
            files[f"{part}.json"] = _json(data[part])
    if not files:
        files["spec.json"] = _json(data)
    files["metrics.json"] = _json(dict(metrics))
    if checkpoint is not None:
        files |= _weights(checkpoint)
    if shape is not None and "architecture.json" in files:
        from search_spaces.drawing import draw_svg

        files["architecture.svg"] = draw_svg(spec.architecture, *shape).encode()
    if picture is not None:
        files["prediction.png"] = picture
    for name in storage.list(FOLDER):
        if name not in files:
            storage.delete(f"{FOLDER}/{name}")
    for name, content in files.items():
        storage.write_atomic(f"{FOLDER}/{name}", content)


def _json(data: Any) -> bytes:
    return json.dumps(data, indent=2).encode()


def _weights(checkpoint: str) -> dict[str, bytes]:
    from safetensors.torch import save_file

    from trainers.checkpoint import load, weights

    state = load(checkpoint)
    if "network" not in state:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in weights(state).items()}, path)
        return {path.name: path.read_bytes()}
