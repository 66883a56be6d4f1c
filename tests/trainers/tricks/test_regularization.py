import pytest
import torch
from torch import nn

from search_spaces.blocks.detection import Ssd
from search_spaces.build import classifier_of, set_progress
from search_spaces.networks.layers import DropPath as DropPathLayer
from search_spaces.recipe import L1, BatchNorm, Dropout, DropPath
from tests.trainers.detectors import TWO
from tests.trainers.detectors import network as detector
from tests.trainers.examples import NETWORK
from tests.trainers.examples_dense import SEGMENTER
from trainers.determinism import Generators
from trainers.tricks.registry import implementation


def test_i01_dropout_comes_before_the_last_linear_layer() -> None:
    network = nn.Sequential(nn.Linear(1, 400), nn.Linear(400, 1, bias=False))
    nn.init.ones_(network[0].weight)
    nn.init.constant_(network[1].weight, 1 / 400)
    nn.init.zeros_(network[0].bias)
    names = list(network.state_dict())
    implementation(Dropout(rate=0.25))(network)
    assert list(network.state_dict()) == names
    x = torch.ones(500, 1)
    with Generators(0):
        out = network.train()(x)
    # Each of 400 inputs is kept with probability 3/4 and scaled by 4/3: the mean stays, with a binomial's spread.
    assert out.mean().item() == pytest.approx(1.0, abs=0.01)
    assert out.std().item() == pytest.approx((1 / 3 / 400) ** 0.5, rel=0.1)
    assert torch.allclose(network.eval()(x), torch.ones(500, 1))


def test_i01_in_two_stages_it_drops_for_classes_and_not_for_boxes() -> None:
    network = detector(TWO).build((3, 32, 32), 5)
    implementation(Dropout(rate=0.5))(network)
    images, boxes = torch.rand(1, 3, 32, 32), torch.tensor([[[4.0, 4, 20, 20]]])
    with Generators(0):
        found = network.train()(images)
        (first, moved, _), (second, again, _) = (network.head.look(found, boxes) for _ in range(2))  # type: ignore[operator,union-attr]
    assert not torch.equal(first, second)
    assert torch.equal(moved, again)


def test_i01_of_maps_it_drops_whole_channels() -> None:
    network = SEGMENTER.build((3, 32, 32), 5)
    implementation(Dropout(rate=0.5))(network)
    classifier, seen = classifier_of(network), list[torch.Tensor]()
    assert classifier is not None
    classifier.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    with Generators(0):
        for mode in (True, False):
            network.train(mode)
            classifier(torch.ones(16, 8, 4, 4))
    assert torch.equal(seen[0], seen[0][:, :, :1, :1].expand(16, 8, 4, 4))
    assert set(seen[0].unique().tolist()) == {0.0, 2.0}
    assert seen[0].mean().item() == pytest.approx(1.0, abs=0.25)
    assert torch.equal(seen[1], torch.ones(16, 8, 4, 4))


def test_i01_dropout_comes_before_the_classes_of_every_level() -> None:
    network = detector(Ssd(extra_levels=1, extra_width=16)).build((3, 32, 32), 5)
    implementation(Dropout(rate=1 - 1e-9))(network)
    for layer in network.head.classes:  # type: ignore[union-attr]
        nn.init.constant_(layer.bias, 3.0)
    logits, deltas = network.train()(torch.randn(2, 3, 32, 32))["out"]
    assert (logits == 3).all() and deltas.abs().min() > 0
    assert not (network.eval()(torch.randn(2, 3, 32, 32))[0] == 3).any()


def test_dropout_needs_a_linear_layer() -> None:
    with pytest.raises(ValueError, match="linear layer; set dropout to null"):
        implementation(Dropout())(nn.Conv2d(1, 1, 1))


def test_drop_path_reaches_the_layers_of_a_network() -> None:
    network = NETWORK.build((1, 8, 8), 4)
    implementation(DropPath(rate=0.4))(network)
    rates = {module.rate for module in network.modules() if hasattr(module, "rate")}
    assert rates == {0.4}


