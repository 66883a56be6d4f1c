"""Residual pooling, additive skips, unpooling and iterations against their definitions."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces.blocks.base import Feature
from search_spaces.blocks.decoders import DeepLabV3Plus
from search_spaces.blocks.decoders_dense import UnetPlusPlus
from search_spaces.blocks.decoders_refine import Iterative, LinkNet, MaxUnpool, RefineNet
from search_spaces.networks.decoders import parts_of
from search_spaces.networks.decoders_refine import ChainedPooling, ResidualUnits, unpooled
from tests.search_spaces.networks.checks import assert_trains

FEATURES = (Feature(6, 2), Feature(8, 4), Feature(10, 8))
FLAT = (Feature(6, 4), Feature(8, 8), Feature(10, 8))
STEEP = (Feature(6, 2), Feature(8, 8), Feature(10, 16))
DEEPLAB = DeepLabV3Plus(low_width=3, width=5)
SPECS = [
    RefineNet(width=4),
    LinkNet(),
    MaxUnpool(width=4),
    Iterative(decoder=DEEPLAB, steps=2),
    Iterative(decoder=DEEPLAB, steps=1, reset=0.0, supervision=True),
    Iterative(decoder=UnetPlusPlus(width=3, supervision=False), steps=0),
]


def _maps(features=FEATURES, image_size=(29, 38)):
    return [torch.randn(2, *feature.shape(image_size)) for feature in features]


def _params(spec):
    return sum(p.numel() for p in spec.build(FEATURES).parameters())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.kind}-{getattr(spec, 'steps', '')}")
@pytest.mark.parametrize("features", [FEATURES, FLAT, STEEP], ids=["strides", "dilated", "steep"])
def test_they_train_on_sizes_that_do_not_divide(spec, features):
    module, maps = spec.build(features), _maps(features)
    out, aux = parts_of(module(maps))
    assert out.shape == (2, *spec.outputs(features)[0].shape((29, 38)))
    assert [tuple(x.shape[1:]) for x in aux] == [f.shape((29, 38)) for f in spec.supervised(features)]
    assert_trains(module, maps)


def test_e16_a_chain_of_poolings_without_weights_is_the_identity():
    chain, x = ChainedPooling(4, 3), torch.randn(2, 4, 9, 9)
    once = F.conv2d(F.max_pool2d(x, 5, 1, 2), chain.links[0][1].weight, chain.links[0][1].bias, padding=1)
    twice = F.conv2d(F.max_pool2d(once, 5, 1, 2), chain.links[1][1].weight, chain.links[1][1].bias, padding=1)
    torch.nn.init.zeros_(chain.links[2][1].weight)
    torch.nn.init.zeros_(chain.links[2][1].bias)
    assert torch.allclose(chain(x), x + once + twice, atol=1e-6)
    for weight in chain.parameters():
        torch.nn.init.zeros_(weight)
    assert torch.equal(chain(x), x)


def test_residual_units_without_weights_are_the_identity():
    units, x = ResidualUnits(4, 2), torch.randn(2, 4, 5, 5)
    for unit in units.units:
        for weight in unit[3].parameters():
            torch.nn.init.zeros_(weight)
    assert torch.equal(units(x), x)


def test_parameters_of_a_refining_level():
    conv = 9 * 4 * 4 + 4
    # Two residual units of the map, chain of two, one unit behind; from the second level on two more and two to join.
    level = 4 * conv + 2 * conv + 2 * conv
    adapt = sum(9 * f.channels * 4 + 4 for f in FEATURES)
    assert _params(RefineNet(width=4)) == adapt + 3 * level + 2 * (4 * conv + 2 * conv)


def test_e16_the_backbones_map_is_added():
    module, maps = LinkNet().build(FEATURES).eval(), _maps()
    x = module.levels[0](maps[2])[:, :, :8, :10] + maps[1]
    x = module.levels[1](x)[:, :, :15, :19] + maps[0]
    assert torch.equal(module(maps), x)
    # A bottleneck of a quarter: 1x1, transposed 3x3 with bias, 1x1, each with batch norm.
    levels = [(10, 2, 8), (8, 2, 6)]
    assert _params(LinkNet()) == sum(a * m + 2 * m + 9 * m * m + 3 * m + m * b + 2 * b for a, m, b in levels)


@pytest.mark.parametrize(("ratio", "size"), [(2, (8, 12)), (2, (7, 11)), (4, (9, 14))])
def test_e15_unpooled_maxima_are_where_they_were(ratio, size):
    x = torch.randn(2, 3, *size)
    pooled = F.max_pool2d(x, ratio, ratio, ceil_mode=True)
    found = unpooled(pooled, x, ratio)
    assert found.shape == x.shape
    assert torch.equal(found[found != 0], x[found != 0])
    assert int((found != 0).sum()) == pooled.numel()
    assert torch.equal(F.max_pool2d(found.abs(), ratio, ratio, ceil_mode=True), pooled.abs())


def test_a_level_is_spread_over_the_places_of_the_finer_map():
    module, maps = MaxUnpool(width=4).build(FEATURES[:2]).eval(), _maps(FEATURES[:2])
    x = module.before[0](maps[1])
    assert x.shape[1] == 6  # the channels of the finer map, whose places are used
    assert torch.equal(module(maps), module.after[0](unpooled(x, maps[0], 2)))
    moved = maps[0].flip(3)
    assert not torch.equal(module(maps), module([moved, maps[1]]))
    assert torch.equal(module(maps), module([3 * maps[0] + 1, maps[1]]))  # places alone, no values


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_e18_without_what_joins_them_all_runs_are_the_first(steps):
    spec = Iterative(decoder=DEEPLAB, steps=steps, supervision=True)
    module, maps = spec.build(FEATURES).eval(), _maps()
    base = DEEPLAB.build(FEATURES).eval()
    base.load_state_dict({n.removeprefix("decoder."): w for n, w in module.state_dict().items() if "decoder" in n})
    assert torch.equal(module(maps), base(maps)) == (steps == 0)
    if module.join is not None:
        torch.nn.init.zeros_(module.join[1][1].weight)
    assert torch.equal(module(maps), base(maps))


def test_a_further_run_sees_what_came_out():
    module, maps = Iterative(decoder=DEEPLAB, steps=2).build(FEATURES).eval(), _maps()
    y = module.decoder(maps)
    for _ in range(2):
        known = F.interpolate(y, size=maps[2].shape[2:], mode="bilinear")
        y = module.decoder([*maps[:2], maps[2] + module.join(torch.cat([maps[2], known], 1))])
    assert torch.allclose(module(maps), y, atol=1e-6)


def test_an_example_that_forgets_runs_on_zeros():
    module, maps = Iterative(decoder=DEEPLAB, steps=1, reset=1.0).build(FEATURES), _maps()
    seen = []
    module.join.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, 10:]))
    module.train()(maps)
    module.eval()(maps)
    assert [bool(x.any()) for x in seen] == [False, True]
    half = Iterative(decoder=DEEPLAB, steps=1, reset=0.5).build(FEATURES).train()
    half.join.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, 10:]))
    half([x.repeat(8, 1, 1, 1) for x in maps])
    assert 0 < int(seen[-1].flatten(1).any(1).sum()) < 16


def test_the_supervised_runs_are_those_before_the_last():
    module, maps = Iterative(decoder=DEEPLAB, steps=2, reset=0.0, supervision=True).build(FEATURES), _maps()
    runs = []
    module.decoder.register_forward_hook(lambda _, inputs, output: runs.append(output))
    out, aux = parts_of(module(maps))
    assert all(torch.equal(a, b) for a, b in zip((out, *aux), reversed(runs), strict=True))
