import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architectures.nasbench201 import NasBench201
from search_spaces.architectures.resnet import Resnet
from search_spaces.build import Architecture
from tests.trainers.examples import NETWORK, squares
from trainers import proxies
from trainers.tasks.classification import BASELINE, PROXIES, Classification, Classifier
from trainers.trial import Common, TrialContext


class _Tiny(nn.Module):
    """Linear layers on flattened images, a rectifier between two."""

    def __init__(self, *weights: list[list[float]], rectifier: nn.Module | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        for matrix in weights:
            linear = nn.Linear(len(matrix[0]), len(matrix))
            linear.weight.data = torch.tensor(matrix)
            linear.bias.data.zero_()
            layers += [linear, rectifier or nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1] if len(weights) > 1 else layers)

    def forward(self, x: Tensor) -> Any:
        found = self.layers(x)
        return {"out": found} if self.training else found


def _images(*rows: list[float]) -> Tensor:
    return torch.tensor(rows).view(len(rows), 1, 1, -1)


def test_gradients_by_hand() -> None:
    # Logits (log 3, 0), so probabilities 3/4 and 1/4; the gradient is ((-1/4, 0), (1/4, 0)).
    network = _Tiny([[math.log(3), 0.0], [0.0, 0.0]], rectifier=nn.Identity())
    found = proxies.gradients(network, _images([1.0, 0.0]), torch.tensor([0]))
    assert found["grad_norm"] == pytest.approx(math.sqrt(1 / 8))
    assert found["snip"] == pytest.approx(math.log(3) / 4)


def test_norms_of_kernels_are_added() -> None:
    # The second kernel sees (2, 0) and its gradient is ((-1, 0), (1, 0)); nothing goes back through zero weights.
    network = _Tiny([[2.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]])
    found = proxies.gradients(network, _images([1.0, 0.0]), torch.tensor([0]))
    assert found["grad_norm"] == pytest.approx(math.sqrt(2))
    assert found["snip"] == 0.0


def test_synflow_by_hand() -> None:
    # |W| 1 = (3, 3), |V| (3, 3) = (6, 7.5): R = 13.5, which each of the two kernels adds once.
    network = _Tiny([[1.0, -2.0], [3.0, 0.0]], [[1.0, -1.0], [0.5, 2.0]])
    network.layers[1].bias.data.fill_(7.0)
    assert proxies.synflow(network, (1, 1, 2)) == pytest.approx(27.0, rel=1e-12)


def test_synflow_passes_by_batch_norms() -> None:
    norm = nn.BatchNorm2d(1)
    norm.weight.data.fill_(5.0)
    norm.running_mean = torch.tensor([3.0])
    conv = nn.Conv2d(1, 1, 1)
    conv.weight.data.fill_(-2.0)
    assert proxies.synflow(nn.Sequential(conv, norm), (1, 2, 2)) == pytest.approx(8.0)


def test_nwot_by_hand() -> None:
    # Patterns 111 and 101: the kernel is ((3, 2), (2, 3)).
    network = _Tiny([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    images = _images([1.0, 1.0], [1.0, -0.5])
    assert proxies.nwot(network, images) == pytest.approx(math.log(5))
    # Equal patterns cannot be told apart.
    assert proxies.nwot(network, _images([1.0, 1.0], [2.0, 1.0])) == -math.inf
    assert not network.layers[2]._forward_hooks


def test_the_score_of_a_jacobian_by_hand() -> None:
    k = 1e-5
    apart = torch.tensor([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0]])
    assert proxies.jacobian_score(apart) == pytest.approx(-2 * (math.log1p(k) + 1 / (1 + k)))
    alike = torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]])
    expected = -(math.log(2 + k) + 1 / (2 + k) + math.log(k) + 1 / k)
    assert proxies.jacobian_score(alike) == pytest.approx(expected, rel=1e-6)
    assert math.isnan(proxies.jacobian_score(torch.ones(2, 3)))


def test_jacob_cov_takes_the_rows_of_the_inputs() -> None:
    # Outputs (x, y, x + y) where they are on: the gradients of their sum are (2, 2) and (2, 1) for the two images.
    network = _Tiny([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    network.train()
    images = _images([1.0, 1.0], [1.0, -0.5])
    seen = torch.tensor([[2.0, 2.0], [2.0, 1.0]])
    assert math.isnan(proxies.jacob_cov(network, images)) and math.isnan(proxies.jacobian_score(seen))
    wide = _Tiny([[1.0, 2.0, 4.0], [0.0, 1.0, 0.0]])
    images = _images([1.0, 1.0, 1.0], [1.0, -0.5, 1.0])
    rows = torch.tensor([[1.0, 3.0, 4.0], [1.0, 2.0, 4.0]])
    assert proxies.jacob_cov(wide, images) == pytest.approx(proxies.jacobian_score(rows))


CELL = NasBench201(edges=("nor_conv_3x3", "skip_connect", "nor_conv_1x1", "avg_pool_3x3", "none", "nor_conv_3x3"))
SMALL_CELL = CELL.model_copy(update={"channels": 4, "cells": 1})


@pytest.mark.parametrize("architecture", [NETWORK, BASELINE, SMALL_CELL])
def test_all_proxies_of_a_network_are_finite(architecture: Architecture) -> None:
    data = squares()
    spec = Classifier(architecture=architecture)
    task = Classification()

    def found(trial_id: str, seed: int) -> dict[str, float]:
        trial = TrialContext(trial_id, seed, 1, mode="proxy", common=Common(seed=3))
        (report,) = task.run(spec, trial, data)
        assert report.done and report.checkpoint is None
        return dict(report.metrics)

    first = found("t000000", 1)
    assert sorted(first) == sorted(PROXIES) and all(math.isfinite(value) for value in first.values())
    assert set(PROXIES) <= set(task.metrics())
    # The same weights on the same images, whatever the trial is called; other weights say something else.
    assert found("t000007", 1) == first
    assert all(found("t000000", 2)[name] != first[name] for name in PROXIES)


def test_what_a_network_without_a_path_does_not_have_is_left_out() -> None:
    dead = SMALL_CELL.model_copy(update={"edges": ("none",) * 6})
    (report,) = proxies.score(Classifier(architecture=dead), TrialContext("t000000", 1, 1, mode="proxy"), squares())
    assert "proxy/grad_norm" in report.metrics and "proxy/jacob_cov" not in report.metrics
    assert all(math.isfinite(value) for value in report.metrics.values())


def test_wider_networks_have_more_synflow_and_patterns() -> None:
    def found(width: int) -> dict[str, float]:
        spec = Classifier(architecture=Resnet(depths=(1, 1), widths=(width, 2 * width), stem="cifar"))
        (report,) = proxies.score(spec, TrialContext("t000000", 1, 1, mode="proxy"), squares())
        return dict(report.metrics)

    narrow, wide = found(4), found(16)
    assert all(wide[f"proxy/{name}"] > narrow[f"proxy/{name}"] for name in ("synflow", "nwot"))