def test_i02_the_gradient_of_the_l1_penalty_is_the_sign() -> None:
    network = nn.Linear(3, 2)
    implementation(L1(weight=0.01))(network)().backward()
    assert torch.allclose(network.weight.grad, 0.01 * network.weight.detach().sign())  # type: ignore[arg-type]
    assert network.bias.grad is None
    implementation(L1(weight=0.01, bias_and_norm=True))(network)().backward()
    assert torch.allclose(network.bias.grad, 0.01 * network.bias.detach().sign())  # type: ignore[arg-type]


def _norm_example() -> tuple[nn.BatchNorm1d, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    norm = nn.BatchNorm1d(4, dtype=torch.float64)
    x = torch.randn(32, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    return norm, x, torch.randn(32, 4, generator=generator, dtype=torch.float64)


def test_i03_the_gradient_through_a_batch_norm_is_the_derived_one() -> None:
    norm, x, above = _norm_example()
    implementation(BatchNorm(epsilon=1e-3))(norm)
    (norm(x) * above).sum().backward()
    assert x.grad is not None
    with torch.no_grad():
        scale = (x.var(0, unbiased=False) + 1e-3).rsqrt()
        normed = (x - x.mean(0)) * scale
        derived = scale * (above - above.mean(0) - normed * (above * normed).mean(0))
    assert torch.allclose(x.grad, derived, atol=1e-10)
    assert x.grad.sum(0).abs().max().item() < 1e-10


def test_i03_with_a_small_epsilon_the_gradient_is_orthogonal_to_what_is_normalised() -> None:
    norm, x, above = _norm_example()
    implementation(BatchNorm(epsilon=1e-12))(norm)
    (norm(x) * above).sum().backward()
    assert x.grad is not None
    normed = (x - x.mean(0)) / x.std(0, unbiased=False)
    assert (x.grad * normed).sum(0).abs().max().item() < 1e-9


def test_i03_momentum_is_the_weight_of_the_batch() -> None:
    norm = nn.Sequential(nn.BatchNorm1d(1))
    implementation(BatchNorm(momentum=0.25))(norm)
    norm(torch.tensor([[1.0], [3.0]]))
    assert norm[0].running_mean.item() == pytest.approx(0.25 * 2.0)  # type: ignore[union-attr, operator]


def test_i04_synchronised_norms_keep_names_and_one_processs_output() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm2d(3)))
    synced = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Sequential(nn.BatchNorm2d(3)))
    implementation(BatchNorm(sync=True, momentum=0.3))(synced)
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in synced.modules()) == 2
    assert list(synced.state_dict()) == list(plain.state_dict())
    assert {module.momentum for module in synced.modules() if isinstance(module, nn.SyncBatchNorm)} == {0.3}
    synced.load_state_dict(plain.state_dict())
    x = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(synced(x), plain(x))


def test_i04_pooled_statistics_of_shards_are_those_of_the_whole() -> None:
    x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shards = x.split([5, 4, 3])
    counts = torch.tensor([len(shard) for shard in shards]).view(-1, 1)
    means = torch.stack([shard.mean(0) for shard in shards])
    squares = torch.stack([shard.var(0, unbiased=False) for shard in shards]) + means.square()
    mean = (counts * means).sum(0) / 12
    assert torch.allclose(mean, x.mean(0))
    assert torch.allclose((counts * squares).sum(0) / 12 - mean.square(), x.var(0, unbiased=False))


def test_i06_paths_are_dropped_more_and_more_often() -> None:
    layer = DropPathLayer(depth=1.0)
    network = nn.Sequential(layer)
    implementation(DropPath(rate=0.4))(network)
    x = torch.ones(20000, 1)
    with Generators(0):
        for fraction in (0.0, 0.5, 1.0):
            set_progress(network, fraction)
            out = network.train()(x)
            assert (out == 0).float().mean().item() == pytest.approx(0.4 * fraction, abs=0.01)
            assert out.mean().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(network.eval()(x), x)
