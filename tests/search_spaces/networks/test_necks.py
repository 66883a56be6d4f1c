"""The feature pyramid against its definition."""

import torch
from torch.nn import functional as F

from search_spaces.blocks.base import Feature
from search_spaces.blocks.necks import Fpn
from tests.search_spaces.networks.checks import assert_trains

FEATURES = (Feature(3, 4), Feature(4, 8), Feature(5, 16))


def _maps(seed=0):
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(2, *feature.shape((37, 50)), generator=rng) for feature in FEATURES]


def test_add_is_a_sum_of_laterals_from_above():
    module, maps = Fpn(width=6).build(FEATURES), _maps()
    top = module.laterals[2](maps[2])
    middle = module.laterals[1](maps[1]) + F.interpolate(top, size=maps[1].shape[2:])
    bottom = module.laterals[0](maps[0]) + F.interpolate(middle, size=maps[0].shape[2:])
    expected = [smooth(x) for smooth, x in zip(module.smooth, (bottom, middle, top), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(module(maps), expected, strict=True))


def test_without_laterals_the_coarsest_map_is_only_enlarged():
    module, maps = Fpn(width=6).build(FEATURES), _maps()
    for lateral in module.laterals[:2]:
        torch.nn.init.zeros_(lateral.weight)
    module.smooth = torch.nn.ModuleList(torch.nn.Identity() for _ in range(3))
    bottom, _, top = module(maps)
    assert torch.equal(bottom, F.interpolate(F.interpolate(top, size=maps[1].shape[2:]), size=maps[0].shape[2:]))


def test_concat_reads_lateral_and_smoothed_map():
    module, maps = Fpn(width=6, fusion="concat").build(FEATURES), _maps()
    top = module.smooth[2](module.laterals[2](maps[2]))
    joined = torch.cat([module.laterals[1](maps[1]), F.interpolate(top, size=maps[1].shape[2:])], dim=1)
    assert torch.equal(module(maps)[1], module.smooth[1](joined))


def test_extra_levels():
    maps = _maps()
    pooled = Fpn(width=6, extra="maxpool", extra_levels=2, skip=1).build(FEATURES)(maps)
    assert torch.equal(pooled[2], F.max_pool2d(pooled[1], 1, 2)) and torch.equal(pooled[3], pooled[2][..., ::2, ::2])
    module = Fpn(width=6, extra="conv", extra_levels=2).build(FEATURES)
    found = module(maps)
    assert torch.equal(found[3], module.extra[0](found[2]))
    assert torch.equal(found[4], module.extra[1](found[3].relu()))


def test_it_trains_and_its_names_stand():
    for fusion in ("add", "concat"):
        module = Fpn(width=6, fusion=fusion, extra_levels=2).build(FEATURES)
        assert_trains(module, _maps())
        layers = [f"{part}.{i}" for part, n in (("laterals", 3), ("smooth", 3), ("extra", 2)) for i in range(n)]
        assert list(module.state_dict()) == [f"{layer}.{name}" for layer in layers for name in ("weight", "bias")]
