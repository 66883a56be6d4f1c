"""Decoders: shapes, training, parameters by formula, names."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from search_spaces.blocks.base import Feature, Gate
from search_spaces.blocks.decoders import DeepLabV3Plus, PanopticFpn, TopDown, Unet
from search_spaces.blocks.fusion import CascadeFusion, WeightedAdd
from search_spaces.networks.decoders import parts_of
from tests.search_spaces.networks.checks import assert_trains

FEATURES = (Feature(6, 2), Feature(8, 4), Feature(10, 8))
FLAT = (Feature(6, 4), Feature(8, 8), Feature(10, 8))
FUSIONS = ("add", "concat", "weighted_add", "product", "cff")
SPECS = [
    DeepLabV3Plus(width=8, low_width=5),
    DeepLabV3Plus(width=8, low=1),
    *[PanopticFpn(pyramid_width=6, width=4, merge=m, fusion=f) for m, f in itertools.product(FUSIONS[:3], FUSIONS)],
    *[Unet(width=4, upsample=u, skip=s) for u, s in itertools.product(("bilinear", "deconv"), FUSIONS)],
    *[TopDown(width=6, fusion=f, supervision=f == "cff") for f in FUSIONS],
]


def _name(spec):
    values = (value["kind"] if isinstance(value, dict) else value for value in spec.to_data().values())
    return "-".join(map(str, values))


def _maps(features, image_size=(13, 22)):
    return [torch.randn(2, *feature.shape(image_size)) for feature in features]


@pytest.mark.parametrize("spec", SPECS, ids=_name)
@pytest.mark.parametrize("features", [FEATURES, FLAT], ids=["strides", "dilated"])
def test_they_train_on_sizes_that_do_not_divide(spec, features):
    module, maps = spec.build(features), _maps(features)
    assert parts_of(module(maps))[0].shape == (2, *spec.outputs(features)[0].shape((13, 22)))
    assert_trains(module, maps)


def test_parameters_by_formula():
    def params(spec):
        return sum(p.numel() for p in spec.build(FEATURES).parameters())

    assert params(DeepLabV3Plus(width=8, low_width=5)) == (6 * 5 + 10) + 9 * (10 + 5) * 8 + 16 + 9 * 8 * 8 + 16
    level_1 = 9 * (10 + 8) * 8 + 16 + 9 * 8 * 8 + 16
    level_0 = 9 * (8 + 6) * 4 + 8 + 9 * 4 * 4 + 8
    assert params(Unet(width=4)) == level_1 + level_0
    deconv = (10 * 8 * 4 + 8 + 9 * (8 + 8) * 8 + 576 + 32) + (8 * 4 * 4 + 4 + 9 * (4 + 6) * 4 + 144 + 16)
    assert params(Unet(width=4, upsample="deconv")) == deconv


def test_e05_each_level_of_the_panoptic_pyramid_is_doubled_as_often_as_its_stride_asks():
    module = PanopticFpn(pyramid_width=6, width=4).build(FEATURES)
    assert [len(branch) for branch in module.branches] == [1, 1, 2]
    assert [len(branch) for branch in PanopticFpn().build(FLAT).branches] == [1, 1, 1]


def test_every_map_has_a_say():
    for spec in SPECS:
        module, maps = spec.build(FEATURES), [x.requires_grad_() for x in _maps(FEATURES)]
        parts_of(module(maps))[0].square().sum().backward()
        read = (spec.low, 2) if isinstance(spec, DeepLabV3Plus) else (0, 1, 2)
        assert [i for i, x in enumerate(maps) if x.grad is not None and x.grad.abs().sum() > 0] == list(read)


def test_names_of_weights():
    def parts(spec):
        return {name.partition(".")[0] for name in spec.build(FEATURES).state_dict()}

    assert parts(DeepLabV3Plus()) == {"reduce", "refine"}
    assert parts(PanopticFpn(merge="concat")) == {"pyramid", "branches", "merge"}
    names = set(Unet(width=4, upsample="deconv", skip="add").build(FEATURES).state_dict())
    assert {"levels.0.up.weight", "levels.1.project.0.weight", "levels.1.refine.1.1.running_var"} <= names
    assert "levels.0.align.weight" in Unet(width=4, skip="add").build(FEATURES).state_dict()


class Closed(torch.nn.Module):
    """A gate that lets nothing through."""

    def forward(self, x, guide):
        assert x.shape[2] >= guide.shape[2]
        return x * 0


class ClosedGate(Gate):
    """Paper: none, this is a test."""

    def build(self, channels, guide):
        assert (channels, guide) in {(8, 10), (6, 8), (6, 6)}  # the backbone's channels, or those of a lateral
        return Closed()


@pytest.mark.parametrize("decoder", [Unet(width=4, skip="concat"), TopDown(width=6), PanopticFpn(pyramid_width=6)])
def test_a_closed_gate_is_a_skip_left_out(decoder):
    gated = type(decoder)(**{**dict(decoder), "gate": ClosedGate()}).build(FEATURES).eval()
    maps = _maps(FEATURES)
    other = [*_maps(FEATURES)[:2], maps[2]]
    assert torch.equal(gated(maps), gated(other))
    gated.load_state_dict(decoder.build(FEATURES).state_dict())  # this gate has no weights
    plain = decoder.build(FEATURES).eval()
    assert not torch.equal(plain(maps), plain(other))


def test_e06_dropping_a_skip_changes_channels_there_alone():
    unet = dict(Unet(width=4).build(FEATURES).named_parameters())
    narrow = (Feature(1, 2), *FEATURES[1:])
    shapes = {name for name, p in Unet(width=4).build(narrow).named_parameters() if p.shape != unet[name].shape}
    assert shapes == {"levels.1.refine.0.0.weight"}


def test_e04_the_merger_of_weighted_levels_is_the_mean_of_their_predictions():
    module = PanopticFpn(pyramid_width=6, width=4, merge=WeightedAdd()).build(FEATURES).eval()
    head, maps, seen = torch.nn.Conv2d(4, 3, 1), _maps(FEATURES), []
    module.fuse.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs[0]))
    assert torch.allclose(head(module(maps)), torch.stack([head(x) for x in seen]).mean(0), atol=1e-5)
    assert all(x.shape == (2, 4, 7, 11) for x in seen)  # all branches land on the finest size


def test_top_down_by_addition_is_the_sum_of_reduced_maps():
    module, maps = TopDown(width=6).build(FEATURES).eval(), _maps(FEATURES)
    laterals = [lateral(x) for lateral, x in zip(module.laterals, maps, strict=True)]
    middle = laterals[1] + F.interpolate(laterals[2], size=(4, 6), mode="bilinear")
    expected = laterals[0] + F.interpolate(middle, size=(7, 11), mode="bilinear")
    assert torch.allclose(module(maps), expected, atol=1e-6)


def test_e09_the_guidance_of_each_cascade_fusion_is_its_coarse_map():
    spec = TopDown(width=6, fusion=CascadeFusion(), supervision=True)
    module, maps = spec.build(FEATURES), _maps(FEATURES)
    coarse = []
    for fusion in module.fusions:
        fusion.register_forward_pre_hook(lambda _, inputs: coarse.append(inputs[0][1]))
    out, aux = parts_of(module(maps))
    assert out.shape == (2, 6, 7, 11)
    assert all(torch.equal(a, b) for a, b in zip(aux, reversed(coarse), strict=True))
    assert [tuple(x.shape[1:]) for x in aux] == [f.shape((13, 22)) for f in spec.supervised(FEATURES)]
    assert isinstance(module.eval()(maps), torch.Tensor)
