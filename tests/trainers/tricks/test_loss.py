import math
from typing import Literal

import pytest
import torch
from torch.nn import functional as F

from search_spaces.recipe import BoundaryFocal, DeepSupervision, Focal, LabelSmoothing, UncertaintyWeighting
from trainers.data.pictures import IGNORE
from trainers.tricks.loss import boundary_weights, cross_entropy, edges_of, loss_of, sigmoid_focal, weights_of
from trainers.tricks.registry import implementation

Variant = Literal["uniform", "others", "fixed"]
ROWS: list[tuple[Variant, float, float]] = [
    ("uniform", 0.925, 0.025),
    ("others", 0.9, 0.1 / 3),
    ("fixed", 0.9, 0.005),
]


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("variant", "right", "wrong"), ROWS)
def test_h01_targets_follow_the_formulas(variant: Variant, right: float, wrong: float) -> None:
    found = implementation(LabelSmoothing(epsilon=0.1, variant=variant))(torch.eye(4))
    assert found[2].tolist() == pytest.approx([wrong, wrong, right, wrong], abs=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(4)) == (variant != "fixed")


def test_h01_fixed_sums_to_one_for_21_classes_alone() -> None:
    spec = LabelSmoothing(epsilon=0.1, variant="fixed")
    sums = [implementation(spec)(torch.eye(classes))[0].sum().item() for classes in (20, 21, 22)]
    assert sums == pytest.approx([0.995, 1.0, 1.005], abs=1e-6)


def test_h01_uniform_is_torchs_own() -> None:
    logits, labels = _random(9, 5), torch.arange(9) % 5
    found = implementation(LabelSmoothing(epsilon=0.2))(F.one_hot(labels, 5).float())
    expected = F.cross_entropy(logits, labels, label_smoothing=0.2)
    assert F.cross_entropy(logits, found).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("epsilon", "expected"), [(0.1, 0.507606), (0.0, 0.407606)])
def test_h01_the_numbers_of_the_catalogue(epsilon: float, expected: float) -> None:
    targets = implementation(LabelSmoothing(epsilon=epsilon))(torch.eye(3))[:1]
    assert cross_entropy(torch.tensor([[2.0, 1.0, 0.0]]), targets).item() == pytest.approx(expected, abs=1e-6)


def test_h01_others_is_uniform_with_a_larger_epsilon() -> None:
    others = implementation(LabelSmoothing(epsilon=0.1, variant="others"))(torch.eye(5))
    uniform = implementation(LabelSmoothing(epsilon=0.1 * 5 / 4))(torch.eye(5))
    assert torch.allclose(others, uniform, atol=1e-7)


@pytest.mark.parametrize("variant", ["uniform", "others"])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.7])
def test_h01_even_logits_cost_the_logarithm_of_the_classes(variant: Variant, epsilon: float) -> None:
    targets = implementation(LabelSmoothing(epsilon=epsilon, variant=variant))(torch.eye(6))
    assert cross_entropy(torch.zeros(6, 6), targets).item() == pytest.approx(math.log(6), rel=1e-6)


@pytest.mark.parametrize("variant", ["uniform", "others", "fixed"])
def test_h01_smoothing_without_targets_is_the_same(variant: Variant) -> None:
    spec, logits, labels = LabelSmoothing(variant=variant), _random(8, 5), torch.arange(8) % 5
    written = cross_entropy(logits, implementation(spec)(F.one_hot(labels, 5).float()))
    assert loss_of(None, spec, 5)(logits, labels).item() == pytest.approx(written.item(), rel=1e-5)


@pytest.mark.parametrize("variant", ["uniform", "others", "fixed"])
@pytest.mark.parametrize("loss", [Focal(gamma=1.5), Focal(gamma=0.0, alpha=None)])
def test_h01_every_loss_smooths_alike(loss: Focal, variant: Variant) -> None:
    smoothing, logits, labels = LabelSmoothing(epsilon=0.2, variant=variant), _random(8, 5), torch.arange(8) % 5
    written = loss_of(loss)(logits, implementation(smoothing)(F.one_hot(labels, 5).float()))
    assert loss_of(loss, smoothing, 5)(logits, labels).item() == pytest.approx(written.item(), rel=1e-5)


def test_h01_smoothed_pixels_keep_their_weights_at_boundaries() -> None:
    masks = torch.zeros(1, 3, 12, dtype=torch.int64)
    masks[..., 6:], masks[:, 0] = 1, IGNORE
    logits, spec = _random(1, 4, 3, 12), BoundaryFocal(gamma=1.0, weight=3.0)
    smoothing = LabelSmoothing(epsilon=0.2)
    right, wrong = weights_of(smoothing, 4)
    each = torch.stack(
        [
            loss_of(Focal(gamma=1.0, alpha=None))(logits[..., y, x], torch.tensor([k]))
            for y in (1, 2)
            for x in range(12)
            for k in range(4)
        ]
    ).view(24, 4)
    own = each.gather(1, masks[0, 1:].reshape(24, 1)).squeeze(1)
    weights = boundary_weights(spec, masks)[0, 1:].flatten()
    expected = (weights * (wrong * each.sum(1) + (right - wrong) * own)).sum() / 24
    assert loss_of(spec, smoothing, 4)(logits, masks).item() == pytest.approx(expected.item(), rel=1e-5)


def test_epsilon_zero_changes_nothing() -> None:
    assert torch.equal(implementation(LabelSmoothing(epsilon=0.0))(torch.eye(3)), torch.eye(3))


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="two classes; got 1"):
        implementation(LabelSmoothing())(torch.eye(1))


