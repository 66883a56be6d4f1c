import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from search_spaces.recipe import AngularSoftmax, ArcFace, Dropout, Ema
from tests.trainers.examples import NETWORK, classifier, run, squares
from trainers.checkpoint import load, weights
from trainers.data.splits import Part
from trainers.determinism import Generators
from trainers.ema import WeightAverage
from trainers.learners.classification import figures_of_checkpoint
from trainers.tricks.margin import arcface, psi
from trainers.tricks.registry import implementation

ROW = torch.tensor([[0.8, 0.6]])


def _eye() -> nn.Linear:
    linear = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        linear.weight.copy_(torch.eye(2))
    return linear


def test_h05_the_numbers_of_the_catalogue() -> None:
    assert arcface(torch.tensor(0.8), 0.5, easy=False).item() == pytest.approx(0.414411, abs=1e-6)
    linear = _eye()
    margin = implementation(ArcFace(scale=64.0, margin=0.5))(linear)
    linear(ROW)
    logits = margin(F.one_hot(torch.tensor([0]), 2).float(), 0.0)
    assert F.cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(11.8777, abs=1e-3)


def test_h05_without_margin_it_is_the_scaled_cosine() -> None:
    linear = _eye()
    margin = implementation(ArcFace(scale=16.0, margin=0.0))(linear)
    linear(3 * ROW)
    assert margin(torch.eye(2)[:1], 0.0)[0].tolist() == pytest.approx([12.8, 9.6], rel=1e-5)


def test_h05_the_target_never_gains_and_always_falls_with_the_angle() -> None:
    cos = torch.linspace(0, math.pi, 500).cos()
    plain, easy = arcface(cos, 0.5, easy=False), arcface(cos, 0.5, easy=True)
    assert (plain <= cos + 1e-6).all() and (plain.diff() < 0).all()
    assert torch.equal(easy[cos <= 0], cos[cos <= 0])


def test_h05_at_no_angle_the_gradient_is_finite() -> None:
    cos = torch.tensor([1.0, -1.0], requires_grad=True)
    (arcface(cos, 0.5, easy=False) + psi(cos, 4)).sum().backward()
    assert cos.grad is not None and cos.grad.isfinite().all()


def test_mixed_labels_share_the_margin() -> None:
    linear = _eye()
    margin = implementation(ArcFace(scale=1.0, margin=0.5))(linear)
    linear(ROW)
    whole, half, none = (margin(torch.tensor([[share, 0.0]]), 0.0)[0, 0].item() for share in (1.0, 0.5, 0.0))
    assert half == pytest.approx((whole + none) / 2)


def test_h06_with_a_margin_of_one_it_is_weight_normalised_softmax() -> None:
    network = nn.Linear(5, 3)
    margin = implementation(AngularSoftmax(margin=1))(network)
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    plain = network(x)
    expected = F.linear(x, F.normalize(network.weight))
    assert torch.allclose(margin(torch.eye(3)[[0, 1, 2, 0]], 0.3), expected, atol=1e-6)
    assert torch.allclose(plain, expected, atol=1e-6)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_h06_psi_falls_from_one_on_the_whole_half_circle(m: int) -> None:
    found = psi(torch.linspace(1e-3, math.pi - 1e-3, 2000, dtype=torch.float64).cos(), m)
    assert (found.diff() < 0).all()
    assert found[0].item() == pytest.approx(1.0, abs=1e-4)
    assert found[-1].item() == pytest.approx(1 - 2 * m, abs=1e-4)


def test_h06_lambda_falls_from_its_start_to_its_end() -> None:
    linear = _eye()
    margin = implementation(AngularSoftmax(margin=2, start=1000.0, end=5.0))(linear)
    linear(ROW)
    angle = 2 * 0.8**2 - 1
    for progress, weight in ((0.0, 1000.0), (0.5, math.sqrt(5000.0)), (1.0, 5.0)):
        found = margin(torch.eye(2)[:1], progress)[0, 0].item()
        assert found == pytest.approx((weight * 0.8 + angle) / (1 + weight), rel=1e-4)


def test_the_network_alone_ranks_by_angle() -> None:
    network = NETWORK.build((1, 8, 8), 4)
    implementation(ArcFace())(network)
    network.eval()(torch.rand(2, 1, 8, 8))
    assert torch.allclose(network.classifier.weight.norm(dim=1), torch.ones(4))  # type: ignore[union-attr]
    assert not network.classifier.bias.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("first", ["margin", "dropout"])
def test_a_margin_sees_what_dropout_left_whichever_comes_first(first: str) -> None:
    linear = nn.Linear(40, 2)
    margin = implementation(ArcFace(scale=1.0, margin=0.0))(linear) if first == "margin" else None
    implementation(Dropout(rate=0.5))(linear)
    margin = margin or implementation(ArcFace(scale=1.0, margin=0.0))(linear)
    x, shares = torch.ones(1, 40), torch.eye(2)[:1]
    with Generators(0):
        linear(x)
        found = margin(shares, 0.0)
        linear(x)
        again = margin(shares, 0.0)
        linear.eval()(x)
    assert not torch.allclose(found, again)
    assert not torch.allclose(found, F.linear(F.normalize(x), F.normalize(linear.weight)))


def test_dropout_changes_the_loss_of_a_recipe_with_a_margin() -> None:
    losses = [
        run(classifier(margin=ArcFace(scale=16.0), dropout=dropout, warmup=None), fidelity=1)[0].metrics["train/loss"]
        for dropout in (None, Dropout(rate=0.5))
    ]
    assert abs(losses[0] - losses[1]) > 1e-3


def test_with_an_average_the_network_that_is_kept_is_the_one_that_was_judged(tmp_path: Path) -> None:
    spec = classifier(margin=ArcFace(scale=16.0, margin=0.2), ema=Ema(decay=0.9), warmup=None)
    report = run(spec, fidelity=3, folder=str(tmp_path / "t000001"))[-1]
    checkpoint = str(tmp_path / str(report.checkpoint))
    kept = weights(load(checkpoint))
    assert torch.allclose(kept["classifier.weight"].norm(dim=1), torch.ones(4), atol=1e-6)
    assert not kept["classifier.bias"].any()
    found = figures_of_checkpoint(spec, checkpoint, squares(), Part.VAL)
    assert found["loss"] == pytest.approx(report.metrics["val/loss"], rel=1e-6)
    # The average is one of directions: it takes in rows of length 1.
    network = NETWORK.build((1, 8, 8), 4)
    margin = implementation(ArcFace())(network)
    ema = WeightAverage(Ema(decay=0.9), network)
    with torch.no_grad():
        network.classifier.weight.mul_(5.0)  # type: ignore[union-attr, operator]
    margin.constrain()
    ema.update()
    assert torch.allclose(ema.average["classifier.weight"].norm(dim=1), torch.ones(4), atol=1e-6)


@pytest.mark.parametrize("spec", [ArcFace(scale=16.0, margin=0.2), AngularSoftmax(margin=2)])
def test_a_network_learns_with_it(spec: ArcFace) -> None:
    assert run(classifier(margin=spec, warmup=None), fidelity=4)[-1].metrics["val/accuracy"] > 0.5


def test_a_network_without_linear_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="classifier is a linear layer; set margin to null"):
        implementation(ArcFace())(nn.Conv2d(1, 1, 1))
