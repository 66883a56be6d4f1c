"""The feature pyramid against its definition."""

import torch
from torch.nn import functional as F

from search_spaces.blocks.base import Feature, Gate
from search_spaces.blocks.context import Ssh
from search_spaces.blocks.necks import Cem, Fpn, Levelwise
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


def test_e04_without_laterals_the_coarsest_map_is_only_enlarged():
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


def test_weighted_addition_starts_as_the_mean():
    module, maps = Fpn(width=6, fusion="weighted_add").build(FEATURES), _maps()
    top, lateral = module.laterals[2](maps[2]), module.laterals[1](maps[1])
    middle = (lateral + F.interpolate(top, size=maps[1].shape[2:])) / 2
    assert torch.allclose(module(maps)[1], module.smooth[1](middle), atol=1e-6)
    assert "fusions.1.weights" in module.state_dict()


def test_a_low_level_pyramid_starts_further_down():
    module, maps = Fpn(width=6, fusion="product", start=1).build(FEATURES), _maps()
    laterals = [lateral(x) for lateral, x in zip(module.laterals, maps, strict=True)]
    bottom = laterals[0] * F.interpolate(laterals[1], size=maps[0].shape[2:])
    for found, smooth, x in zip(module(maps), module.smooth, (bottom, laterals[1], laterals[2]), strict=True):
        assert torch.equal(found, smooth(x))


class Halving(torch.nn.Module):
    """A gate that leaves half of the map and remembers its guide."""

    def __init__(self, channels, guide):
        super().__init__()
        self.channels, self.guide, self.seen = channels, guide, None

    def forward(self, x, guide):
        self.seen = tuple(guide.shape)
        return x / 2


class HalvingGate(Gate):
    """Paper: none, this is a test."""

    def build(self, channels, guide):
        return Halving(channels, guide)


def test_gates_weigh_the_laterals_by_the_map_above():
    module, maps = Fpn(width=6, gate=HalvingGate()).build(FEATURES), _maps()
    top = module.laterals[2](maps[2])
    middle = module.laterals[1](maps[1]) / 2 + F.interpolate(top, size=maps[1].shape[2:])
    assert torch.equal(module(maps)[1], module.smooth[1](middle))
    assert [gate.seen for gate in module.gates] == [tuple(middle.shape), tuple(top.shape)]


def test_e10_context_enhancement_without_the_coarsest_map_is_a_1x1_convolution():
    inputs = (Feature(3, 4), Feature(4, 8), Feature(5, 16))
    module, maps = Cem(width=6).build(inputs), _maps()
    (found,) = module((*maps[:2], torch.zeros_like(maps[2])))
    biases = module.coarse.bias + module.whole.bias
    assert torch.allclose(found, module.fine(maps[1]) + biases[:, None, None], atol=1e-6)
    (found,) = module(maps)
    coarse = F.interpolate(module.coarse(maps[2]), size=maps[1].shape[2:], mode="bilinear")
    whole = module.whole(maps[2].flatten(2).mean(2))
    assert torch.allclose(found, module.fine(maps[1]) + coarse + whole[..., None, None], atol=1e-5)


def test_contexts_behind_a_neck_share_nothing():
    spec = Levelwise(neck=Fpn(width=8), context=Ssh())
    module, maps = spec.build(FEATURES).eval(), _maps()
    inner = module.neck(maps)
    assert all(torch.equal(y, c(x)) for y, c, x in zip(module(maps), module.contexts, inner, strict=True))
    assert len({id(p) for p in module.contexts.parameters()}) == 3 * len(list(module.contexts[0].parameters()))
    assert_trains(module, maps)
