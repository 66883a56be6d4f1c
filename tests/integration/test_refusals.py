"""Bad input, as a user meets it: one line on standard error, nothing before it, exit code 2, soon, nothing begun."""

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.files import SEARCH, write_search

ROOT = Path(__file__).resolve().parents[2]
# CPU seconds, which other work on the machine does not lengthen; the promise to users is 3 s of wall time.
CPU_SECONDS = 3.0
HEAVY = ("ray", "mlflow", "optuna", "nni")
CALL = f"""
import sys
from cluster.cli import call
code = call(sys.argv[1:])
print([name for name in {HEAVY} if name in sys.modules])
sys.exit(code)
"""


@dataclass
class Done:
    """What a command did."""

    code: int
    line: str
    cpu: float


def refused(folder: Path, *arguments: str) -> str:
    """Runs a command that must be refused, and returns its line."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CALL, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=50)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 2, done.stderr
    assert done.stdout == "[]\n"
    assert done.stderr.count("\n") == 1, done.stderr
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu < CPU_SECONDS
    return done.stderr.strip()


SETS = {
    "unknown key": ("budget.trails=3", "search.yaml: budget: unknown key 'trails', did you mean 'trials'?"),
    "range": ("space.recipe.optimizer.lr=-1", "search.yaml: space/recipe/optimizer/lr: out of range; got -1; allowed"),
    "label": (
        "space.recipe.mix={categorical: [{kind: mixup}, {kind: mixup, alpha: 1.0}]}",
        "search.yaml: space/recipe/mix: ",
    ),
    "order": (
        "space.architecture.pool_after=[3, 1]",
        "search.yaml: space/architecture/pool_after: preset 'chain' refuses its arguments: indexes stand",
    ),
    "joint rule": (
        "space.recipe.crop={kind: resized_crop, smallest: 0.9, largest: 0.5, aspect: {float: [0.5, 1.0]}}",
        "search.yaml: space/recipe/crop: no candidate of 20 keeps this rule: smallest must not exceed largest; got 0.9",
    ),
    "data": ("task.data={kind: cifar10, path: nowhere}", "search.yaml: task/data/path: no data here; got '"),
    "domain": (
        "controller={kind: reinforce}",
        "search.yaml: space/recipe/optimizer/lr: controller 'reinforce'",
    ),
    "server": (
        "tracking={uri: 'http://127.0.0.1:9'}",
        "search.yaml: tracking/uri: the tracking server 127.0.0.1:9 cannot be reached",
    ),
    "storage": ("storage=search.yaml/runs", "search.yaml: storage: must be writable; got '"),
    "workers": (
        "resources.workers=2",
        "search.yaml: resources/workers: a trial runs in one process in this version; got 2",
    ),
    "cpus": (
        "resources={cpus: 9999}",
        "search.yaml: resources/cpus: a trial must fit on a node; got 9999.0; allowed at most",
    ),
    "metric": ("objectives=[{metric: val/acuracy}]", "search.yaml: objectives/0/metric: unknown metric, did you mean"),
    "constraint": (
        "constraints=[{metric: cost/param, max: 1}]",
        "search.yaml: constraints/0/metric: unknown metric, did you mean 'cost/params'?",
    ),
}


@pytest.mark.parametrize("case", SETS)
def test_a_wrong_search_file_is_refused(case: str, tmp_path: Path) -> None:
    write_search(tmp_path, SEARCH.replace("lr: {categorical: [0.05, 0.1]}", "lr: {float: [0.05, 0.1]}"))
    change, line = SETS[case]
    assert refused(tmp_path, "search", "search.yaml", "--set", change).startswith(line)
    assert not list((tmp_path / "runs").glob("*"))


TASK = """\
name: small
task: {task}
space: {space}
controller: {{kind: random}}
budget: {{trials: 3, epochs: 1}}
objectives: [{{metric: val/loss, mode: min}}]
resources: {{concurrency: 1}}
"""
RECIPES = {
    "smoothing with one class": (
        "{kind: language, data: {kind: text, path: one.txt}}",
        "{recipe: {label_smoothing: {kind: label_smoothing}}}",
        "search.yaml: space/recipe/label_smoothing: label smoothing needs two classes; set it to null; got '1 class'",
    ),
    "ricap in detection": (
        "{kind: detection}",
        "{recipe: {mix: {categorical: [null, {kind: ricap}]}}}",
        "search.yaml: space/recipe/mix/ricap: ricap is for classification; got it in detection; allowed detection",
    ),
    "a range": (
        "{kind: detection}",
        "{recipe: {box_loss: {kind: smooth_l1, beta: -1}}}",
        "search.yaml: space/recipe/box_loss/beta: out of range; got -1; allowed above 0",
    ),
    "a metric to watch": (
        "{kind: language, data: {kind: text, path: two.txt}}",
        "{recipe: {early_stopping: {kind: early_stopping, metric: val/acuracy}}}",
        "search.yaml: space/recipe/early_stopping/metric: this task does not report it; got 'val/acuracy'; allowed tr",
    ),
    "edges": (
        "{kind: segmentation, data: {kind: scenes, scenes: 20}}",
        "{architecture: {kind: segmenter}, recipe: {edge_loss: {kind: edge_loss}}}",
        "search.yaml: space/recipe/edge_loss: edge loss needs a network with edges: set architecture.edges; got",
    ),
    "a teacher that is not there": (
        "{kind: language, data: {kind: text, path: two.txt}}",
        "{recipe: {distillation: {kind: soft_distillation, teachers: [{kind: run, path: nix}]}}}",
        "search.yaml: space/recipe/distillation/teachers/0/path: is no folder best/ of an earlier search, with",
    ),
    "the size of a mask": (
        "{kind: segmentation, data: {kind: masks, path: sizes}}",
        "{recipe: {}}",
        "b.png: a mask must",
    ),
    "a class beyond": (
        "{kind: segmentation, data: {kind: masks, path: beyond}}",
        "{recipe: {}}",
        "b.png pixel x=0 y=0: no class for this mask value; got 2; allowed 0 to 1",
    ),
    "an empty part": (
        "{kind: segmentation, data: {kind: scenes, scenes: 20, val: 0.0}}",
        "{recipe: {}}",
        ": the val part is empty; got ",
    ),
}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Texts of one character and of two, and folders of masks: one of another size, one with a class too many."""
    from PIL import Image

    (tmp_path / "one.txt").write_text("a" * 2000)
    (tmp_path / "two.txt").write_text("ab" * 1000)
    for name, size, value in (("sizes", (12, 8), 1), ("beyond", (8, 8), 2)):
        for kind in ("images", "masks"):
            (tmp_path / name / kind).mkdir(parents=True)
        (tmp_path / name / "classes.txt").write_text("road\ncar\n")
        for stem in "abcdefghijklmnopqrst":
            Image.new("RGB", (8, 8)).save(tmp_path / name / "images" / f"{stem}.png")
            wrong = stem == "b"
            mask = Image.new("L", size if wrong else (8, 8), value if wrong else 1)
            mask.save(tmp_path / name / "masks" / f"{stem}.png")
    return tmp_path


