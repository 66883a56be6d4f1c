"""Search files as text: YAML 1.2 read strictly, `--set` applied, relative paths resolved and made relative again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from search_spaces.errors import SpecError

SQLITE = "sqlite:///"
PATH_KEY = "path"
"""The key under `task` whose text is a file or folder."""


def parse(text: str) -> Any:
    """Returns what a YAML 1.2 text says.

    Args:
        text: The whole file.

    Raises:
        SpecError: It is no YAML, or a key stands twice; the path is the line.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except DuplicateKeyError as error:
        key = str(error.problem).split('"')[1]
        raise SpecError("a key stands twice", key, "each key once", _line(error)) from None
    except MarkedYAMLError as error:
        raise SpecError(f"must be YAML: {error.problem}", path=_line(error)) from None
    except YAMLError as error:
        raise SpecError(f"must be YAML: {error}") from None


def _line(error: Any) -> str:
    return f"line {error.problem_mark.line + 1}" if error.problem_mark else ""


def mapping(text: str) -> dict[str, Any]:
    """Returns the mapping that a YAML text holds.

    Raises:
        SpecError: It is no YAML, or something else than a mapping.
    """
    data = parse(text)
    if not isinstance(data, dict):
        raise SpecError("must be a mapping", data, "keys such as task, space, controller")
    return data


def dump(data: dict[str, Any]) -> str:
    """Returns plain data as YAML, in the order given."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml, stream = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style = False
    yaml.width = 120
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # keeps the declared order
    yaml.dump(data, stream)
    return stream.getvalue()


def override(data: dict[str, Any], sets: Iterable[str], base: Path) -> dict[str, Any]:
    """Returns `data` with every `path=value` set.

    A value is read as YAML. Setting a `kind` (or a `preset`) drops the old one's siblings, and comes before what is
    set beside it, whatever the order; setting the kind that is there drops nothing.

    Args:
        data: What the file says; not changed.
        sets: Assignments such as `task.data.kind=cifar10`; list items are numbered from 0.
        base: Folder to which relative paths in the values belong: where the command was typed.

    Raises:
        SpecError: An assignment is none, or leads through something that has no keys.
    """
    result: dict[str, Any] = _copied(data)
    parsed = [_parsed(text) for text in sets]
    chooses = sorted((item for item in parsed if _choice(item[0])), key=lambda item: len(item[0]))
    for keys, value in [*chooses, *(item for item in parsed if not _choice(item[0]))]:
        _set(result, keys, _placed(keys, value, base))
    return result


def tracking_sets(uri: str | None) -> list[str]:
    """Returns the assignments that `--tracking` stands for: none without it, `none` goes without MLflow."""
    if uri is None:
        return []
    return ["tracking=null"] if uri == "none" else [f"tracking.uri={json.dumps(uri)}"]


def _choice(keys: list[str]) -> bool:
    return keys[-1] in ("kind", "preset")


def _parsed(text: str) -> tuple[list[str], Any]:
    path, mark, value = text.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not mark or not all(keys):
        raise SpecError("must be an assignment", text, "--set path=value, such as budget.trials=8", "--set")
    try:
        return keys, parse(value)
    except SpecError as error:
        raise SpecError(error.rule, value, error.allowed, f"--set {path}") from None


def _placed(keys: list[str], value: Any, base: Path) -> Any:
    """Returns the value with relative paths resolved, as they would be where it is going to stand."""
    nested: Any = value
    for key in reversed(keys):
        nested = {key: nested}
    nested = absolute(nested, base)
    for key in keys:
        nested = nested[key]
    return nested


def _set(data: dict[str, Any], keys: list[str], value: Any) -> None:
    node: Any = data
    for depth, key in enumerate(keys[:-1]):
        if isinstance(node, dict):
            if node.get(key) is None:
                node[key] = {}
            node = node[key]
        else:
            node = node[_index(node, key, keys[:depth])]
        if not isinstance(node, dict | list):
            raise SpecError("has no keys below it", node, path="/".join(keys[: depth + 1]))
    last = keys[-1]
    if isinstance(node, list):
        node[_index(node, last, keys[:-1])] = value
        return
    if _choice(keys) and node.get(last) != value:
        node.clear()
    node[last] = value


def _index(items: list[Any], key: str, path: list[str]) -> int:
    if not key.isdigit() or int(key) >= len(items):
        raise SpecError("must be the number of an item", key, f"0 to {len(items) - 1}", "/".join(path))
    return int(key)


def _copied(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copied(item) for key, item in node.items()}
    return [_copied(item) for item in node] if isinstance(node, list) else node


def absolute(data: dict[str, Any], base: Path) -> dict[str, Any]:
    """Returns `data` with every relative path made absolute.

    Args:
        data: A search file, or a part of one with the same nesting.
        base: Folder to which the paths belong.
    """
    return _mapped(data, lambda path: os.path.abspath(base / Path(path).expanduser()))


def relative(data: dict[str, Any], base: Path) -> dict[str, Any]:
    """Returns `data` with every absolute path made relative to `base`, so that both can be moved together."""
    return _mapped(data, lambda path: os.path.relpath(path, base))


def local_store(uri: str) -> Path | None:
    """Returns the file or folder of an MLflow store on this machine, or None for a server."""
    if uri.startswith(SQLITE):
        return Path(uri.removeprefix(SQLITE))
    return None if ":" in uri.split("/")[0] or uri == "databricks" else Path(uri)


def map_store(uri: str, convert: Callable[[str], str]) -> str:
    """Returns an MLflow store's URI with its local path, if it has one, converted."""
    path = local_store(uri)
    if path is None or str(path) == ":memory:":
        return uri
    return f"{SQLITE if uri.startswith(SQLITE) else ''}{convert(str(path))}"


def _mapped(data: dict[str, Any], convert: Callable[[str], str]) -> dict[str, Any]:
    result = dict(data)
    if isinstance(result.get("storage"), str) and "://" not in result["storage"]:
        result["storage"] = convert(result["storage"])
    tracking = result.get("tracking")
    if isinstance(tracking, dict) and isinstance(tracking.get("uri"), str):
        result["tracking"] = {**tracking, "uri": map_store(tracking["uri"], convert)}
    if isinstance(result.get("task"), dict):
        result["task"] = _paths(result["task"], convert)
    space = result.get("space")
    if isinstance(space, dict) and "recipe" in space:
        result["space"] = {**space, "recipe": _paths(space["recipe"], convert)}
    return result


def _paths(node: Any, convert: Callable[[str], str]) -> Any:
    if isinstance(node, list):
        return [_paths(item, convert) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: convert(item) if key == PATH_KEY and isinstance(item, str) and "://" not in item else _paths(item, convert)
        for key, item in node.items()
    }
