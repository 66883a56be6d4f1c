import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.architectures.detector import Detector
from search_spaces.blocks.detection import DetectionHead, Ssd, Yolo
from search_spaces.errors import SpecError
from search_spaces.recipe import Sgd
from search_spaces.space import Space
from tests.trainers.detectors import CASCADE, HEADS, ONE, TWO, model, network, run, scenes
from tests.trainers.examples import final_weights, same, timeless
from trainers.data.scenes import Scenes
from trainers.data.splits import Part
from trainers.tasks.detection import BASELINE, Detection, DetectionModel
from trainers.trial import TrialContext, TrialFailed

SECTION = {
    "architecture": {"preset": "detector", "blocks": 4},
    "recipe": {"box_loss": {"categorical": [{"kind": "smooth_l1"}, {"kind": "giou", "weight": {"float": [1, 10]}}]}},
}


def test_the_space_section_is_a_model_with_holes() -> None:
    space = Space(Detection().template(SECTION))
    paths = [point.path for point in space.points()]
    assert {"architecture/head", "recipe/box_loss", "recipe/box_loss/giou/weight"} <= set(paths)
    spec = space.realize(space.sample(np.random.default_rng(0)))
    assert isinstance(spec, DetectionModel) and isinstance(spec.architecture, Detector)


def test_the_default_is_the_baseline() -> None:
    spec = DetectionModel.from_data({})
    assert spec.architecture == BASELINE
    assert DetectionModel.from_yaml(spec.to_yaml()) == spec == DetectionModel.from_json(spec.to_json())
    assert BASELINE.pyramid()[0].stride == 4


def test_another_network_is_refused() -> None:
    with pytest.raises(SpecError, match="architecture: detection needs a network that finds objects; got 'chain'"):
        DetectionModel.from_data({"architecture": Chain(layers=(ConvLayer(),)).to_data()})


def test_smoothing_of_one_class_needs_a_background() -> None:
    task = Detection()
    for head, works in ((ONE, False), (Yolo(), False), (TWO, True), (CASCADE, True), (Ssd(), True)):
        section = {"architecture": network(head).to_data(), "recipe": {"label_smoothing": {"kind": "label_smoothing"}}}
        task.refuse(task.template(section), ((3, 32, 32), 2))
        if works:
            task.refuse(task.template(section), ((3, 32, 32), 1))
            continue
        with pytest.raises(SpecError, match="recipe/label_smoothing: label smoothing needs two classes.*got '1 class'"):
            task.refuse(task.template(section), ((3, 32, 32), 1))


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(SpecError, match="negative must not exceed positive; got 0.6 > 0.5"):
        DetectionModel.from_data({"recipe": {"assignment": {"kind": "iou_assignment", "negative": 0.6}}})


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_reports_hold_the_metrics_that_the_task_names(head: DetectionHead) -> None:
    task, data = Detection(), scenes()
    report = run(model(head), fidelity=1)[0]
    static = task.static_metrics(model(head), task.shape(data))
    found = set(report.metrics) | set(static)
    assert set(task.metrics()) <= found
    shown = {data.classes[label] for label in np.unique(data.labels[data.rows(Part.VAL)]) if label >= 0}
    stages = {"train/objectness_loss", "train/proposal_loss"} if head is TWO else set()
    assert found - set(task.metrics()) <= stages | {f"val/ap50/{name}" for name in shown}
    assert all(math.isfinite(value) for value in report.metrics.values())


def test_costs_are_known_without_training() -> None:
    static = Detection().static_metrics(model(ONE), ((3, 32, 32), 5))
    assert static["cost/params"] == sum(
        weights.numel() for weights in model(ONE).architecture.build((3, 32, 32), 5).parameters()
    )


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_it_resumes_exactly(head: DetectionHead, precision: str, tmp_path: Path) -> None:
    folder, spec = tmp_path / "t000001", model(head, precision=precision)
    whole = run(spec, fidelity=3, folder=str(folder))
    rest = run(spec, fidelity=3, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
    assert [timeless(report.metrics) for report in rest] == [timeless(report.metrics) for report in whole[1:]]
    assert same(final_weights(folder, rest), final_weights(folder, whole))


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_loss_that_is_not_finite_fails_the_trial(head: DetectionHead) -> None:
    with pytest.raises(TrialFailed, match="the loss is"):
        run(model(head, optimizer=Sgd(lr=1e12), clip=None, schedule={"kind": "constant"}), fidelity=4)


def test_the_final_test_reads_the_test_part_and_no_trial_does(tmp_path: Path) -> None:
    folder, data = tmp_path / "t000001", scenes()
    report = run(model(), fidelity=1, folder=str(folder), data=data)[-1]
    checkpoint = str(tmp_path / str(report.checkpoint))
    found = Detection().final_test(model(), checkpoint, data)
    assert {"test/loss", "test/ap", "test/ap50", "test/ap75"} <= set(found)
    data.images[data.parts == Part.TEST] = 0
    assert Detection().final_test(model(), checkpoint, data)["test/loss"] != found["test/loss"]
    again = run(model(), fidelity=1, data=data)[-1]
    assert timeless(again.metrics) == timeless(report.metrics)


def test_the_picture_shows_some_validation_images(tmp_path: Path) -> None:
    folder, data = tmp_path / "t000001", scenes()
    report = run(model(), fidelity=1, folder=str(folder))[-1]
    made = Detection().picture(model(), str(tmp_path / str(report.checkpoint)), data)
    with Image.open(io.BytesIO(made)) as picture:
        assert picture.format == "PNG" and picture.width > 4 * 256


def test_other_modes_are_refused_before_anything_runs() -> None:
    with pytest.raises(SpecError, match="mode"):
        run(model(), mode="evaluate")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_scenes_are_learned(head: DetectionHead) -> None:
    """The trained network finds much more than the untrained one."""
    data = Scenes(scenes=240, size=48, objects=3).load_boxes()
    spec = model(head, batch_size=16)
    trial = TrialContext("t000001", seed=0, fidelity=36)
    first, *_, last = Detection().run(spec, trial, data)
    assert last.metrics["val/ap50"] > max(0.2, 3 * first.metrics["val/ap50"])
