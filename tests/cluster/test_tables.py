import datetime
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster import tables as module
from cluster.history import TrialRow
from cluster.journal import Journal, headers
from cluster.storage import Storage, StorageError
from cluster.tables import Tables, load_reports, load_trials, read_trials, trials_table
from controllers.trial import Status
from search_spaces.candidate import Candidate
from tests.cluster import samples


def _row(number: int, **values: object) -> TrialRow:
    return TrialRow(f"t{number}", Candidate(values), number, 1, "train")  # type: ignore[arg-type]


def test_the_columns_are_those_of_the_design(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    journal = Journal.open(storage, {})
    samples.run_trial(journal, 1)
    samples.ask(journal, samples.trial(2, mode="proxy", parent_id="t000001"))
    samples.start(journal, 2)
    samples.ask(journal, samples.trial(3))
    samples.tell(journal, 3, 0, Status.INFEASIBLE, reason="too large")
    tables = Tables(storage)
    assert tables.update()
    table = pq.read_table(tmp_path / "trials.parquet")
    head = "trial_id attempts status source mode parent_id group seed fidelity steps candidate_id asked started ended"
    assert table.column_names[:17] == [*head.split(), "seconds", "device_seconds", "reason"]
    assert table.column_names[17:23] == [f"p:{path}" for path in sorted(samples.trial(1).candidate)]
    assert table.column_names[23:] == ["m:cost/params", "m:epoch", "m:train/loss", "m:val/accuracy"]
    assert table["status"].to_pylist() == ["COMPLETED", "RUNNING", "INFEASIBLE"]
    assert table["p:recipe/mix/mixup/alpha"].to_pylist() == [0.2, None, 0.2]
    assert table["p:architecture/skips"].to_pylist() == [[0, 1], [0, 2], [0, 3]]
    kinds = {name: table.schema.field(name).type for name in table.column_names}
    assert kinds["p:architecture/depth"] == pa.int64() and kinds["p:recipe/lr"] == pa.float64()
    assert kinds["p:recipe/nesterov"] == pa.bool_() and kinds["p:recipe/mix"] == pa.string()
    assert kinds["p:architecture/skips"] == pa.list_(pa.int64()) and kinds["seed"] == pa.uint64()
    assert kinds["asked"] == kinds["ended"] == pa.timestamp("us", tz="UTC")
    began = datetime.datetime.fromtimestamp(samples.moment(1, 0) + 0.5, datetime.UTC)
    assert table["started"][0].as_py() == began and table["started"][2].as_py() is None
    assert table["seconds"].to_pylist() == [1.5, None, 1.5] and table["reason"][2].as_py() == "too large"
    assert table.equals(load_trials(storage)) and read_trials(storage).equals(table)
    journal.close()


def test_values_keep_their_type_and_mixtures_become_text() -> None:
    rows = [
        _row(0, a=1, b=1, c=True, d=(1, 2.5), e=(), f=2**70, g=None, h=(("x",),), i="x"),
        _row(1, a=2, b=0.5, c=1, d=(), e=(), f=1, g="w", h=(), i="null"),
        _row(2, a=3),
    ]
    table = trials_table(rows)
    assert table["p:a"].to_pylist() == [1, 2, 3] and table["p:a"].type == pa.int64()
    assert table["p:b"].to_pylist() == [1.0, 0.5, None] and table["p:b"].type == pa.float64()
    assert table["p:c"].to_pylist() == ["true", "1", None]
    assert table["p:d"].to_pylist() == [[1.0, 2.5], [], None]
    assert table["p:e"].to_pylist() == [[], [], None]
    assert table["p:f"].to_pylist() == [str(2**70), "1", None]
    assert table["p:g"].to_pylist() == ["null", "w", None]
    assert table["p:h"].to_pylist() == [[["x"]], [], None]
    assert trials_table([]).num_rows == 0


def test_a_table_is_written_at_most_every_ten_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    storage = Storage.open(tmp_path)
    journal = Journal.open(storage, {})
    tables = Tables(storage)
    assert tables.update()
    samples.run_trial(journal, 0)
    for now[0] in (101.0, 109.9):
        assert not tables.update()
    assert read_trials(storage).num_rows == 0
    now[0] = 110.0
    assert tables.update() and read_trials(storage).num_rows == 1
    now[0] = 125.0
    assert not tables.update()
    samples.run_trial(journal, 1)
    tables.close()
    assert read_trials(storage).num_rows == 2
    # A table that takes half a second to write is written every 25 s.
    samples.run_trial(journal, 2)
    write = Storage.write_atomic

    def slowly(self: Storage, name: str, data: bytes) -> None:
        if name == module.TRIALS:  # the lock writes its heartbeat when it likes
            now[0] += 0.5
        write(self, name, data)

    monkeypatch.setattr(Storage, "write_atomic", slowly)
    now[0] = 200.0
    assert tables.update()
    samples.run_trial(journal, 3)
    now[0] = 225.0
    assert not tables.update()
    now[0] = 225.5
    assert tables.update()
    journal.close()


def test_reports_become_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ROWS", 4)
    monkeypatch.setattr(module, "WRITING_SHARE", 1e9)
    storage = Storage.open(tmp_path)
    journal = Journal.open(storage, {})
    tables = Tables(storage, interval=0.0)
    for number in range(3):
        samples.run_trial(journal, number, steps=3)
        tables.update()
    samples.ask(journal, samples.trial(3))
    samples.start(journal, 3)
    samples.report(journal, 3, 1, **{"val/late": 0.5})
    tables.close()
    journal.close()
    assert storage.list("reports.parquet") == [f"{a:012d}-{b:012d}.parquet" for a, b in ((0, 12), (12, 21))]
    table = load_reports(storage)
    assert table.column_names[:5] == ["trial_id", "attempt", "step", "time", "verdict"]
    assert table["trial_id"].to_pylist() == [f"t{number:06d}" for number in (0, 0, 0, 1, 1, 1, 2, 2, 2, 3)]
    assert table["step"].to_pylist() == [1, 2, 3] * 3 + [1]
    assert table["m:val/late"].to_pylist() == [None] * 9 + [0.5]
    assert table["time"][4].as_py() == datetime.datetime.fromtimestamp(samples.moment(1, 2), datetime.UTC)


DRIVER = """
import sys, time
from cluster.journal import Journal, read
from cluster.history import History
from cluster.storage import Storage
from cluster.tables import Tables
import cluster.tables
from tests.cluster import samples
cluster.tables.PART_ROWS = 3
cluster.tables.WRITING_SHARE = 1e9
storage = Storage.open(sys.argv[1])
journal = Journal.open(storage, {})
history = History()
for record in read(storage):
    history.apply(record)
tables = Tables(storage, interval=0.0)
tables.update()
print("up", flush=True)
for number in range(12):
    row = history.trials.get(f"t{number:06d}")
    if row is None:
        samples.ask(journal, samples.trial(number, fidelity=3))
    if row is None or not row.told:
        attempt = (row.attempts if row else 0) + 1
        samples.start(journal, number, attempt)
        # A resumed trial redoes a step, as one does that goes on from an older checkpoint.
        for step in range(max(1, row.steps if row else 1), 4):
            samples.report(journal, number, step, attempt)
            tables.update()
            time.sleep(0.005)
        samples.tell(journal, number, 3)
    tables.update()
tables.close()
journal.close()
"""


@pytest.mark.slow
def test_killed_at_random_and_resumed_every_trial_and_step_stands_once(tmp_path: Path) -> None:
    generator = random.Random(3)
    storage = Storage.open(tmp_path)
    for kill in [True] * 6 + [False]:
        with subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"up\n"
            if kill:
                time.sleep(generator.uniform(0.0, 0.12))
                os.kill(process.pid, signal.SIGKILL)
        assert kill or process.returncode == 0
    assert len(headers(storage)) == 7
    table = read_trials(storage)
    assert table["trial_id"].to_pylist() == [f"t{number:06d}" for number in range(12)]
    assert set(table["status"].to_pylist()) == {"COMPLETED"} and max(table["attempts"].to_pylist()) > 1
    reports = load_reports(storage)
    pairs = list(zip(reports["trial_id"].to_pylist(), reports["step"].to_pylist(), strict=True))
    assert sorted(pairs) == [(f"t{number:06d}", step) for number in range(12) for step in (1, 2, 3)]


def test_parts_of_records_that_the_journal_lost_are_written_anew(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    for drop in (False, True):
        journal = Journal.open(storage, {})
        samples.run_trial(journal, 0, steps=3 if drop else 5)
        tables = Tables(storage)
        tables.close()
        journal.close()
        assert load_reports(storage).num_rows == (3 if drop else 5)
        # As after a power loss: records that were written and read, but not synced, are gone.
        storage.delete("journal/000001.jsonl")
    assert storage.list("reports.parquet") == ["000000000000-000000000006.parquet"]


def test_a_table_of_another_schema_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage.open(tmp_path)
    Journal.open(storage, {}).close()
    Tables(storage).close()
    monkeypatch.setattr(module, "SCHEMA", 3)
    with pytest.raises(StorageError, match=r"trials.parquet: schema .*got 1; allowed 2 and 3"):
        read_trials(storage)
