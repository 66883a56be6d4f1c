from pathlib import Path

import pytest

from cluster.searchfile import (
    absolute,
    dump,
    local_store,
    map_store,
    mapping,
    override,
    parse,
    relative,
    tracking_sets,
)
from search_spaces.errors import SpecError

HERE = Path("/here")


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 0.001), ("2.0e6", 2_000_000.0), ("no", "no"), ("on", "on"), ("null", None), ("017", 17), ("true", True)],
)
def test_yaml_is_read_as_version_1_2(text: str, value: object) -> None:
    found = parse(text)
    assert found == value
    assert type(found) is type(value)


def test_a_key_that_stands_twice_is_refused_with_key_and_line() -> None:
    with pytest.raises(SpecError) as caught:
        parse("a: 1\nb:\n  seed: 1\n  seed: 2\n")
    assert str(caught.value) == "line 4: a key stands twice; got 'seed'; allowed each key once"


def test_what_is_no_yaml_is_refused_with_its_line() -> None:
    with pytest.raises(SpecError, match="line 2: must be YAML"):
        parse("a: [1\nb: 2\n")


@pytest.mark.parametrize("text", ["", "- 1", "3"])
def test_a_search_file_is_a_mapping(text: str) -> None:
    with pytest.raises(SpecError, match="must be a mapping"):
        mapping(text)


def test_dump_keeps_the_order_and_reads_back() -> None:
    data = {"b": 1, "a": {"z": [0.001, "no"], "y": None}}
    assert dump(data).startswith("b: 1\na:\n")
    assert mapping(dump(data)) == data


def test_a_set_makes_what_is_missing_and_reads_its_value_as_yaml() -> None:
    data = {"budget": {"trials": 4}, "objectives": [{"metric": "a"}]}
    sets = ["budget.trials=8", "controller.bins=4", "objectives.0.mode=min", "constraints=[{metric: m, max: 1e6}]"]
    changed = override(data, sets, HERE)
    assert changed == {
        "budget": {"trials": 8},
        "objectives": [{"metric": "a", "mode": "min"}],
        "controller": {"bins": 4},
        "constraints": [{"metric": "m", "max": 1e6}],
    }
    assert data == {"budget": {"trials": 4}, "objectives": [{"metric": "a"}]}


@pytest.mark.parametrize(
    "sets",
    [
        ["task.data.kind=cifar10", "task.data.limit=9"],
        ["task.data.limit=9", "task.data.kind=cifar10"],
    ],
)
def test_a_new_kind_drops_the_old_siblings_but_not_what_is_set_beside_it(sets: list[str]) -> None:
    data = {"task": {"kind": "classification", "data": {"kind": "digits", "val": 0.2}}}
    assert override(data, sets, HERE)["task"]["data"] == {"kind": "cifar10", "limit": 9}


def test_the_kind_that_is_there_drops_nothing() -> None:
    data = {"task": {"kind": "classification", "report_every": 2}}
    assert override(data, ["task.kind=classification"], HERE)["task"]["report_every"] == 2


def test_a_kind_in_place_of_a_preset_drops_the_preset() -> None:
    data = {"space": {"architecture": {"preset": "chain", "layers": 6}}}
    changed = override(data, ["space.architecture.kind=other"], HERE)
    assert changed["space"]["architecture"] == {"kind": "other"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("budget.trials", "--set: must be an assignment; got 'budget.trials'"),
        ("seed.x=1", "seed: has no keys below it; got 3"),
        ("objectives.7.mode=min", "objectives: must be the number of an item; got '7'; allowed 0 to 0"),
        ("seed=[1", "--set seed: must be YAML"),
    ],
)
def test_a_wrong_set_is_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        override({"seed": 3, "objectives": [{}]}, [text], HERE)
    assert str(caught.value).startswith(message)


def test_relative_paths_in_a_set_belong_to_where_the_command_was_typed() -> None:
    data = absolute({"task": {"data": {"kind": "cifar10", "path": "x"}}}, Path("/file"))
    assert data["task"]["data"]["path"] == "/file/x"
    sets = ["task.data={kind: cifar10, path: y}", "storage=runs"]
    changed = override(data, sets, HERE)
    assert changed["task"]["data"]["path"] == "/here/y"
    assert changed["storage"] == "/here/runs"


def test_paths_are_made_absolute_and_relative_again() -> None:
    data = {
        "storage": "runs",
        "task": {"data": {"path": "../images"}, "other": {"path": "s3://bucket/x"}},
        "tracking": {"uri": "sqlite:///mlflow.db"},
        "space": {"path": "not/one"},
    }
    whole = absolute(data, Path("/a/b"))
    assert whole["storage"] == "/a/b/runs"
    assert whole["task"] == {"data": {"path": "/a/images"}, "other": {"path": "s3://bucket/x"}}
    assert whole["tracking"] == {"uri": "sqlite:////a/b/mlflow.db"}
    assert whole["space"] == {"path": "not/one"}
    moved = relative(whole, Path("/a/b/runs/x"))
    assert (moved["storage"], moved["task"]["data"]["path"]) == ("..", "../../../images")
    assert absolute(moved, Path("/elsewhere/b/runs/x"))["tracking"] == {"uri": "sqlite:////elsewhere/b/mlflow.db"}


@pytest.mark.parametrize("uri", ["http://host:5000", "postgresql://host/db", "databricks"])
def test_servers_are_no_paths(uri: str) -> None:
    assert local_store(uri) is None
    assert map_store(uri, lambda path: "changed") == uri


def test_paths_of_teachers_belong_to_the_file_as_well() -> None:
    teacher = {"kind": "run", "path": "runs/a/best"}
    data = {"space": {"recipe": {"distillation": {"teachers": [teacher]}}}}
    whole = absolute(data, Path("/x"))
    assert whole["space"]["recipe"]["distillation"]["teachers"][0]["path"] == "/x/runs/a/best"
    assert relative(whole, Path("/x")) == data


def test_tracking_none_goes_without() -> None:
    assert tracking_sets(None) == []
    assert tracking_sets("none") == ["tracking=null"]
    assert tracking_sets("http://h:1") == ['tracking.uri="http://h:1"']
