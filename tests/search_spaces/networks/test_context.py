"""Context modules: what they leave as it is, and how far they see."""

import torch

from search_spaces.blocks.base import Feature
from search_spaces.blocks.context import Aspp, Cpm, Psp, Ssh
from tests.search_spaces.networks.checks import assert_trains

FEATURES = (Feature(8, 8),)


def test_d02_psp_keeps_the_map_and_a_constant_one_constant():
    module = Psp(bins=(1, 2)).build(FEATURES).eval()
    x = torch.randn(2, 8, 5, 7)
    assert torch.equal(module(x)[:, :8], x)
    constant = module(torch.randn(2, 8, 1, 1).expand(-1, -1, 5, 7))
    assert torch.allclose(constant, constant[:, :, :1, :1].expand_as(constant), atol=1e-6)


def test_aspp_sees_as_far_as_its_rates():
    module = Aspp(rates=(3,), width=4).build(FEATURES).eval()
    module.branches[-1] = torch.nn.Identity()  # without the average of the whole map
    module.branches[-1].forward = lambda x: x.new_zeros(x.shape[0], 4, *x.shape[2:])
    for weight in module.parameters():
        torch.nn.init.ones_(weight)  # no ReLU is asleep
    x = torch.zeros(1, 8, 11, 11, requires_grad=True)
    module(x)[0, :, 5, 5].sum().backward()
    seen = x.grad.abs().sum((0, 1)).nonzero()
    assert {(int(i), int(j)) for i, j in seen} == {(i, j) for i in (2, 5, 8) for j in (2, 5, 8)}


def test_the_average_of_the_whole_map_reaches_everything():
    module = Aspp(rates=(1,), width=4).build(FEATURES).eval()
    x = torch.zeros(1, 8, 11, 11)
    changed = x.clone()
    changed[:, :, 0, 0] = 100
    assert not torch.equal(module(x)[..., 10, 10], module(changed)[..., 10, 10])


def test_they_train_on_a_single_image_of_one_pixel():
    for spec in (Aspp(rates=(1, 2), width=4, dropout=0.0), Psp(bins=(1, 2))):
        assert_trains(spec.build(FEATURES), torch.randn(1, 8, 1, 1))
        assert_trains(spec.build(FEATURES), torch.randn(2, 8, 3, 4))


def test_names_of_weights():
    names = {name.rsplit(".", 1)[0] for name in Aspp(rates=(1,), width=4).build(FEATURES).state_dict()}
    convs = {"branches.0.0", "branches.1.0", "branches.2.conv.0", "project.0"}
    assert names == convs | {f"{name[:-1]}1" for name in convs}
    assert {name for name in Psp(bins=(1,)).build(FEATURES).state_dict()} >= {"branches.0.conv.0.weight"}


def test_psp_by_maxima_sees_the_greatest_value():
    module = Psp(bins=(1,), pool="max").build(FEATURES).eval()
    x = torch.randn(2, 8, 5, 7)
    context = module(x)[:, 8:]
    assert torch.allclose(context[:, :, 2, 3], module.branches[0].conv(x.amax((2, 3), keepdim=True))[..., 0, 0])
    assert set(module.state_dict()) == set(Psp(bins=(1,)).build(FEATURES).state_dict())


def test_e11_surroundings_of_three_five_and_seven():
    module = Ssh().build(FEATURES).eval()
    for weight in module.parameters():
        torch.nn.init.ones_(weight)  # no ReLU is asleep
    seen = []
    for channel in (0, 4, 6):
        x = torch.zeros(1, 8, 11, 11, requires_grad=True)
        module(x)[0, channel, 5, 5].backward()
        places = x.grad.abs().sum((0, 1)).nonzero()
        seen.append((len(places), int(places.min()), int(places.max())))
    assert seen == [(9, 4, 6), (25, 3, 7), (49, 2, 8)]


def test_the_prediction_module_is_a_bottleneck_before_the_surroundings():
    module = Cpm(hidden=2, width=12).build(FEATURES).eval()
    x = torch.randn(2, 8, 5, 7)
    assert module(x).shape == (2, 12, 5, 7)
    inner = torch.relu(module.residual(x) + module.shortcut(x))
    assert inner.shape[1] == 8 and torch.equal(module(x), module.surroundings(inner))
    assert_trains(module, x)
