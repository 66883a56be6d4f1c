"""What a search leaves for MLflow's pages beside numbers: each trial's architecture, and the curves of the report."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from cluster.standing import Standing
from cluster.storage import Storage
from controllers.objective import Constraint, Objective
from search_spaces.build import Architecture

ARTIFACTS = "artifacts"
CURVES = "report"
DRAW_SECONDS = 0.25
"""Trials are drawn as long as no picture took more processor time: the driver draws, and reports wait meanwhile."""

_log = logging.getLogger(__name__)


class Pictures:
    """Writes the architecture of each trial that ended well to `artifacts/TRIAL/`, as JSON and, while cheap, as SVG.

    Args:
        storage: The storage of the search.
        shape: (input shape, number of outputs) of the data; None: nothing is drawn.
    """

    def __init__(self, storage: Storage, shape: Any) -> None:
        self._storage = storage
        self._shape = shape

    def write(self, trial_id: str, spec: Any) -> None:
        """Write what there is of one trial; what goes wrong here loses no trial: it is logged.

        Args:
            trial_id: The trial.
            spec: Its realized candidate.
        """
        architecture = getattr(spec, "architecture", None)
        if not isinstance(architecture, Architecture):
            return
        folder = f"{ARTIFACTS}/{trial_id}"
        try:
            self._storage.write_atomic(f"{folder}/architecture.json", architecture.to_json(indent=2).encode())
            if self._shape is not None:
                self._storage.write_atomic(f"{folder}/architecture.svg", self._drawn(architecture).encode())
        except Exception as error:  # noqa: BLE001 - the trial has its figures, whatever becomes of its picture
            _log.warning("trial %s: %s/ is not whole: %s: %s", trial_id, folder, type(error).__name__, error)

    def _drawn(self, architecture: Architecture) -> str:
        from search_spaces.drawing import draw_svg

        began = time.thread_time()
        picture = draw_svg(architecture, *self._shape)
        if time.thread_time() - began > DRAW_SECONDS:
            self._shape = None
        return picture


def with_architectures(template: Any) -> bool:
    """Tell whether the candidates of a template have an architecture.

    Args:
        template: A spec, mapping or tuple with holes.
    """
    return hasattr(template, "architecture")


def write_curves(storage: Storage, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> None:
    """Write the figures of the report to `report/`.

    What goes wrong here loses no search: it is logged.

    Args:
        storage: The storage of the search, its journal synced.
        objectives: What is better; the first decides.
        constraints: What a feasible candidate keeps to.
    """
    from cluster.report import figures

    try:
        standing = Standing(storage, objectives, constraints)
        standing.update()
        for name, image in figures(standing).items():
            storage.write_atomic(f"{CURVES}/{name}.png", image)
    except Exception as error:  # noqa: BLE001 - the search itself is done
        _log.warning("%s/ has no curves: %s: %s", CURVES, type(error).__name__, error)
