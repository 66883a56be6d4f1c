from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces.blocks.cascade import HybridCascade
from search_spaces.recipe import CopyPaste, Ema, Flip, MultiScaleTest, OversampleSmall
from tests.trainers.detectors import ONE, TWO, model, run, scenes
from trainers.data.splits import Part
from trainers.determinism import Generators
from trainers.learners.detection import BoxedImages, DetectionLearner, figures, figures_of_checkpoint, images_of
from trainers.learners.detection_losses import DetectionLosses
from trainers.learners.finder import Finder


def _learner(**recipe: object) -> DetectionLearner:
    with Generators(0):
        return DetectionLearner(model(ONE, **recipe), scenes(), 0, "cpu")


def test_images_come_with_their_boxes_and_difficult_objects_weigh_nothing() -> None:
    data = scenes(120)
    rows = data.rows(Part.TRAIN)
    assert data.difficult[rows].any()
    batch = BoxedImages(data, rows, "cpu", False).batch(torch.tensor([3, 0, 5]))
    assert np.array_equal(batch.boxes, data.boxes[rows[[3, 0, 5]]])  # type: ignore[arg-type]
    assert np.array_equal(batch.classes, data.labels[rows[[3, 0, 5]]])  # type: ignore[arg-type]
    every = BoxedImages(data, rows, "cpu", False).batch(torch.arange(len(rows)))
    assert np.array_equal(every.weights, 1.0 - data.difficult[rows])  # type: ignore[arg-type]
    crowded = replace(data, difficult=np.zeros_like(data.difficult), crowd=data.difficult)
    assert torch.equal(BoxedImages(crowded, rows, "cpu", False).batch(torch.arange(len(rows))).weights, every.weights)
    plain = replace(data, difficult=np.zeros_like(data.difficult))
    assert BoxedImages(plain, rows, "cpu", False).batch(torch.arange(4)).weights is None


def test_a_flip_moves_the_boxes() -> None:
    plain, flipped = (learner.batch(torch.arange(8)) for learner in (_learner(), _learner(flip=Flip(p=1.0))))
    assert torch.equal(flipped.images, plain.images.flip(3))
    there = plain.classes >= 0
    assert torch.equal(flipped.boxes[there][:, 0], 32 - plain.boxes[there][:, 2])


def test_pixels_of_objects_are_read_where_copies_need_them() -> None:
    assert _learner().batch(torch.arange(4)).instances is None
    learner, data = _learner(copy_paste=CopyPaste(copies=2)), scenes()
    with Generators(0):
        batch = learner.batch(torch.arange(8))
    assert batch.instances is not None and batch.boxes is not None
    assert batch.boxes.shape == (8, data.boxes.shape[1] + 2, 4)


def test_f11_pixels_of_objects_are_read_where_a_head_learns_them() -> None:
    for fields, shown in (({}, True), ({"semantic": False}, False), ({"semantic": False, "masks": True}, True)):
        spec = model(HybridCascade(hidden=8, candidates=16, proposals=4, mask_width=4, **fields))  # type: ignore[arg-type]
        with Generators(0):
            learner = DetectionLearner(spec, scenes(), 0, "cpu")
        batches = (learner.batch(torch.arange(4)), learner._val.batch(torch.arange(4)))
        assert [batch.instances is not None for batch in batches] == [shown, shown]
    assert images_of(spec, scenes(), np.arange(4)).batch(torch.arange(4)).instances is not None


def test_f11_masks_need_data_that_show_them() -> None:
    spec, data = model(HybridCascade(hidden=8, masks=True)), replace(scenes(), instances=None)
    with pytest.raises(
        ValueError, match="masks need data that say which object each pixel shows; set masks of the head"
    ):
        DetectionLearner(spec, data, 0, "cpu")


def test_rows_with_small_objects_are_drawn_more_often() -> None:
    data = scenes(120)
    with Generators(0):
        spec = model(ONE, balance=OversampleSmall(ratio=50.0, small=0.3))
        sampler = DetectionLearner(spec, data, 0, "cpu").sampler
    drawn = torch.cat([sampler.next() for _ in range(sampler.batches_per_epoch)])
    rows = data.rows(Part.TRAIN)
    sides = np.sqrt((data.boxes[..., 2:] - data.boxes[..., :2]).prod(2)) / 32
    small = (np.where(data.labels >= 0, sides, 9).min(1) < 0.3)[rows]
    assert small.mean() < 0.95 < small[drawn.numpy()].mean()


def test_figures_are_those_of_the_whole_part(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainers.learners import detection

    for head in (ONE, TWO):
        spec, data = model(head), scenes()
        with Generators(0):
            network = spec.architecture.build((3, 32, 32), 5)
        parts = (
            Finder(spec, network),
            DetectionLosses(spec, network),
            BoxedImages(data, data.rows(Part.VAL), "cpu", False),
        )
        with Generators(1):
            whole = figures(*parts)
        monkeypatch.setattr(detection, "_EVALUATED", 1)
        # One image at a time; no draws are made.
        single = figures(*parts)
        monkeypatch.undo()
        assert {name for name in whole if "/" not in name} == {"loss", "ap", "ap50", "ap75"}
        assert single["ap50"] == pytest.approx(whole["ap50"], abs=1e-3)
        assert whole["loss"] > 0 and single["loss"] > 0


def test_a_checkpoint_is_judged_as_the_trial_was(tmp_path: Path) -> None:
    for number, recipe in enumerate(({}, {"ema": Ema(decay=0.9), "prediction": MultiScaleTest(scales=(1.0,))})):
        spec = model(TWO, **recipe)
        report = run(spec, fidelity=1, folder=str(tmp_path / f"t{number}"))[-1]
        found = figures_of_checkpoint(spec, str(tmp_path / str(report.checkpoint)), scenes(), Part.VAL)
        assert found["loss"] == pytest.approx(report.metrics["val/loss"], rel=1e-4)
        assert found["ap50"] == pytest.approx(report.metrics["val/ap50"], abs=1e-4)
