import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import trainers
from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.errors import SpecError
from search_spaces.recipe import AdamW
from search_spaces.space import Space
from tests.trainers.examples import NETWORK, classifier, run, squares
from trainers.tasks.classification import BASELINE, Classification, Classifier
from trainers.trial import TrialContext

SECTION = {
    "architecture": {"preset": "chain", "layers": 3},
    "recipe": {
        "optimizer": {"kind": "sgd", "lr": {"float": [0.01, 1.0], "log": True}},
        "mix": {"categorical": [None, {"kind": "mixup", "alpha": 0.2}]},
    },
}


def test_the_space_section_is_a_classifier_with_holes() -> None:
    space = Space(Classification().template(SECTION))
    paths = [point.path for point in space.points()]
    assert {"recipe/optimizer/lr", "recipe/mix"} <= set(paths)
    assert any(path.startswith("architecture/") for path in paths)
    spec = space.realize(space.sample(np.random.default_rng(0)))
    assert isinstance(spec, Classifier)
    assert 0.01 <= spec.recipe.optimizer.lr <= 1  # type: ignore[attr-defined]


def test_mistakes_in_the_section_are_refused_by_path() -> None:
    with pytest.raises(SpecError, match="architecture: unknown kind of architecture, did you mean 'chain'"):
        Classification().template({"architecture": {"kind": "chains"}})
    with pytest.raises(SpecError, match="recipe.*did you mean 'batch_size'"):
        Classification().template({**SECTION, "recipe": {"batchsize": 3}})


def test_smoothing_of_one_class_is_refused() -> None:
    task = Classification()
    section = {**SECTION, "recipe": {"label_smoothing": {"categorical": [None, {"kind": "label_smoothing"}]}}}
    task.refuse(task.template(section), ((3, 8, 8), 2))
    with pytest.raises(SpecError, match="recipe/label_smoothing: label smoothing needs two classes.*got '1 class'"):
        task.refuse(task.template(section), ((3, 8, 8), 1))


def test_reports_hold_the_metrics_that_the_task_names() -> None:
    task, data = Classification(), squares()
    known = {name for name in task.metrics() if not name.startswith("proxy/")}
    report = run(classifier(), fidelity=1)[0]
    static = task.static_metrics(classifier(), task.shape(data))
    assert set(report.metrics) | set(static) == known


def test_without_an_architecture_the_baseline_is_trained() -> None:
    assert Classification().template({"recipe": {}}) == Classifier(architecture=BASELINE)
    task = Classification()
    reports = list(task.run(Classifier(), TrialContext("t000001", seed=0, fidelity=2), task.open()))
    assert reports[-1].metrics["val/accuracy"] >= 0.9


def test_networks_that_read_no_images_and_data_without_labels_are_refused() -> None:
    with pytest.raises(SpecError, match="architecture: a classifier reads images; got 'recurrent'"):
        Classifier.from_data({"architecture": {"kind": "recurrent"}})
    with pytest.raises(SpecError, match="data.*scenes.*allowed .*digits"):
        Classification.from_data({"kind": "classification", "data": {"kind": "scenes"}})


def test_h01_smoothing_of_one_class_is_refused_before_the_first_trial() -> None:
    options = {"categorical": [None, {"kind": "label_smoothing"}]}
    for smoothing in ({"kind": "label_smoothing"}, options):
        space = Classification().template({"recipe": {"label_smoothing": smoothing}})
        Classification().refuse(space, ((1, 8, 8), 2))
        with pytest.raises(SpecError, match="recipe/label_smoothing: label smoothing needs two classes"):
            Classification().refuse(space, ((1, 8, 8), 1))


def test_costs_are_known_without_training() -> None:
    spec = Classifier(architecture=Chain(layers=(ConvLayer(filters=5),)))
    static = Classification().static_metrics(spec, ((3, 8, 8), 10))
    assert static["cost/params"] == 3 * 3 * 3 * 5 + 2 * 5 + 5 * 10 + 10
    assert static["cost/macs"] == 3 * 3 * 3 * 5 * 64 + 50
    # Deployed, a channel of the norm is a bias.
    assert static["cost/deployed_params"] == 3 * 3 * 3 * 5 + 5 + 5 * 10 + 10
    assert static["cost/deployed_macs"] == static["cost/macs"]


def test_digits_are_learned_in_eight_epochs(tmp_path: Path) -> None:
    layers = (ConvLayer(filters=24), ConvLayer(filters=24, inputs=(0,)), ConvLayer(filters=32, inputs=(1,)))
    spec = Classifier(architecture=Chain(layers=layers, pool_after=(1,)))
    task = Classification()
    data = task.open()
    trial = TrialContext("t000001", seed=0, fidelity=8, folder=str(tmp_path / "t000001"))
    reports = list(task.run(spec, trial, data))
    assert reports[-1].metrics["val/accuracy"] >= 0.98
    assert task.final_test(spec, str(tmp_path / str(reports[-1].checkpoint)), data)["test/accuracy"] >= 0.98


def test_the_final_test_reads_the_test_part(tmp_path: Path) -> None:
    report = run(classifier(), folder=str(tmp_path / "t000001"))[-1]
    checkpoint = str(tmp_path / str(report.checkpoint))
    data = squares()
    found = Classification().final_test(classifier(), checkpoint, data)
    data.labels[data.parts == 2] = (data.labels[data.parts == 2] + 1) % 4
    other = Classification().final_test(classifier(), checkpoint, data)
    assert set(found) == {"test/loss", "test/accuracy", "test/macs"}
    assert other["test/accuracy"] <= 1 - found["test/accuracy"]


def test_no_trial_reads_the_test_part() -> None:
    plain = run(classifier(), fidelity=2)
    task, data = Classification(), squares()
    tested = data.parts == 2
    data.images[tested], data.labels[tested] = 255, 0
    changed = list(task.run(classifier(), TrialContext("t000001", 5, 2), data))
    assert [r.metrics["val/loss"] for r in plain] == [r.metrics["val/loss"] for r in changed]
    assert [r.metrics["train/loss"] for r in plain] == [r.metrics["train/loss"] for r in changed]


def test_final_test_alone_names_the_test_part() -> None:
    found = set()
    # The data sets themselves say which rows it is made of.
    root = Path(trainers.__file__).parent
    for path in set(root.rglob("*.py")) - set((root / "data").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            names = [node for node in ast.walk(function) if isinstance(node, ast.Attribute) and node.attr == "TEST"]
            found |= {function.name for _ in names}
    assert found == {"final_test"}


def test_other_modes_are_refused_before_anything_runs() -> None:
    with pytest.raises(SpecError, match="mode"):
        run(classifier(), mode="evaluate")


def test_a_hole_is_refused_by_path() -> None:
    spec = Classification().template(SECTION)
    with pytest.raises(SpecError, match="hole at"):
        run(spec)


def test_reading_a_file_needs_no_torch() -> None:
    code = (
        "import sys; from trainers.tasks.base import Task; from search_spaces.spec import kinds\n"
        f"Task.from_data({{'kind': 'classification'}}).template({SECTION!r}); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_an_architecture_and_recipe_are_read_back() -> None:
    spec = Classifier(architecture=NETWORK, recipe=classifier(optimizer=AdamW()).recipe)
    assert Classifier.from_json(spec.to_json()) == spec
    assert Classifier.from_yaml(spec.to_yaml()) == spec
