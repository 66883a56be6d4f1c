import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from cluster.checkpoints import Checkpoints
from cluster.executors.local import LocalExecutor
from cluster.journal import Journal, encode
from cluster.preflight import check_controller
from cluster.replay import ReplayError, check_headers, replay
from cluster.storage import Storage
from cluster.upkeep import SNAPSHOT_SECONDS
from controllers.state import difference
from tests.cluster import searches

PRUNED = {"kind": "asha", "grace": 1, "factor": 2}


def _finished(folder: Path, trials: int = 12) -> tuple[object, object]:
    search = searches.config(pruner=PRUNED, budget={"trials": trials, "epochs": 3})
    driver, controller, journal, shared = searches.make_driver(search, folder)
    LocalExecutor(shared).run(driver)
    journal.close()
    return search, controller


def _replayed(folder: Path, search: object) -> tuple[object, object]:
    controller = check_controller(search, search.make_space())  # type: ignore[arg-type,attr-defined]
    storage = Storage.open(folder)
    return replay(storage, controller, Checkpoints(storage)), controller


def test_replaying_the_journal_gives_the_state_bit_for_bit(tmp_path: Path) -> None:
    search, controller = _finished(tmp_path)
    replayed, again = _replayed(tmp_path, search)
    assert difference(again.state_dict(), controller.state_dict()) is None  # type: ignore[attr-defined]
    assert replayed.records == len(searches.records(tmp_path))  # type: ignore[attr-defined]
    assert replayed.snapshot == 0  # type: ignore[attr-defined]


def test_a_snapshot_and_the_rest_of_the_journal_give_the_same_state(tmp_path: Path) -> None:
    search, controller = _finished(tmp_path, trials=120)
    assert len(list((tmp_path / "snapshots").glob("*.json"))) >= 1
    replayed, again = _replayed(tmp_path, search)
    assert 256 <= replayed.snapshot < replayed.records  # type: ignore[attr-defined]
    assert difference(again.state_dict(), controller.state_dict()) is None  # type: ignore[attr-defined]


def test_a_damaged_snapshot_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    search, controller = _finished(tmp_path, trials=120)
    for file in (tmp_path / "snapshots").glob("*.json"):
        file.write_bytes(file.read_bytes().replace(b"space", b"spice"))
    replayed, again = _replayed(tmp_path, search)
    assert replayed.snapshot == 0 and "not used" in caplog.text  # type: ignore[attr-defined]
    assert difference(again.state_dict(), controller.state_dict()) is None  # type: ignore[attr-defined]


def _changed(folder: Path, kind: str, old: str, new: str) -> int:
    """Change the first record of a kind, with a checksum that fits; its offset."""
    file = folder / "journal" / "000001.jsonl"
    header, *lines = file.read_bytes().splitlines()
    offset = next(i for i, line in enumerate(lines) if f'"kind":"{kind}"'.encode() in line and old.encode() in line)
    lines[offset] = encode(json.loads(lines[offset][9:].replace(old.encode(), new.encode()))).rstrip()
    file.write_bytes(b"\n".join([header, *lines]) + b"\n")
    return offset


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [("asked", '"seed":', '"seed":1'), ("reported", '"CONTINUE"', '"STOP"'), ("told", '"t000000"', '"t000900"')],
)
def test_an_answer_that_differs_from_the_journal_names_the_record(
    tmp_path: Path, kind: str, old: str, new: str
) -> None:
    search, _ = _finished(tmp_path)
    offset = _changed(tmp_path, kind, old, new)
    with pytest.raises(ReplayError, match=rf"^journal record {offset} \({kind}\): "):
        _replayed(tmp_path, search)


@pytest.mark.parametrize("key", ["space", "data", "seed"])
def test_another_space_data_or_seed_is_refused_in_one_line(tmp_path: Path, key: str) -> None:
    storage = Storage.open(tmp_path)
    marks: dict[str, str | int] = {"space": "a", "data": "b", "seed": 0}
    Journal.open(storage, marks).close()
    check_headers(storage, marks)
    with pytest.raises(ReplayError, match=rf"^{key}: .* got other; allowed") as caught:
        check_headers(storage, {**marks, key: "other"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("trials", [2, 7])
def test_what_a_converged_search_asked_is_repeated_under_another_budget(tmp_path: Path, trials: int) -> None:
    def made(budget: int) -> tuple[Any, ...]:
        search = searches.config("plain", budget={"trials": budget, "epochs": 1}, lookahead=2)
        return searches.make_driver(search, tmp_path, controller=searches.Repeats(search))

    for budget, reason in ((1, "budget.trials"), (4, "converged")):
        driver, controller, journal, shared = made(budget)
        LocalExecutor(shared).run(driver)
        journal.close()
        assert driver.reason == reason
    last = searches.records(tmp_path, "asked")[-1].fields
    assert (last["n"], len(last["trials"])) == (3, 1), "the last ask was cut short by the budget of then"
    driver, again, journal, shared = made(trials)
    assert difference(again.state_dict(), controller.state_dict()) is None
    LocalExecutor(shared).run(driver)
    journal.close()
    assert driver.reason == "converged"
    assert len(searches.candidates(tmp_path)) == 1 + 10 * max(4, trials)


SETTINGS = [{"kind": "random"}, {"kind": "reinforce", "bins": 4, "hidden": 6}, {"kind": "reinforce", "bins": 5}]


@pytest.mark.parametrize("controller", SETTINGS, ids=["kind", "hidden", "bins"])
def test_a_snapshot_of_other_settings_is_passed_over_and_the_journal_tells(
    tmp_path: Path, controller: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    search = searches.config(controller={"kind": "reinforce", "bins": 4}, budget={"trials": 3, "epochs": 1})
    driver, _, journal, shared = searches.make_driver(search, tmp_path)
    driver.upkeep.spent(SNAPSHOT_SECONDS)
    LocalExecutor(shared).run(driver)
    journal.close()
    assert len(list((tmp_path / "snapshots").glob("*.json"))) == 1
    assert _replayed(tmp_path, search)[0].snapshot > 0  # type: ignore[attr-defined]
    changed = searches.config(controller=controller, budget={"trials": 3, "epochs": 1})
    with pytest.raises(ReplayError, match=r"^journal record \d+ \(asked\): the controller must answer as it did"):
        _replayed(tmp_path, changed)
    assert "is not used: " in caplog.text


def test_settings_that_change_no_answer_go_on_from_the_records(tmp_path: Path) -> None:
    search = searches.config(pruner=PRUNED, budget={"trials": 4, "epochs": 3})
    driver, controller, journal, shared = searches.make_driver(search, tmp_path)
    driver.upkeep.spent(SNAPSHOT_SECONDS)
    LocalExecutor(shared).run(driver)
    journal.close()
    for file in (tmp_path / "snapshots").glob("*.json"):
        content = json.loads(file.read_text())
        content["state"] = content["state"].replace('"kind":"random"', '"kind":"older"')
        content["crc"] = f"{zlib.crc32(content['state'].encode()):08x}"
        file.write_text(json.dumps(content))
    replayed, again = _replayed(tmp_path, search)
    assert replayed.snapshot == 0  # type: ignore[attr-defined]
    assert difference(again.state_dict(), controller.state_dict()) is None  # type: ignore[attr-defined]
