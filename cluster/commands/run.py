"""`search`, `resume`, `retrain` and `stop`, and the last screen of the first three, controls beside their searches."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path

from cluster.commands import screens
from cluster.search import Search
from cluster.searchfile import tracking_sets
from search_spaces.errors import SpecError

DONE, INTERRUPTED = 0, 130


def search(
    file: str,
    sets: list[str],
    name: str | None,
    trials: int | None,
    address: str | None,
    storage: str | None,
    tracking: str | None,
) -> int:
    """Runs a search file.

    Args:
        file: The file.
        sets: `path=value` assignments.
        name: Name of the run, which must be free.
        trials: Trials to start.
        address: A Ray cluster.
        storage: Folder or URI of the runs.
        tracking: MLflow store, or `none`.
    """
    more = [] if trials is None else [f"budget.trials={trials}"]
    more += [] if storage is None else [f"storage={json.dumps(storage)}"]
    found = Search.from_yaml(file, [*sets, *more, *tracking_sets(tracking)], name=name)
    return _with_control(found.run(address), address)


def resume(name: str, trials: str | None, address: str | None, storage: str, tracking: str | None) -> int:
    """Goes on with a search.

    Args:
        name: Of the search.
        trials: `+N` more trials, or N in all.
        address: A Ray cluster.
        storage: Folder or URI of the runs.
        tracking: MLflow store, or `none`.
    """
    found = Search.open(name, storage, tracking_sets(tracking))
    if trials is not None:
        found.set_trials(_total(trials, found.config.budget.trials))
    return _with_control(found.resume(address), address)


def retrain(
    name: str, trial: str | None, sets: list[str], address: str | None, storage: str, tracking: str | None
) -> int:
    """Trains a trial of a search from scratch, as a run of its own.

    Args:
        name: Of the search.
        trial: The trial; None: the best.
        sets: `path=value` assignments.
        address: A Ray cluster.
        storage: Folder or URI of the runs.
        tracking: MLflow store, or `none`.
    """
    found = Search.open(name, storage, tracking_sets(tracking)).retrain(sets, trial=trial)
    return _ended(found.run(address))


def _total(text: str, before: int | None) -> int:
    number = text.removeprefix("+")
    if not number.isdigit() or int(number) == 0:
        raise SpecError("must be a number of trials", text, "+N (more), or N (in all)", "--trials")
    if text.startswith("+") and before is None:
        raise SpecError("this search has no budget in trials to add to", text, "N (in all)", "--trials")
    return int(number) + (before or 0 if text.startswith("+") else 0)


def stop(name: str, storage: str, tracking: str | None) -> int:
    """Asks the driver of a search to save its state and end.

    Args:
        name: Of the search.
        storage: Folder or URI of the runs.
        tracking: MLflow store for the resume, or `none`; None: what the search says.
    """
    found = Search.open(name, storage, tracking_sets(tracking))
    if found.stop():
        print(f"{name} stops within seconds; go on with: {resume_command(found)}{tracking_option(tracking)}")
    else:
        print(f"{name} does not run")
    return DONE


def resume_command(found: Search) -> str:
    """Returns the command that goes on with a search."""
    return f"{program()} resume {found.run_folder.name}{storage_option(found)}"


def program() -> str:
    """Returns how the command is called here: by its name where the shell finds it, else by its path."""
    installed = Path(sys.executable).with_name("deepspace")
    if shutil.which("deepspace") or not installed.is_file():
        return "deepspace"
    here = Path.cwd()
    return str(installed.relative_to(here) if installed.is_relative_to(here) else installed)


def storage_option(found: Search) -> str:
    """Returns the `--storage` that finds a search from this folder; empty where the default does."""
    from cluster.storage import Storage

    place = found.config.storage
    usual = Storage.open(place).uri() == Storage.open("runs").uri()
    return "" if usual else f" --storage {shlex.quote(place)}"


def tracking_option(tracking: str | None) -> str:
    """Returns the `--tracking` that was given; empty where none was, as the search's own file says it."""
    return "" if tracking is None else f" --tracking {shlex.quote(tracking)}"


def _with_control(found: Search, address: str | None) -> int:
    code = _ended(found)
    control = found.control() if code == DONE else None
    if control is None:
        return code
    code = _ended(control.go_on(address))
    print(screens.beside([(search.run_folder.name, search.config, search.standing) for search in (found, control)]))
    return code


def _ended(found: Search) -> int:
    run, standing = found.run_folder, found.standing
    parts = [screens.summary(standing, run.name)]
    if standing.best is not None:
        parts.append(screens.winner(standing, standing.best))
    parts += [screens.failures(standing), f"run:    {run.storage.uri()}"]
    if found.config.tracking is not None:
        parts.append(f"MLflow: {program()} ui {run.name}{storage_option(found)}")
    parts.append(f"report: {program()} report {run.name}{storage_option(found)}")
    if not found.sent:
        parts.append("MLflow has not everything yet; the next resume sends the rest")
    if found.code == INTERRUPTED:
        parts.append(f"go on:  {resume_command(found)}")
    print("\n".join(part for part in parts if part), flush=True)
    return found.code