def test_pixels_without_a_class_count_for_nothing() -> None:
    logits, masks = _random(2, 3, 4, 4), torch.arange(32).view(2, 4, 4) % 3
    half = masks.clone()
    half[1] = IGNORE
    for loss in (cross_entropy, loss_of(Focal()), loss_of(BoundaryFocal())):
        assert loss(logits, half).item() == pytest.approx(loss(logits[:1], masks[:1]).item(), rel=1e-5)
        assert loss(logits, torch.full_like(masks, IGNORE)).item() == 0.0
    # A label of rows may be any number.
    assert cross_entropy(_random(1, 300), torch.tensor([IGNORE])).item() > 0


def test_h02_the_number_of_the_catalogue() -> None:
    found = sigmoid_focal(torch.zeros(1), torch.ones(1), 2.0, 0.25)
    assert found.item() == pytest.approx(0.0433217, abs=1e-7)
    # With two classes the sigmoid of a difference is the softmax.
    both = loss_of(Focal())(torch.zeros(1, 2), torch.tensor([1]))
    assert both.item() == pytest.approx(0.0433217, abs=1e-7)


def test_h02_without_gamma_and_alpha_it_is_binary_cross_entropy() -> None:
    logits, targets = _random(40), (torch.arange(40) % 2).float()
    expected = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    assert torch.equal(sigmoid_focal(logits, targets, 0.0, None), expected)


def test_h02_it_is_kornias() -> None:
    from kornia.losses import binary_focal_loss_with_logits, focal_loss

    logits, labels = _random(6, 5), torch.arange(6) % 5
    theirs = focal_loss(logits, labels, alpha=None, gamma=2.0, reduction="none").sum(1).mean()
    assert loss_of(Focal(alpha=None))(logits, labels).item() == pytest.approx(theirs.item(), rel=1e-5)
    ones = F.one_hot(labels, 5).float()
    binary = binary_focal_loss_with_logits(logits, ones, alpha=0.25, gamma=2.0, reduction="none")
    assert torch.allclose(sigmoid_focal(logits, ones, 2.0, 0.25), binary, rtol=1e-4)


@pytest.mark.parametrize("spec", [Focal(gamma=0.0, alpha=None), BoundaryFocal(gamma=0.0, weight=1.0)])
def test_h02_with_equal_weights_it_is_cross_entropy(spec: Focal) -> None:
    logits, masks = _random(2, 3, 6, 6), torch.arange(72).view(2, 6, 6) % 3
    assert loss_of(spec)(logits, masks).item() == pytest.approx(cross_entropy(logits, masks).item(), rel=1e-5)


def test_h02_soft_targets_share_the_loss() -> None:
    logits = _random(1, 3)
    each = [loss_of(Focal())(logits, torch.tensor([k])).item() for k in range(3)]
    found = loss_of(Focal())(logits, torch.tensor([[0.2, 0.5, 0.3]])).item()
    assert found == pytest.approx(0.2 * each[0] + 0.5 * each[1] + 0.3 * each[2], rel=1e-5)


def test_h02_certain_pixels_have_a_gradient() -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss_of(Focal(gamma=0.5))(logits, torch.tensor([0])).backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_h02_weights_fall_with_the_distance_to_a_boundary() -> None:
    masks = torch.zeros(1, 3, 12, dtype=torch.int64)
    masks[..., 6:] = 1
    found = boundary_weights(BoundaryFocal(weight=4.0, bands=3, width=1), masks)[0, 1].tolist()
    assert found == pytest.approx([1, 1, 1, 2, 3, 4, 4, 3, 2, 1, 1, 1])
    wide = boundary_weights(BoundaryFocal(weight=3.0, bands=2, width=2), masks)[0, 1].tolist()
    assert wide == pytest.approx([1, 1, 1, 2, 2, 3, 3, 2, 2, 1, 1, 1])


def test_edges_are_where_classes_meet() -> None:
    masks = torch.zeros(1, 5, 5, dtype=torch.int64)
    masks[0, 2, 2] = 1
    assert edges_of(masks).sum().item() == 5
    assert edges_of(masks, width=2).sum().item() == 21
    masks[0, 2, 2] = IGNORE
    assert not edges_of(masks).any()


def test_h11_one_head_is_the_base_loss() -> None:
    assert implementation(DeepSupervision(weight=0.4))([torch.tensor(1.7)]).item() == pytest.approx(1.7)


def test_h11_heads_are_weighed() -> None:
    losses = [torch.tensor(value) for value in (1.0, 2.0, 3.0)]
    assert implementation(DeepSupervision(weight=0.4))(losses).item() == pytest.approx(1 + 0.8 + 1.2)
    assert implementation(DeepSupervision(weight=0.4, decay=0.5))(losses).item() == pytest.approx(1 + 0.8 + 0.6)


def test_h16_the_best_weights_are_the_logarithms_of_the_losses() -> None:
    module = implementation(UncertaintyWeighting())({"a": False, "b": False})
    losses = {"a": torch.tensor(2.0), "b": torch.tensor(0.5)}
    assert module(losses).item() == pytest.approx(2.5)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        module(losses).backward()
        optimizer.step()
    assert module.log_variance.tolist() == pytest.approx([math.log(2.0), math.log(0.5)], abs=1e-5)
    assert module(losses).item() == pytest.approx(2.0, abs=1e-6)


def test_h16_regressions_count_half() -> None:
    module = implementation(UncertaintyWeighting(initial=1.0))({"a": False, "b": True})
    found = module({"a": torch.tensor(2.0), "b": torch.tensor(3.0)}).item()
    assert found == pytest.approx((2 / math.e + 1) + (3 / math.e + 1) / 2, rel=1e-6)
