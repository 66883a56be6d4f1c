import pytest
import torch
from torch import nn

from search_spaces.networks.layers import set_lr_factor
from search_spaces.recipe import AdaBound, Adam, AdamW, ClipGradients, Optimizer, Sgd, TwoPhase
from trainers.optim import begin_at_rest, restore, set_factor, settle
from trainers.tricks.registry import implementation


def _network() -> nn.Module:
    network = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    for weight in network.parameters():
        nn.init.constant_(weight, 2.0)
        weight.grad = torch.full_like(weight, 0.5)
    return network


def test_i02_weight_decay_is_the_gradient_of_the_l2_penalty() -> None:
    network = _network()
    implementation(Sgd(lr=0.1, momentum=0.0, weight_decay=0.01))(network).step()
    # w - lr (g + wd w), and without decay for biases and norms
    assert network[0].weight[0, 0].item() == pytest.approx(2 - 0.1 * (0.5 + 0.01 * 2), rel=1e-6)  # type: ignore
    for weight in (network[0].bias, network[1].weight, network[1].bias):  # type: ignore[index, union-attr]
        assert weight[0].item() == pytest.approx(2 - 0.1 * 0.5, rel=1e-6)  # type: ignore[index]


def test_everything_decays_when_asked_for() -> None:
    network = _network()
    spec = Sgd(lr=0.1, momentum=0.0, weight_decay=0.01, decay_bias_and_norm=True)
    implementation(spec)(network).step()
    assert [round(w.flatten()[0].item(), 6) for w in network.parameters()] == [1.948] * 4


def test_nesterov_looks_ahead() -> None:
    found = {}
    for nesterov in (True, False):
        network = _network()
        optimizer = implementation(Sgd(lr=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.0))(network)
        optimizer.step()
        found[nesterov] = network[0].weight[0, 0].item()  # type: ignore
    assert found[True] == pytest.approx(2 - 0.1 * (0.5 + 0.9 * 0.5), rel=1e-6)
    assert found[False] == pytest.approx(2 - 0.1 * 0.5, rel=1e-6)


def test_sgd_without_momentum_takes_nesterov_as_plain() -> None:
    implementation(Sgd(momentum=0.0, nesterov=True))(_network()).step()


def test_adamw_decays_apart_from_its_step() -> None:
    network = _network()
    implementation(AdamW(lr=0.1, weight_decay=0.5, epsilon=1e-12))(network).step()
    # The first step of Adam is lr times the sign of the gradient; decay is lr * wd * w.
    assert network[0].weight[0, 0].item() == pytest.approx(2 * (1 - 0.1 * 0.5) - 0.1, rel=1e-5)  # type: ignore
    assert network[0].bias[0].item() == pytest.approx(2 - 0.1, rel=1e-5)  # type: ignore


@pytest.mark.parametrize(("norm", "expected"), [(1.0, 1.0), (100.0, 5**0.5 * 0.5)])
def test_clipping_bounds_the_joint_norm(norm: float, expected: float) -> None:
    network = _network()
    implementation(ClipGradients(norm=norm))(network.parameters())
    total = sum(weight.grad.square().sum().item() for weight in network.parameters()) ** 0.5  # type: ignore
    assert total == pytest.approx(expected, rel=1e-4)


def test_adam_decays_through_its_moments() -> None:
    network = _network()
    implementation(Adam(lr=0.1, weight_decay=0.5, epsilon=1e-12))(network).step()
    # The penalty's gradient has the sign of the loss's: the first step is lr whatever their sizes.
    assert network[0].weight[0, 0].item() == pytest.approx(2 - 0.1, rel=1e-5)  # type: ignore