@pytest.mark.parametrize("case", RECIPES)
def test_what_a_task_cannot_use_is_refused(case: str, files: Path) -> None:
    task, space, line = RECIPES[case]
    write_search(files, TASK.format(task=task, space=space))
    found = refused(files, "search", "search.yaml")
    assert line in found
    assert found.startswith(("search.yaml: ", str(files)))
    assert not list((files / "runs").glob("*"))


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    write_search(tmp_path, SEARCH + "seed: 1\nseed: 2\n")
    line = refused(tmp_path, "search", "search.yaml")
    assert line == "search.yaml: line 13: a key stands twice; got 'seed'; allowed each key once"


def test_data_of_the_wrong_shape_is_refused_with_its_row(tmp_path: Path) -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    def png(side: int) -> bytes:
        buffer = io.BytesIO()
        Image.new("RGB", (side, side)).save(buffer, format="PNG")
        return buffer.getvalue()

    images = [png(32)] * 3 + [png(16)]
    pq.write_table(pa.table({"image": images, "label": [0, 1, 2, 3]}), tmp_path / "cifar10-train.parquet")
    write_search(tmp_path)
    line = refused(tmp_path, "search", "search.yaml", "--set", "task.data={kind: cifar10, path: .}")
    assert "cifar10-train.parquet row 3: " in line


def test_a_name_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for command in ("resume", "stop", "show", "report"):
        line = refused(tmp_path, command, "nix")
        assert line.startswith("runs: no search of this name here; got 'nix'")


def test_an_architecture_with_a_hole_is_refused_by_path(tmp_path: Path) -> None:
    from search_spaces.architectures.chain import chain

    (tmp_path / "a.json").write_text(json.dumps(chain(layers=2).to_data()))
    line = refused(tmp_path, "inspect", "a.json", "--json")
    assert line.startswith("a.json/layers/0/height: an architecture file has no holes")


def test_a_resume_with_a_changed_space_and_a_second_driver_are_refused(tmp_path: Path) -> None:
    from cluster.config import load
    from cluster.journal import Journal
    from cluster.runs import Run

    run = Run.claim(load(write_search(tmp_path), ["tracking=null"], tmp_path), exact=True)
    journal = Journal.open(run.storage, {"space": run.config.make_space().fingerprint, "data": "", "seed": 0})
    line = refused(tmp_path, "resume", "small")
    assert "held by" in line and str(os.getpid()) in line
    journal.close()
    file = tmp_path / "runs" / "small" / "search.yaml"
    file.write_text(file.read_text().replace("- 8\n", "- 12\n"))
    line = refused(tmp_path, "resume", "small")
    assert "search.yaml: space: a search goes on with the space that it began with; got '" in line
