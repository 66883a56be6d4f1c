"""The frozen list of commands and flags: a new one is a decision, made here."""

from typing import Any

import typer

from cluster.cli import app

FLAGS = {
    "search": ["FILE", "--set", "--name", "--trials", "--address", "--storage", "--tracking"],
    "resume": ["NAME", "--trials", "--address", "--storage", "--tracking"],
    "retrain": ["NAME", "--trial", "--set", "--address", "--storage", "--tracking"],
    "stop": ["NAME", "--storage", "--tracking"],
    "show": ["NAME", "--json", "--storage", "--tracking"],
    "report": ["NAME", "-o", "--out", "--storage", "--tracking"],
    "list": ["spaces|controllers|blocks|tricks|tasks|pruners", "--json"],
    "inspect": ["ARCH", "--input", "--outputs", "--json", "--draw"],
    "ui": ["[NAME]", "--port", "--storage", "--tracking"],
}


def test_commands_and_flags_are_those_of_the_list() -> None:
    group: Any = typer.main.get_command(app)
    found = {}
    for name, command in group.commands.items():
        found[name] = []
        for item in command.params:
            found[name] += list(item.opts) if item.param_type_name == "option" else [item.metavar]
    assert found == FLAGS
