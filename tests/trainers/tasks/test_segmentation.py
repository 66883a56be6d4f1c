from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search_spaces.errors import SpecError
from search_spaces.recipe import SegmentationRecipe
from search_spaces.space import Space
from search_spaces.spec import Spec
from tests.trainers.examples import NETWORK
from tests.trainers.examples_dense import patches, scenes, segment, segmenter
from trainers.data.masks import MaskFolder
from trainers.data.scenes import Scenes
from trainers.data.splits import Part
from trainers.tasks.base import Task
from trainers.tasks.segmentation import Segmentation, SegmentationModel
from trainers.trial import TrialContext

SECTION = {
    "architecture": {"preset": "segmenter"},
    "recipe": {"loss": {"categorical": [None, {"kind": "focal"}]}, "flip": {"kind": "flip"}},
}


def test_a_search_file_names_it() -> None:
    task = Task.from_data({"kind": "segmentation", "data": {"kind": "masks", "path": "p"}})
    assert task == Segmentation(data=MaskFolder(path="p"))
    space = Space(task.template(SECTION))
    spec = space.realize(space.sample(np.random.default_rng(0)))
    assert isinstance(spec, SegmentationModel) and isinstance(spec.recipe, SegmentationRecipe)


def test_data_without_masks_are_refused() -> None:
    with pytest.raises(SpecError, match="data: unknown kind.*allowed masks, parquet, scenes"):
        Task.from_data({"kind": "segmentation", "data": {"kind": "digits"}})


def test_reports_hold_the_metrics_that_the_task_names_and_those_of_classes() -> None:
    task = Segmentation()
    report = segment(segmenter(), fidelity=1)[0]
    static = task.static_metrics(segmenter(), task.shape(scenes()))
    classes = {f"val/iou/{name}" for name in scenes().classes}
    assert set(report.metrics) | set(static) == set(task.metrics()) | classes
    assert report.metrics["val/miou"] == pytest.approx(np.mean([report.metrics[name] for name in sorted(classes)]))


@pytest.mark.parametrize(
    ("field", "trick", "message"),
    [
        ("edge_loss", "edge_loss", "recipe/edge_loss: edge loss needs a network with edges: set architecture.edges"),
        ("dual_task", "dual_task", "recipe/dual_task: the dual-task loss needs a network with edges"),
        ("deep_supervision", "deep_supervision", "deep supervision needs auxiliary heads: set architecture.aux"),
    ],
)
def test_outputs_that_no_choice_gives_are_asked_for(field: str, trick: str, message: str) -> None:
    task = Segmentation()
    lr = {"kind": "adamw", "lr": {"float": [0.001, 0.1]}}
    section = {"architecture": {"kind": "segmenter"}, "recipe": {"optimizer": lr, field: {"kind": trick}}}
    with pytest.raises(SpecError, match=message):
        task.refuse(task.template(section), ((3, 32, 32), 6))
    section["architecture"] |= {"edges": True, "aux": [1]}
    task.refuse(task.template(section), ((3, 32, 32), 6))
    section["architecture"] |= {"edges": {"categorical": [True, False]}, "aux": {"subset": [1, 2]}}
    task.refuse(task.template(section), ((3, 32, 32), 6))
    section["architecture"] = {"kind": "segmenter", "decoder": "unetplusplus", "edges": True}
    task.refuse(task.template(section), ((3, 32, 32), 6))
    with pytest.raises(SpecError, match=message):
        SegmentationModel.from_data({"architecture": {"kind": "segmenter"}, "recipe": {field: {"kind": trick}}})


def test_smoothing_of_one_class_is_refused() -> None:
    data = replace(scenes(), classes=("background",))
    section: dict[str, dict[str, Spec]] = {"architecture": {}, "recipe": {}}
    task = Segmentation()
    section = {"architecture": {"kind": "segmenter"}, "recipe": {"label_smoothing": {"kind": "label_smoothing"}}}
    with pytest.raises(SpecError, match="recipe/label_smoothing: label smoothing needs two classes.*got '1 class'"):
        task.refuse(task.template(section), task.shape(data))
    task.refuse(task.template(section), task.shape(scenes()))


def test_the_default_network_and_the_default_space_of_recipes_go_together() -> None:
    task = Segmentation()
    template = task.template({"recipe": {"preset": "recipe-segmentation"}})
    task.refuse(template, ((3, 32, 32), 6))
    paths = {point.path for point in Space(template).points()}
    assert {"recipe/deep_supervision", "recipe/edge_loss", "recipe/dual_task", "recipe/uncertainty"} <= paths
    space, rng = (
        Space(task.template({"architecture": {"preset": "segmenter"}, "recipe": {"preset": "recipe-segmentation"}})),
        np.random.default_rng(0),
    )
    assert all(isinstance(space.realize(space.sample(rng)), SegmentationModel) for _ in range(40))


def test_a_network_that_labels_whole_images_is_refused() -> None:
    spec = SegmentationModel(architecture=NETWORK, recipe=segmenter().recipe)
    with pytest.raises(ValueError, match="segmentation needs a network that labels every pixel"):
        segment(spec)


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(SpecError, match="the val part is empty"):
        Segmentation(data=Scenes(scenes=10, val=0.0)).open()


def test_patches_are_learned(tmp_path: Path) -> None:
    task, data = Segmentation(), patches()
    trial = TrialContext("t000001", seed=0, fidelity=6, folder=str(tmp_path / "t000001"))
    spec = segmenter(batch_size=4)
    reports = list(task.run(spec, trial, data))
    masks = data.masks[data.parts == Part.VAL]
    # The best constant says that everything is of the first class.
    constant = (masks == 0).mean()
    assert reports[-1].metrics["val/pixel_accuracy"] > constant + 0.1
    assert reports[-1].metrics["val/miou"] > constant / 3 + 0.3
    assert reports[-1].metrics["val/miou"] > reports[0].metrics["val/miou"] + 0.05
    tested = task.final_test(spec, str(tmp_path / str(reports[-1].checkpoint)), data)
    assert tested["test/miou"] > constant / 3 + 0.3


@pytest.mark.slow
def test_scenes_are_learned() -> None:
    task = Segmentation()
    data = task.open()
    report = list(task.run(SegmentationModel(), TrialContext("t000001", seed=0, fidelity=4), data))[-1]
    constant = (data.masks[data.parts == Part.VAL] == 0).mean()
    assert report.metrics["val/miou"] > constant / len(data.classes) + 0.15
    assert report.metrics["val/pixel_accuracy"] > constant + 0.03


def test_no_trial_reads_the_test_part() -> None:
    images, masks = scenes().images.copy(), scenes().masks.copy()
    images[scenes().parts == Part.TEST], masks[scenes().parts == Part.TEST] = 255, 1
    other = replace(scenes(), images=images, masks=masks)
    found = list(Segmentation().run(segmenter(), TrialContext("t000001", 5, 2), other))
    plain = segment(segmenter())
    assert [r.metrics["val/loss"] for r in found] == [r.metrics["val/loss"] for r in plain]
    assert [r.metrics["train/loss"] for r in found] == [r.metrics["train/loss"] for r in plain]
