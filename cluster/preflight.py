"""What is checked before the first trial: cheap things first, and nothing that needs ray, mlflow or optuna."""

from __future__ import annotations

import os
import socket
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from cluster.config import SearchConfig
from cluster.journal import headers
from cluster.searchfile import local_store
from cluster.storage import Storage
from controllers.base import Controller, make_controller
from search_spaces.compiled import role_of
from search_spaces.errors import SpecError, join
from search_spaces.space import Space

CONNECT_SECONDS = 1.0
SAMPLES = 20
"""Candidates that are realized to see whether any can be."""
STORES = ("http", "https", "file", "mysql", "postgresql", "mssql", "databricks", "databricks-uc", "uc")
"""Schemes of MLflow's stores; `sqlite:///FILE` and folders are known by themselves, plug-ins by their entry points."""
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306}


def check_store(uri: str) -> None:
    """Refuses an MLflow store that cannot be reached.

    Args:
        uri: As `tracking.uri` says.

    Raises:
        SpecError: MLflow has no such store, nobody answers there within a second, or the folder of the file is missing
            or read-only.
    """
    path = local_store(uri)
    if path is not None:
        _check_folder(uri, path.parent)
        return
    parts = urlsplit(uri)
    kind = parts.scheme.split("+")[0]
    if kind not in {*STORES, *(point.name for point in entry_points(group="mlflow.tracking_store"))}:
        if uri.split(":")[0] != "databricks":
            allowed = "http://HOST:PORT, sqlite:///FILE, a folder, or --tracking none"
            raise SpecError("MLflow has no store of this kind", uri, allowed, "tracking/uri")
    port = parts.port or PORTS.get(parts.scheme.split("+")[0])
    if parts.hostname is None or port is None:
        return
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        reason = "no answer within 1 s" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise SpecError(
            f"the tracking server {parts.hostname}:{port} cannot be reached ({reason})",
            uri,
            "a server that runs, sqlite:///FILE, or --tracking none",
            "tracking/uri",
        ) from None


def _check_folder(uri: str, folder: Path) -> None:
    if str(folder) and not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise SpecError("the folder of the tracking store must be writable", uri, "--tracking none", "tracking/uri")


def check_controller(config: SearchConfig, space: Space) -> Controller[Any]:
    """Returns the controller of a search, as it is before the first trial.

    Args:
        config: The search.
        space: Its space.

    Raises:
        SpecError: The controller cannot handle a domain; the path names the decision.
    """
    try:
        return make_controller(
            config.controller,
            space,
            config.objectives,
            config.constraints,
            config.seed,
            fidelity=config.fidelity,
            budget=config.budget.trials,
            duplicates=config.duplicates,
            repeats=config.repeats,
            pruner=config.pruner,
            warm_start=config.warm_start,
        )
    except SpecError as error:
        decision = error.path in {point.path for point in space.points()}
        raise (error.at("space") if decision else error if error.path else error.at("controller")) from None


def check_candidates(space: Space) -> None:
    """Refuses a space whose sampled candidates all break one rule that joins several fields.

    Args:
        space: The space.

    Raises:
        SpecError: They do; the path says where.
    """
    rng = np.random.default_rng(0)
    broken: list[SpecError] = []
    for _ in range(SAMPLES):
        try:
            space.realize(space.sample(rng))
        except SpecError as error:
            broken.append(error)
        else:
            return
    # What the text of a rule says it got differs from one candidate to the next.
    rules = {(role_of(error.path), error.rule.split("; got ")[0]) for error in broken}
    if len(rules) == 1:
        first = broken[0]
        rule = f"no candidate of {SAMPLES} keeps this rule: {first.rule}"
        raise SpecError(rule, first.got, first.allowed, join("space", first.path))


def check_space_unchanged(storage: Storage, space: Space) -> None:
    """Refuses to go on with another space than the search began with.

    Args:
        storage: The storage of the run.
        space: The space as the search file gives it now.

    Raises:
        SpecError: The fingerprints differ.
    """
    for header in headers(storage):
        if header.get("space") not in (None, space.fingerprint):
            raise SpecError(
                "a search goes on with the space that it began with",
                space.fingerprint,
                f"{header['space']}; put the old space back, or start a search of another name",
                "space",
            )


def listen_free(host: str, first: int, tries: int = 20) -> int:
    """Returns the first port from `first` on that nobody listens on."""
    for port in range(first, first + tries):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
        return port
    raise SpecError("no free port", f"{first} to {first + tries - 1}", "--port N")
