"""A run as it lies in a storage: found by name, its search file read, its name claimed."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cluster.config import NAME, SearchConfig, from_text, in_file, to_text
from cluster.standing import Standing
from cluster.storage import Storage
from search_spaces.errors import SpecError, listed

SEARCH = "search.yaml"
ENVIRONMENT = "environment.json"
ENVIRONMENT_SCHEMA = 1
LIBRARIES = ("deepspace", "torch", "ray", "mlflow", "numpy", "pydantic", "pyarrow", "optuna", "kornia", "scikit-learn")
NAMES_SHOWN = 8


@dataclass
class Run:
    """One run.

    Args:
        name: Of the search.
        storage: Its own folder.
        config: The search.
    """

    name: str
    storage: Storage
    config: SearchConfig

    @classmethod
    def find(cls, name: str, storage: str | os.PathLike[str], sets: Iterable[str] = ()) -> Run:
        """Returns the run of a name.

        Args:
            name: Of the search.
            storage: Folder or URI of the runs.
            sets: `path=value` assignments on what its search file says.

        Raises:
            SpecError: There is no such run, or its search file cannot be read.
        """
        runs = Storage.open(storage)
        own = runs.at(name)
        if not NAME.fullmatch(name) or not own.exists(SEARCH):
            raise SpecError("no search of this name here", name, _names(runs), os.fspath(storage))
        where = own.uri(SEARCH)
        text = own.read_bytes(SEARCH).decode()
        try:
            config = from_text(text, own.folder or Path.cwd(), Path.cwd(), sets)
        except SpecError as error:
            raise in_file(error, where) from None
        return cls(name, own, config.model_copy(update={"name": name, "storage": runs.uri()}))

    @classmethod
    def claim(cls, config: SearchConfig, exact: bool) -> Run:
        """Takes a name that is free, and writes the search file there.

        Args:
            config: The search; its name is the one wanted.
            exact: Refuse a name that is taken; else it gets `-2`, `-3`, ...

        Raises:
            SpecError: The name is taken.
            StorageError: The storage cannot be written.
        """
        runs = Storage.open(config.storage)
        base, number = config.name, 1
        while True:
            name = base if number == 1 else f"{base}-{number}"
            run = cls(name, runs.at(name), config.model_copy(update={"name": name}))
            if run.storage.create(SEARCH, run.text().encode()):
                run.write_environment()
                return run
            if exact:
                ways = f"another --name, or: deepspace resume {name} --storage {config.storage}"
                raise SpecError("this name is taken", name, ways, "--name")
            number += 1

    def text(self) -> str:
        """Returns the search file as it is stored: resolved, and relative to the run where that can be moved."""
        config = self.config
        if isinstance(config.task.__dict__.get("target"), str) or not callable(config.task.__dict__.get("target")):
            return to_text(config, self.storage.folder)
        return to_text(_written(config), self.storage.folder)

    def save(self) -> None:
        """Writes the search file again, after its budget was changed."""
        self.storage.write_atomic(SEARCH, self.text().encode())

    def discard(self) -> None:
        """Deletes the run with all that is in it."""
        self.storage.delete("")

    def write_environment(self) -> None:
        """Writes down where and with which versions the search began."""
        data = {"schema": ENVIRONMENT_SCHEMA, **environment()}
        self.storage.write_atomic(ENVIRONMENT, json.dumps(data, indent=1).encode())

    def standing(self) -> Standing:
        """Returns where the search stands now."""
        standing = Standing(self.storage, self.config.objectives, self.config.constraints)
        standing.update()
        return standing

    def shape(self) -> Any:
        """Returns what the task says of its data's shape, or None where the data cannot be read here."""
        try:
            return self.config.task.shape(self.config.task.open())
        except SpecError:
            return None


def _written(config: SearchConfig) -> SearchConfig:
    """The search with its task's function by its name, so that it can be written down."""
    function: Any = config.task.__dict__["target"]
    name = f"{function.__module__}:{re.sub('[<>]', '', function.__qualname__)}"
    return config.model_copy(update={"task": config.task.model_copy(update={"target": name})})


def _names(runs: Storage) -> str:
    names = [name for name in runs.list() if runs.exists(f"{name}/{SEARCH}")]
    return listed(names, NAMES_SHOWN) if names else "none: there is no search here; see --storage"


def environment() -> dict[str, Any]:
    """Returns machine, interpreter and library versions."""
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:
            continue
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "arguments": sys.argv,
        "folder": os.getcwd(),
        "versions": versions,
    }
