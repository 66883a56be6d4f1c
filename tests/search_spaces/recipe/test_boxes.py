import pytest

from search_spaces.errors import SpecError
from search_spaces.recipe import (
    Assignment,
    BalancedSampling,
    BoxLoss,
    CascadeLoss,
    ClassificationRecipe,
    DetectionRecipe,
    Focal,
    GuidedLoss,
    HardNegatives,
    IouAssignment,
    LooseAssignment,
    Sampling,
    ScaleCompensation,
    SmoothL1,
)
from search_spaces.space import Space
from search_spaces.spec import kinds


def test_the_kinds_are_those_of_the_catalogue() -> None:
    assert set(kinds(BoxLoss)) == {"smooth_l1", "iou", "giou", "diou", "ciou"}
    assert set(kinds(Assignment)) == {"iou_assignment", "loose_assignment", "scale_compensation"}
    assert set(kinds(Sampling)) == {"balanced_sampling", "hard_negatives"}


def test_defaults_are_those_of_the_papers() -> None:
    assert SmoothL1().beta == 1.0
    assert (IouAssignment().positive, IouAssignment().negative, IouAssignment().low_quality) == (0.5, 0.4, True)
    assert (BalancedSampling().number, BalancedSampling().positive) == (256, 0.5)
    assert (HardNegatives().ratio, HardNegatives.mean_of_objects, BalancedSampling.mean_of_objects) == (
        3.0,
        True,
        False,
    )
    assert (LooseAssignment().small, LooseAssignment().side) == (0.4, 32.0)
    assert (ScaleCompensation().positive, ScaleCompensation().least) == (0.35, 0.1)
    guided, cascade = GuidedLoss(), CascadeLoss()
    assert (guided.location, guided.shape, guided.centre, guided.ignored) == (1.0, 0.1, 0.2, 0.5)
    assert (cascade.step, cascade.decay, cascade.semantic, cascade.mask) == (0.1, 0.5, 1.0, 1.0)
    recipe = DetectionRecipe()
    assert recipe.loss == Focal(gamma=2.0, alpha=0.25)
    assert recipe.sampling is None
    assert recipe.region_assignment == IouAssignment(positive=0.5, negative=0.5, low_quality=False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"box_loss": {"kind": "smooth_l1", "beta": 0}}, "box_loss/beta.*got 0; allowed above 0"),
        ({"box_loss": {"kind": "giou", "weight": -1}}, "box_loss/weight.*allowed above 0"),
        ({"assignment": {"kind": "iou_assignment", "positive": 1.5}}, "positive"),
        ({"assignment": {"kind": "iou_assignment", "positive": 0.3}}, "negative must not exceed positive"),
        ({"sampling": {"kind": "balanced_sampling", "positive": 1}}, "positive"),
        ({"sampling": {"kind": "balanced_sampling", "number": 1}}, "number"),
        ({"sampling": {"kind": "hard_negatives", "ratio": 0}}, "sampling/ratio.*allowed above 0"),
        ({"region_sampling": {"kind": "hard_negatives"}}, "region_sampling"),
        ({"guided": {"kind": "guided_loss", "centre": 0.6}}, "guided: centre must not exceed ignored; got 0.6 > 0.5"),
        ({"cascade": {"kind": "cascade_loss", "decay": 0}}, "cascade/decay.*allowed above 0"),
        ({"assignment": {"kind": "scale_compensation", "negative": 0.4}}, "negative must not exceed positive"),
    ],
)
def test_values_out_of_range_are_refused(data: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        DetectionRecipe.from_data(data)


def test_other_tasks_do_not_have_them() -> None:
    with pytest.raises(SpecError, match="box_loss is for detection; got it in classification"):
        ClassificationRecipe.from_data({"box_loss": {"kind": "giou"}})


def test_they_may_vary() -> None:
    losses = [{"kind": "smooth_l1", "beta": {"float": [0.1, 1]}}, {"kind": "giou", "weight": {"float": [1, 10]}}]
    space = Space(DetectionRecipe.from_data({"box_loss": {"categorical": losses}}))
    assert {point.path for point in space.points()} == {"box_loss", "box_loss/smooth_l1/beta", "box_loss/giou/weight"}
