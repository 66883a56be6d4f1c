from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from search_spaces.recipe import (
    DeepSupervision,
    DualTask,
    EdgeLoss,
    Focal,
    LabelSmoothing,
    MultiScaleTest,
    SegmentationRecipe,
    UncertaintyWeighting,
)
from tests.trainers.examples_dense import SEGMENTER, scenes, segment, segmenter
from trainers.data.pictures import IGNORE
from trainers.data.splits import Part
from trainers.determinism import Generators
from trainers.learners import segmentation
from trainers.learners.segmentation import (
    MaskedImages,
    PixelLoss,
    SegmentationLearner,
    figures,
    figures_of_checkpoint,
    pixel_accuracy,
)

CLASSES = len(scenes().classes)
MASKS = torch.from_numpy(scenes().masks[:2]).long()


def _learner(**recipe: Any) -> SegmentationLearner:
    with Generators(0):
        return SegmentationLearner(segmenter(**recipe), scenes(), 0, "cpu")


def _outputs() -> dict[str, Any]:
    with Generators(1):
        out, first, second = (torch.randn(2, CLASSES, 32, 32) for _ in range(3))
        return {"out": out, "aux": (first, second), "edges": torch.randn(2, 1, 32, 32)}


def _loss(outputs: dict[str, Any], masks: torch.Tensor = MASKS, **recipe: Any) -> float:
    with Generators(2):
        return PixelLoss(SegmentationRecipe(**recipe), CLASSES, "cpu")(outputs, masks).item()


def test_a_batch_holds_the_masks_of_its_images() -> None:
    learner, rows = _learner(), torch.tensor([3, 0])
    places = scenes().rows(Part.TRAIN)[[3, 0]]
    batch = learner.batch(rows)
    assert batch.masks is not None and batch.masks.tolist() == scenes().masks[places].tolist()
    mean, std = (torch.from_numpy(x).view(3, 1, 1) for x in (scenes().mean, scenes().std))
    torch.testing.assert_close(batch.images * std + mean, torch.from_numpy(scenes().images[places]).float())


def test_ignored_pixels_have_no_loss() -> None:
    masks = MASKS.clone()
    masks[:, 16:] = IGNORE
    outputs = _outputs()
    expected = F.cross_entropy(outputs["out"][:, :, :16], masks[:, :16]).item()
    assert _loss(outputs, masks) == pytest.approx(expected, rel=1e-5)
    assert _loss(outputs, torch.full_like(MASKS, IGNORE)) == 0.0
    half = pixel_accuracy(outputs["out"], masks).item()
    assert half == (outputs["out"].argmax(1) == MASKS)[:, :16].float().mean().item()
    smooth = F.cross_entropy(outputs["out"], masks, ignore_index=IGNORE, label_smoothing=0.1).item()
    assert _loss(outputs, masks, label_smoothing=LabelSmoothing()) == pytest.approx(smooth, rel=1e-5)


def test_h11_auxiliary_heads_are_weighted() -> None:
    outputs = _outputs()
    main, *aux = (F.cross_entropy(x, MASKS).item() for x in (outputs["out"], *outputs["aux"]))
    expected = main + 0.4 * aux[0] + 0.2 * aux[1]
    assert _loss(outputs, deep_supervision=DeepSupervision(weight=0.4, decay=0.5)) == pytest.approx(expected, rel=1e-5)
    assert _loss(outputs) == pytest.approx(main, rel=1e-5)


def test_losses_add_up_and_uncertainty_joins_them() -> None:
    outputs, edge = _outputs(), EdgeLoss(weight=2.0)
    parts = [_loss(outputs), _loss(outputs, edge_loss=edge) - _loss(outputs)]
    assert parts[1] > 0
    found = _loss(outputs, edge_loss=edge, uncertainty=UncertaintyWeighting(initial=0.5))
    assert found == pytest.approx(sum(np.exp(-0.5) * part + 0.5 for part in parts), rel=1e-4)
    assert _loss(outputs, loss=Focal()) != pytest.approx(parts[0], rel=0.1)


def test_weights_of_losses_are_learned() -> None:
    learner = _learner(edge_loss=EdgeLoss(), uncertainty=UncertaintyWeighting())
    assert learner.extra is not None
    loss, _ = learner.loss(learner.batch(learner.sampler.next()))
    loss.backward()
    assert all(parameter.grad is not None for parameter in learner.extra.parameters())
    state = learner.state_dict()
    assert set(state) == {"extra"}
    assert _learner().state_dict() == {}


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"edge_loss": EdgeLoss()}, "edge_loss needs a network with edges"),
        ({"dual_task": DualTask()}, "dual_task needs a network with edges"),
        ({"deep_supervision": DeepSupervision()}, "deep_supervision needs a network with aux"),
    ],
)
def test_an_output_that_is_not_there_is_named(recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _loss({"out": _outputs()["out"]}, **recipe)


def test_figures_are_those_of_the_whole_part(monkeypatch: pytest.MonkeyPatch) -> None:
    network = SEGMENTER.build(scenes().input_shape, CLASSES).eval()
    images = MaskedImages(scenes(), scenes().rows(Part.TRAIN), "cpu", channels_last=False)
    everything = torch.arange(len(images))
    logits, masks = network(images[everything]), images.masks(everything)
    predicted = logits.argmax(1)
    monkeypatch.setattr(segmentation, "_EVALUATED", 5 * CLASSES * 32 * 32)
    found = figures(network, images, ("a/b", "b", "c", "d", "e", "f"))
    assert found["loss"] == pytest.approx(F.cross_entropy(logits, masks).item(), rel=1e-4)
    assert found["pixel_accuracy"] == pytest.approx((predicted == masks).float().mean().item())
    each = []
    for k in range(CLASSES):
        union = ((predicted == k) | (masks == k)).sum().item()
        each.append(((predicted == k) & (masks == k)).sum().item() / union)
    assert found["miou"] == pytest.approx(np.mean(each))
    assert [found[f"iou/{name}"] for name in ("a_b", "b", "c", "d", "e", "f")] == pytest.approx(each)
    assert found["image_miou"] != pytest.approx(found["miou"], rel=1e-3)


def test_the_recipe_says_how_predictions_are_made() -> None:
    plain, several = segment(segmenter()), segment(segmenter(prediction=MultiScaleTest(scales=(1.0, 0.75))))
    assert [r.metrics["train/loss"] for r in plain] == [r.metrics["train/loss"] for r in several]
    assert plain[-1].metrics["val/loss"] != several[-1].metrics["val/loss"]
    single = segment(segmenter(prediction=MultiScaleTest(scales=(1.0,), flip=False)))
    assert plain[-1].metrics["val/loss"] == single[-1].metrics["val/loss"]


def test_a_checkpoint_is_judged_as_the_trial_was(tmp_path: Path) -> None:
    report = segment(segmenter(), folder=str(tmp_path / "t000001"))[-1]
    found = figures_of_checkpoint(segmenter(), str(tmp_path / str(report.checkpoint)), scenes(), Part.VAL)
    for name, value in found.items():
        assert report.metrics[f"val/{name}"] == pytest.approx(value, rel=1e-4)
