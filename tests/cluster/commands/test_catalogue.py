import json
import re

import pytest

from cluster.commands.catalogue import LISTS, list_kinds


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


def test_every_trick_is_listed_with_its_tasks_defaults_ranges_and_paper(capsys: pytest.CaptureFixture[str]) -> None:
    list_kinds("tricks", as_json=True)
    entries = json.loads(capsys.readouterr().out)
    list_kinds("tricks", as_json=False)
    printed = re.split(r"\n(?=\S)", capsys.readouterr().out)
    texts = {text.split()[0]: " ".join(text.split()) for text in printed}
    for kind, entry in entries.items():
        assert entry["tasks"] and set(entry["tasks"]) <= {"classification", "segmentation", "detection", "language"}
        assert re.search(r"\b(19|20)\d\d\b", entry["paper"])
        assert set(entry["ranges"]) <= set(entry["fields"])
        assert f"tasks: {', '.join(entry['tasks'])} paper: {entry['paper']}" in texts[kind]
        assert all(f"{name}={json.dumps(value)}" in texts[kind] for name, value in entry["fields"].items())
    on_or_off = {kind for kind, text in texts.items() if "range: on or off" in text}
    choices = {"constant", "flip", "trivial_augment", "uncertainty_weighting"}
    assert on_or_off == choices | {"guided_loss", "cascade_loss"}
    assert on_or_off == {kind for kind, entry in entries.items() if not entry["ranges"]}


def test_ranges_are_printed_for_people_and_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    list_kinds("tricks", as_json=False)
    printed = capsys.readouterr().out
    assert "rate=0.5 (0 to 0.6)" in printed
    assert "temperature=4.0 (1 to 20, log)" in printed
    assert "until=1.0 (0.8 | 0.9 | 1.0)" in printed
    assert "milestones=[0.5, 0.75] ([0.5, 0.75] | " in printed
    assert "paper: Bengio et al., Curriculum Learning, 2009, section 4; linear pacing: Hacohen" in printed
    list_kinds("tricks", as_json=True)
    entry = json.loads(capsys.readouterr().out)["ricap"]
    assert entry["ranges"] == {
        "beta": {"float": [0.1, 1.0], "log": False},
        "until": {"categorical": [0.8, 0.9, 1.0]},
    }
    assert (entry["tasks"], entry["fields"]["beta"]) == (["classification"], 0.3)
    assert entry["paper"].endswith("1811.09030, section 3.")


def test_blocks_are_listed_with_family_parameters_and_paper(capsys: pytest.CaptureFixture[str]) -> None:
    list_kinds("blocks", as_json=True)
    entries = json.loads(capsys.readouterr().out)
    assert (entries["se"]["family"], entries["se"]["params"]) == ("attention", 580)
    assert entries["dense"]["params"] == 9 * 64 * 64
    assert all(entry["paper"] and entry["family"] for entry in entries.values())
    list_kinds("blocks", as_json=False)
    printed = " ".join(capsys.readouterr().out.split())
    assert "family: attention; parameters for 64 channels: 580 paper: Hu et al., 2017" in printed


def test_tasks_are_listed_with_the_metrics_that_decide(capsys: pytest.CaptureFixture[str]) -> None:
    list_kinds("tasks", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert {"val/accuracy", "cost/macs"} <= set(found["classification"]["metrics"])
    assert not any(metric.startswith("proxy/") for metric in found["classification"]["metrics"])
    assert "val/ap50" in found["detection"]["metrics"] and found["function"]["metrics"] == []
    list_kinds("tasks", as_json=False)
    assert "metrics: train/loss" in capsys.readouterr().out