@pytest.mark.parametrize("spec", [AdaBound(), Adam(), AdamW(), Sgd(), TwoPhase()])
def test_a_factor_scales_every_rate_from_where_it_began(spec: Optimizer) -> None:
    optimizer = implementation(spec)(_network())
    settle(optimizer)
    before = [group["lr"] for group in optimizer.param_groups]
    assert set_factor(optimizer, 0.5) == before[0] * 0.5
    set_factor(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [rate * 0.25 for rate in before]


def test_k07_the_second_phase_has_settings_and_moments_of_its_own() -> None:
    network = _network()
    spec = TwoPhase(first=Adam(lr=4e-4), second=Sgd(lr=5e-5, momentum=0.0, weight_decay=0.0), switch=0.5)
    optimizer = implementation(spec)(network)
    settle(optimizer)
    optimizer.set_progress(0.49)
    assert [group["lr"] for group in optimizer.param_groups] == [4e-4, 4e-4]
    assert "betas" in optimizer.param_groups[0]
    optimizer.step()
    assert network[0].weight[0, 0].item() == pytest.approx(2 - 4e-4, rel=1e-6)  # type: ignore
    optimizer.set_progress(0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [5e-5, 5e-5]
    assert "betas" not in optimizer.param_groups[0]
    before = network[0].weight[0, 0].item()  # type: ignore
    optimizer.step()
    assert network[0].weight[0, 0].item() == pytest.approx(before - 5e-5 * 0.5, rel=1e-6)  # type: ignore


def test_what_is_put_back_leaves_settings_as_they_are() -> None:
    one, two = _network(), _network()
    for spec, other in ((Sgd(lr=0.1), Sgd(lr=0.2)), (TwoPhase(first=Sgd(lr=0.1)), TwoPhase(first=Sgd(lr=0.2)))):
        saved, fresh = implementation(spec)(one), implementation(other)(two)
        for optimizer in (saved, fresh):
            settle(optimizer)
        set_factor(saved, 0.1)
        saved.step()
        restore(fresh, saved.state_dict())
        assert set_factor(fresh, 1.0) == 0.2
        inner = (fresh, saved) if not isinstance(spec, TwoPhase) else (fresh.phases[0], saved.phases[0])
        moments = [state["momentum_buffer"] for optimizer in inner for state in optimizer.state.values()]
        assert len(moments) == 8 and all(torch.equal(*pair) for pair in zip(moments[:4], moments[4:], strict=True))


@pytest.mark.parametrize("spec", [Sgd(lr=0.1), Adam(lr=0.1), AdamW(lr=0.1), AdaBound(lr=0.1)], ids=lambda s: s.kind)
def test_a_weight_may_learn_at_another_rate(spec: Optimizer) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    plain = implementation(spec)(network)
    settle(plain)
    assert [group["lr"] for group in plain.param_groups] == [0.1, 0.1]
    set_lr_factor(network[0].parameters(), 0.25)
    optimizer = implementation(spec)(network)
    settle(optimizer)
    # The first group, whose rate is reported, is one without a factor.
    assert set_factor(optimizer, 0.5) == 0.05
    rates = {id(w): group["lr"] for group in optimizer.param_groups for w in group["params"]}
    decays = {id(w): group["weight_decay"] for group in optimizer.param_groups for w in group["params"]}
    assert [rates[id(w)] for w in network.parameters()] == pytest.approx([0.0125, 0.0125, 0.05, 0.05])
    assert [decays[id(w)] > 0 for w in network.parameters()] == [spec.weight_decay > 0, False] * 2


def test_steps_are_as_long_as_the_rate_says() -> None:
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    set_lr_factor(network[1].parameters(), 0.25)
    optimizer = implementation(Sgd(lr=0.1, momentum=0, weight_decay=0))(network)
    settle(optimizer)
    set_factor(optimizer, 1.0)
    before = [weight.item() for weight in network.parameters()]
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    moved = [old - weight.item() for old, weight in zip(before, network.parameters(), strict=True)]
    assert moved == pytest.approx([0.1, 0.025], rel=1e-5)


def test_weights_may_meet_their_first_gradient_late() -> None:
    def stepped(at_rest: bool, fused: bool) -> list[torch.Tensor]:
        weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
        optimizer = torch.optim.SGD(weights, 0.1, momentum=0.9, weight_decay=0.01, fused=fused)
        if at_rest:
            begin_at_rest(optimizer)
        for used in (weights[:1], weights, weights[1:]):
            optimizer.zero_grad()
            sum((weight**2).sum() for weight in used).backward()  # type: ignore[union-attr]
            optimizer.step()
        return [weight.detach() for weight in weights]

    assert all(torch.equal(a, b) for a, b in zip(stepped(True, False), stepped(False, False), strict=True))
    assert all(torch.allclose(a, b) for a, b in zip(stepped(True, True), stepped(False, False), strict=True))
