import base64
import json
from contextlib import closing
from pathlib import Path

import pytest

from cluster.commands import look
from cluster.journal import Journal
from cluster.search import Search
from search_spaces.errors import SpecError
from tests.cluster import samples, trained
from tests.cluster.test_search import make, run


@pytest.fixture
def search(tmp_path: Path) -> Search:
    return run(make(tmp_path))


def test_show_prints_the_best_and_where_it_stands(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert look.show("parabola", False, str(tmp_path / "runs")) == 0
    text = capsys.readouterr().out
    assert search.best is not None
    assert text.startswith("parabola: 6 COMPLETED; budget.trials;")
    assert f"best: {search.best.trial_id}" in text
    look.show("parabola", True, str(tmp_path / "runs"))
    assert json.loads(capsys.readouterr().out)["best"]["trial_id"] == search.best.trial_id


def test_show_and_the_report_say_that_a_search_was_killed(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(Journal.open(search.run_folder.storage, {})) as journal:
        samples.ask(journal, samples.trial(6))
        samples.start(journal, 6)
    capsys.readouterr()
    look.show("parabola", False, str(tmp_path / "runs"))
    assert capsys.readouterr().out.startswith("parabola: 6 COMPLETED; interrupted; 1 to go on;")
    look.report("parabola", str(tmp_path / "mine"), str(tmp_path / "runs"))
    assert "interrupted; 1 to go on" in (tmp_path / "mine" / "report.html").read_text()


def test_show_names_the_retrains_of_a_search_and_what_they_retrain(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search.best is not None
    search.retrain(["n=3"]).run(executor="local", progress=False)
    capsys.readouterr()
    place, trial_id = str(tmp_path / "runs"), search.best.trial_id
    look.show("parabola", False, place)
    look.show("parabola-retrain", False, place)
    text = capsys.readouterr().out
    assert "retrained: parabola-retrain\n" in text
    assert f"retrains {trial_id} of parabola\n" in text
    found = []
    for name in ("parabola", "parabola-retrain"):
        look.show(name, True, place)
        found.append(json.loads(capsys.readouterr().out))
    assert [entry["retrains"] for entry in found] == [["parabola-retrain"], []]
    assert [entry["retrain_of"] for entry in found] == [None, {"run": "parabola", "trial_id": trial_id}]


def test_report_is_written_into_the_run_or_where_one_wants_it(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    look.report("parabola", None, str(tmp_path / "runs"))
    assert capsys.readouterr().out.strip() == str(tmp_path / "runs" / "parabola" / "report" / "report.html")
    look.report("parabola", str(tmp_path / "mine"), str(tmp_path / "runs"))
    assert "parabola" in (tmp_path / "mine" / "report.html").read_text()
    with pytest.raises(SpecError, match="--out: cannot be written"):
        look.report("parabola", str(tmp_path / "mine" / "report.html"), str(tmp_path / "runs"))


def test_ui_of_a_search_without_mlflow_is_refused(search: Search, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="this search goes without MLflow"):
        look.ui("parabola", None, str(tmp_path / "runs"), None)


def test_a_report_needs_no_class_of_a_script_that_has_ended(search: Search, tmp_path: Path) -> None:
    file = tmp_path / "runs" / "parabola" / "search.yaml"
    file.write_text(file.read_text().replace("tests.cluster.test_search:Point", "gone:Point"))
    look.report("parabola", str(tmp_path / "mine"), str(tmp_path / "runs"))
    assert search.best is not None
    assert f"Best candidate: {search.best.trial_id}" in (tmp_path / "mine" / "report.html").read_text()


def test_the_store_is_shown_as_the_search_or_the_command_says_it(
    search: Search, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, uri = str(tmp_path / "runs"), "postgresql://me:secret@host/db"
    shown = []
    for as_json, tracking in ((False, None), (False, uri), (True, uri), (True, "none")):
        capsys.readouterr()
        look.show("parabola", as_json, runs, tracking)
        shown.append(capsys.readouterr().out)
    assert shown[0].endswith("\nMLflow: none\n") and shown[1].endswith("\nMLflow: postgresql://host/db\n")
    assert [json.loads(text)["tracking"] for text in shown[2:]] == ["postgresql://host/db", None]
    look.report("parabola", str(tmp_path / "mine"), runs, uri)
    page = (tmp_path / "mine" / "report.html").read_text()
    assert "postgresql://host/db" in page and "secret" not in page


def test_the_report_shows_the_pictures_that_the_end_of_the_search_drew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained.images(tmp_path / "images")
    trained.run(trained.make(tmp_path))
    capsys.readouterr()
    look.report("small", None, str(tmp_path / "runs"))
    folder = tmp_path / "runs" / "small"
    text = (folder / "report" / "report.html").read_text()
    assert base64.b64encode((folder / "best" / "prediction.png").read_bytes()).decode() in text
    assert (folder / "best" / "architecture.svg").read_text() in text
