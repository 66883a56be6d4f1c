import json
from pathlib import Path

import pytest

from cluster.commands.catalogue import LISTS, inspect, list_kinds
from search_spaces.errors import SpecError


@pytest.mark.parametrize("what", LISTS)
def test_every_list_prints_kinds_with_a_sentence_each(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert list_kinds(what, as_json=True) == 0
    entries = json.loads(capsys.readouterr().out)
    assert all(entry["about"].endswith(".") for entry in entries.values())
    list_kinds(what, as_json=False)
    printed = capsys.readouterr().out
    assert all(f"{name} " in printed for name in entries)


@pytest.mark.parametrize(
    ("what", "some"),
    [
        ("spaces", {"chain"}),
        ("controllers", {"random", "reinforce"}),
        ("tricks", {"sgd", "adamw", "mixup", "cutout", "ema"}),
        ("tasks", {"classification", "function"}),
        ("pruners", {"asha", "median"}),
    ],
)
def test_lists_hold_what_there_is(what: str, some: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    list_kinds(what, as_json=False)
    names = {line.split()[0] for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")}
    assert some <= names


def test_fields_and_their_defaults_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    list_kinds("pruners", as_json=True)
    assert json.loads(capsys.readouterr().out)["asha"]["fields"] == {"grace": 1, "factor": 4}


def test_inspect_prints_the_figures_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect("chain-6", None, None, as_json=True, draw=None) == 0
    own = json.loads(capsys.readouterr().out)
    assert (own["params"], own["input"], own["outputs"]) == (191286, [3, 32, 32], 10)
    # A norm of 280 channels in all leaves a bias a channel; the products stay.
    assert (own["deployed_params"], own["deployed_macs"]) == (191286 - 280, own["macs"])
    inspect("chain-6", "1x8x8", 5, as_json=True, draw=None)
    other = json.loads(capsys.readouterr().out)
    assert (other["input"], other["outputs"]) == ([1, 8, 8], 5)
    # The image has a sixteenth of the places; two layers read two channels less of it, and five classes are fewer.
    assert other["params"] < own["params"]
    assert other["macs"] < own["macs"] / 8


def test_inspect_prints_for_people_too(capsys: pytest.CaptureFixture[str]) -> None:
    inspect("chain-6", None, None, as_json=False, draw=None)
    assert "191,286; deployed 191,006" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["a.svg", "a.png"])
def test_inspect_draws(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inspect("chain-6", None, None, as_json=True, draw=str(tmp_path / name))
    assert (tmp_path / name).read_bytes()[:4] in (b"<svg", b"\x89PNG")


@pytest.mark.parametrize(
    ("shape", "draw", "message"),
    [
        ("3x32", None, "a network needs the shape"),
        ("3xAx3", None, "--input: must be a shape; got '3xAx3'"),
        ("3x0x3", None, "--input: must be a shape; got '3x0x3'"),
        (None, "picture.gif", "--draw: a picture is SVG or PNG; got 'picture.gif'"),
        (None, "/none/there.svg", "--draw: cannot be written"),
    ],
)
def test_inspect_refuses(shape: str | None, draw: str | None, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        inspect("chain-6", shape, None, as_json=True, draw=draw)
    assert message in str(caught.value)
