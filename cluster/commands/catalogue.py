"""`list`: what a search file can name."""

from __future__ import annotations

import inspect as python
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from cluster.config import PROXY
from search_spaces.errors import unknown
from search_spaces.spec import Spec, kinds, plain


def list_kinds(what: str, as_json: bool) -> int:
    """Prints the kinds of one sort, each with its one sentence and its fields.

    Args:
        what: spaces, controllers, blocks, tricks, tasks or pruners.
        as_json: Print JSON.

    Raises:
        SpecError: There is no such sort.
    """
    if what not in LISTS:
        raise unknown("list", what, LISTS)
    entries = LISTS[what]()
    if as_json:
        print(json.dumps(entries, indent=1))
        return 0
    for name, entry in entries.items():
        lines = [entry["about"], *_described(entry)]
        print(f"{name:<18} " + f"\n{'':<18} ".join(lines))
    return 0


def _described(entry: Mapping[str, Any]) -> list[str]:
    """Returns what is known of a kind beside its sentence, a line each."""
    ranges = entry.get("ranges", {})
    fields = [
        f"{field}={json.dumps(value)}" + (f" ({_in_words(ranges[field])})" if field in ranges else "")
        for field, value in entry["fields"].items()
    ]
    lines = [", ".join(fields)] if fields else []
    if "family" in entry:
        count = entry["params"]
        figure = "depends on its place" if count is None else f"{count:,}"
        lines += [f"family: {entry['family']}; parameters for 64 channels: {figure}", "paper: " + entry["paper"]]
    if entry.get("metrics"):
        lines.append("metrics: " + ", ".join(entry["metrics"]))
    if "tasks" in entry:
        lines += [] if ranges else ["range: on or off"]
        lines += ["tasks: " + ", ".join(entry["tasks"]), "paper: " + entry["paper"]]
    return lines


def _in_words(domain: Mapping[str, Any]) -> str:
    if "categorical" in domain:
        options = domain["categorical"]
        return " | ".join(map(json.dumps, options.values() if isinstance(options, Mapping) else options))
    low, high = domain.get("float") or domain["integer"]
    return f"{low:g} to {high:g}" + (", log" if domain["log"] else "")


def _specs(base: type[Spec]) -> dict[str, Any]:
    return {kind: {"about": _about(spec), "fields": _fields(spec)} for kind, spec in kinds(base).items()}


def _paper(spec: type[Spec]) -> str:
    """Returns the text behind `Paper:` in a docstring, empty where there is none."""
    text = python.getdoc(spec) or ""
    found = re.search(r"^Paper: (.*?)(?=\n\n|\n[A-Z][a-z]+:|\Z)", text, re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _about(thing: Any) -> str:
    return " ".join((python.getdoc(thing) or "").split("\n\n")[0].split())


def _fields(spec: type[Spec]) -> dict[str, Any]:
    fields = {name: field for name, field in spec.model_fields.items() if name != "kind"}
    return {
        name: "required" if field.is_required() else plain(field.get_default(call_default_factory=True))
        for name, field in fields.items()
    }


def _spaces() -> dict[str, Any]:
    from search_spaces.template import presets

    return {name: {"about": _about(make), "fields": _parameters(make)} for name, make in presets().items()}


def _parameters(make: Callable[..., Any]) -> dict[str, Any]:
    return {
        name: "required" if parameter.default is parameter.empty else plain(parameter.default)
        for name, parameter in python.signature(make).parameters.items()
    }


def _controllers() -> dict[str, Any]:
    from controllers.base import ControllerConfig

    return _specs(ControllerConfig)


def _blocks() -> dict[str, Any]:
    from search_spaces.blocks.base import Block

    return {kind: _block(spec) for kind, spec in kinds(Block).items()}


def _block(spec: type[Any]) -> dict[str, Any]:
    """Returns family, sentence, fields, paper, and the parameters and multiply-adds for maps of 64 channels."""
    price = spec().cost(64)
    return {
        "family": spec.__module__.rpartition(".")[2],
        "about": _about(spec),
        "params": None if price is None else price.params,
        "macs": None if price is None else price.macs,
        "paper": _paper(spec),
        "fields": _fields(spec),
    }


def _tricks() -> dict[str, Any]:
    from search_spaces.recipe.ranges import ranges
    from search_spaces.recipe.trick import Trick

    entries = _specs(Trick)
    for kind, spec in kinds(Trick).items():
        assert issubclass(spec, Trick)
        worth = {field: plain(domain) for field, domain in ranges(spec).items()}
        entries[kind] |= {"ranges": worth, "tasks": sorted(spec.tasks), "paper": _paper(spec)}
    return entries


def _tasks() -> dict[str, Any]:
    from trainers.tasks.base import Task

    entries = _specs(Task)
    for kind, spec in kinds(Task).items():
        required = any(field.is_required() for name, field in spec.model_fields.items() if name != "kind")
        known = () if required else spec().metrics()  # type: ignore[attr-defined]
        entries[kind]["metrics"] = [metric for metric in known if not metric.startswith(PROXY)]
    return entries


def _pruners() -> dict[str, Any]:
    from controllers.pruners import PrunerConfig

    return _specs(PrunerConfig)


LISTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "spaces": _spaces,
    "controllers": _controllers,
    "blocks": _blocks,
    "tricks": _tricks,
    "tasks": _tasks,
    "pruners": _pruners,
}
