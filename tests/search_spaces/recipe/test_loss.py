import pytest

from search_spaces.recipe import (
    ArcFace,
    BoundaryFocal,
    ClassificationRecipe,
    DetectionRecipe,
    Focal,
    LabelSmoothing,
    Loss,
    Margin,
    SegmentationRecipe,
)
from search_spaces.recipe.trick import ALL_TASKS
from search_spaces.spec import Spec, SpecError, kinds


def test_the_default_is_that_of_the_paper() -> None:
    assert LabelSmoothing().to_data() == {"kind": "label_smoothing", "epsilon": 0.1, "variant": "uniform"}
    assert Focal().to_data() == {"kind": "focal", "gamma": 2.0, "alpha": 0.25}


def test_losses_and_margins_are_kinds_of_their_bases() -> None:
    assert set(kinds(Loss)) == {"focal", "boundary_focal"}
    assert set(kinds(Margin)) == {"arcface", "angular_softmax"}


@pytest.mark.parametrize(
    ("spec", "data"),
    [
        (LabelSmoothing, {"epsilon": 1.0}),
        (LabelSmoothing, {"variant": "some"}),
        (Focal, {"gamma": -1.0}),
        (Focal, {"alpha": 1.0}),
        (BoundaryFocal, {"weight": 0.5}),
        (ArcFace, {"margin": 3.0}),
        (ArcFace, {"scale": 0.0}),
    ],
)
def test_values_out_of_range_are_refused_by_name(spec: type[Spec], data: dict[str, object]) -> None:
    with pytest.raises(SpecError, match=f"^{next(iter(data))}"):
        spec.from_data(data)


def test_labels_are_smoothed_in_every_task_and_beside_every_loss() -> None:
    assert LabelSmoothing.tasks == ALL_TASKS
    both = {"loss": {"kind": "focal"}, "label_smoothing": {"kind": "label_smoothing"}}
    for recipe in (ClassificationRecipe, SegmentationRecipe, DetectionRecipe):
        assert recipe.from_data(both).label_smoothing == LabelSmoothing()


def test_a_task_that_cannot_use_a_trick_refuses_it_by_name() -> None:
    with pytest.raises(SpecError, match="boundary_focal is for segmentation; got it in classification"):
        ClassificationRecipe.from_data({"loss": {"kind": "boundary_focal"}})
    assert SegmentationRecipe.from_data({"loss": {"kind": "boundary_focal"}}).loss == BoundaryFocal()
