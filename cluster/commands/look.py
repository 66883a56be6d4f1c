"""`show`, `report` and `ui`: readers of what a search has kept; none of them touches it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from cluster.commands import screens
from cluster.control import control_run
from cluster.report import Winner, write
from cluster.retrain import retrains
from cluster.runs import Run
from cluster.searchfile import tracking_sets
from cluster.standing import Standing
from controllers.retrain import RetrainConfig
from search_spaces.build import Architecture
from search_spaces.drawing import draw_svg
from search_spaces.errors import SpecError

PICTURE = "best/architecture.svg"
PREDICTION = "best/prediction.png"


def show(name: str, as_json: bool, storage: str, tracking: str | None = None) -> int:
    """Prints where a search stands.

    Args:
        name: Of the search.
        as_json: Print JSON.
        storage: Where its run lies.
        tracking: MLflow store that is shown; None: what the search says.
    """
    run = Run.find(name, storage, tracking_sets(tracking))
    standing, again, control = run.standing(), retrains(run), control_run(run)
    chooser = run.config.controller
    source = chooser if isinstance(chooser, RetrainConfig) else None
    if as_json:
        data = screens.as_data(standing, name, run.storage.uri(), _store(run))
        data |= {"retrain_of": source and {"run": source.run, "trial_id": source.trial}, "retrains": again}
        data |= {"control": None if control is None else control.name}
        print(json.dumps(data))
        return 0
    parts = [screens.summary(standing, name)]
    parts += [f"retrains {source.trial} of {source.run}"] if source is not None else []
    if standing.best is not None:
        parts.append(screens.winner(standing, standing.best))
    parts += [f"retrained: {', '.join(again)}"] if again else []
    if control is not None:
        parts.append(screens.beside([(each.name, each.config, each.standing()) for each in (run, control)]))
    parts += [screens.failures(standing), f"MLflow: {_store(run) or 'none'}"]
    print("\n".join(part for part in parts if part))
    return 0


def report(name: str, out: str | None, storage: str, tracking: str | None = None) -> int:
    """Writes the report of a search and prints where.

    Args:
        name: Of the search.
        out: Folder; None: `report` in the run, or the working directory for a remote run.
        storage: Where its run lies.
        tracking: MLflow store that is shown; None: what the search says.
    """
    run = Run.find(name, storage, tracking_sets(tracking))
    standing = run.standing()
    own = run.storage.folder
    folder = Path(out) if out is not None else (own or Path.cwd()) / "report"
    try:
        page = write(standing, name, folder, _winner(run, standing), _store(run))
    except OSError as error:
        raise SpecError(f"cannot be written ({error.strerror})", str(folder), path="--out") from None
    print(page)
    return 0


def _store(run: Run) -> str | None:
    """Where MLflow keeps the search, without a password; None: it goes without."""
    tracking = run.config.tracking
    return None if tracking is None else re.sub(r"://[^/@]*@", "://", tracking.uri)


def _winner(run: Run, standing: Standing) -> Winner | None:
    best = standing.best
    if best is None:
        return None
    try:
        spec = run.config.make_space().realize(best.candidate)
    except SpecError:  # such as a class of a script that does not run now: the rest of the report needs none
        return None
    prediction = run.storage.read_bytes(PREDICTION) if run.storage.exists(PREDICTION) else None
    return Winner(spec, _picture(run, spec), prediction)


def _picture(run: Run, spec: Any) -> str | None:
    """The architecture that the end of the search drew, or one drawn now."""
    if run.storage.exists(PICTURE):
        return run.storage.read_bytes(PICTURE).decode()
    architecture = getattr(spec, "architecture", None)
    if not isinstance(architecture, Architecture) or (shape := run.shape()) is None:
        return None
    return draw_svg(architecture, *shape)


def ui(name: str | None, port: int | None, storage: str, tracking: str | None) -> int:
    """Serves MLflow's pages.

    Args:
        name: A search whose experiment and store are opened; None: the default store.
        port: Where to listen.
        storage: Where the run lies.
        tracking: The store; None: what the search says, or the default.
    """
    from cluster.config import DEFAULT_STORE
    from cluster.searchfile import map_store
    from cluster.ui import serve

    experiment = None
    uri = DEFAULT_STORE
    if name is not None:
        config = Run.find(name, storage).config
        if config.tracking is None and tracking is None:
            raise SpecError("this search goes without MLflow", name, "--tracking URI", "NAME")
        if config.tracking is not None:
            uri, experiment = config.tracking.uri, config.tracking.experiment
    store = map_store(tracking or uri, lambda path: str(Path(path).expanduser().absolute()))
    return serve(store, experiment, port)
