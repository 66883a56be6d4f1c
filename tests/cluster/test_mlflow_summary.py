from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq

from cluster.history import TrialRow
from cluster.journal import Journal, read
from cluster.mlflow_summary import artifacts, note, search_params, trial_artifacts, trial_params
from cluster.searchfile import mapping
from cluster.standing import Standing
from controllers.objective import Constraint, Objective
from controllers.trial import Outcome, Status
from search_spaces.candidate import Candidate
from tests.cluster import samples


def _standing(folder: Path) -> Standing:
    storage = samples.storage(folder)
    journal = Journal.open(storage, {})
    for number in range(4):
        samples.run_trial(journal, number, status=Status.FAILED if number == 1 else Status.COMPLETED)
    journal.close()
    standing = Standing(storage, [Objective(metric="val/accuracy")], [Constraint(metric="cost/params", max=101.0)])
    for record in read(storage):
        standing.take(record)
    return standing


def test_parameters_are_the_decisions_those_higher_up_first() -> None:
    values = {f"deep/er/{index}": index for index in range(150)} | {"lr": 0.1, "skips": (0, 2)}
    row = TrialRow("t0", Candidate(values), 0, 1, "train")  # type: ignore[arg-type]
    params = trial_params(row)
    assert len(params) == 100 and params["lr"] == 0.1 and params["skips"] == "[0, 2]"
    assert "deep/er/97" in params and "deep/er/98" not in params


def test_parameters_of_a_search_are_its_file_without_what_may_change() -> None:
    params = search_params(mapping(samples.SEARCH_FILE))
    assert params["controller/kind"] == "random" and params["seed"] == 7 and params["task/target"] == "m:f"
    assert params["objectives"] == '[{"metric": "val/accuracy", "mode": "max"}]'
    assert not [name for name in params if name.startswith(("budget", "schema", "space"))]


def test_the_note_shows_the_best_with_links(tmp_path: Path) -> None:
    text = note(_standing(tmp_path), "7", {"t000000": "abc"})
    lines = text.splitlines()
    assert lines[0] == "4 trials: 3 completed, 1 failed."
    assert lines[2:4] == ["| trial | val/accuracy | steps |", "|---|---|---|"]
    # Trial 1 failed, 2 and 3 break the constraint.
    assert lines[4:] == ["| [t000000](#/experiments/7/runs/abc) | 0.6667 | 2 |"]


def test_the_files_are_the_tables_and_what_lies_ready(tmp_path: Path) -> None:
    standing = _standing(tmp_path)
    storage = samples.storage(tmp_path)
    storage.write_atomic("best/architecture.json", b"{}")
    storage.write_atomic("best/weights.safetensors", b"0")
    storage.write_atomic("best/prediction.png", b"picture")
    storage.write_atomic("best/deep/er.json", b"{}")
    storage.write_atomic("report/search.png", b"png")
    storage.write_atomic("artifacts/t000002/architecture.svg", b"<svg/>")
    found = {(trial, name): data for trial, name, data in artifacts(storage, standing)}
    assert set(found) == {
        (None, "trials.parquet"),
        (None, "trials.csv"),
        (None, "pareto_front.csv"),
        (None, "best/architecture.json"),
        (None, "best/weights.safetensors"),
        (None, "best/prediction.png"),
        (None, "report/search.png"),
        ("t000000", "architecture.json"),
        ("t000000", "prediction.png"),
    }
    assert list(trial_artifacts(storage, "t000002")) == [("t000002", "architecture.svg", b"<svg/>")]
    assert list(trial_artifacts(storage, "t000001")) == []
    (tmp_path / "t.parquet").write_bytes(found[None, "trials.parquet"])
    (tmp_path / "t.csv").write_bytes(found[None, "trials.csv"])
    ids = [f"t{number:06d}" for number in range(4)]
    assert pq.read_table(tmp_path / "t.parquet")["trial_id"].to_pylist() == ids
    table = pyarrow.csv.read_csv(tmp_path / "t.csv")
    assert table["trial_id"].to_pylist() == ids and table["p:architecture/skips"][3].as_py() == "[0, 3]"


def _two_goals(folder: Path) -> Standing:
    """Trial -> best accuracy of two steps, parameters: of 0 to 3 only 1 is dominated."""
    storage = samples.storage(folder)
    journal = Journal.open(storage, {})
    for number, (accuracy, params) in enumerate(((0.7, 50.0), (0.6, 60.0), (0.9, 90.0), (0.5, 40.0))):
        samples.ask(journal, samples.trial(number, fidelity=2))
        samples.start(journal, number)
        for step, value in ((1, accuracy), (2, 0.1)):
            samples.report(journal, number, step, **{"val/accuracy": value, "cost/params": params})
        outcome = Outcome(Status.COMPLETED, {"val/accuracy": 0.1, "cost/params": params}, 2)
        journal.append("told", trial=f"t{number:06d}", outcome=outcome.to_data(), time=samples.moment(number, 2))
    journal.close()
    goals = [Objective(metric="val/accuracy", of="best"), Objective(metric="cost/params", mode="min")]
    standing = Standing(storage, goals)
    standing.update()
    return standing


def test_the_front_is_a_table_of_what_no_other_dominates(tmp_path: Path) -> None:
    standing = _two_goals(tmp_path / "run")
    found = {name: data for _, name, data in artifacts(samples.storage(tmp_path / "run"), standing)}
    (tmp_path / "front.csv").write_bytes(found["pareto_front.csv"])
    front = pyarrow.csv.read_csv(tmp_path / "front.csv")
    assert front.column_names[:3] == ["trial_id", "told:val/accuracy", "told:cost/params"]
    assert front["trial_id"].to_pylist() == ["t000002", "t000000", "t000003"]
    # What counted is the best of the steps, not the last.
    assert front["told:val/accuracy"].to_pylist() == [0.9, 0.7, 0.5]
    assert front["told:cost/params"].to_pylist() == [90.0, 50.0, 40.0]
    assert front["p:architecture/depth"].to_pylist() == [2, 0, 3]


def test_the_note_of_several_objectives_shows_the_front(tmp_path: Path) -> None:
    lines = note(_two_goals(tmp_path), "7", {}).splitlines()
    begin = lines.index("Pareto front, 3 trials:")
    assert lines[begin + 2 :] == [
        "| trial | val/accuracy | cost/params | steps |",
        "|---|---|---|---|",
        "| t000002 | 0.9 | 90 | 2 |",
        "| t000000 | 0.7 | 50 | 2 |",
        "| t000003 | 0.5 | 40 | 2 |",
    ]


def test_a_search_without_a_success_has_no_front(tmp_path: Path) -> None:
    storage = samples.storage(tmp_path)
    journal = Journal.open(storage, {})
    samples.run_trial(journal, 0, status=Status.FAILED)
    journal.close()
    standing = Standing(storage, [Objective(metric="val/accuracy")])
    standing.update()
    assert [name for _, name, _ in artifacts(storage, standing)] == ["trials.parquet", "trials.csv"]
