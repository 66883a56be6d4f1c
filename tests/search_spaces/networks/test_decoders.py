"""Decoders: shapes, training, parameters by formula, names."""

import itertools

import pytest
import torch

from search_spaces.blocks.base import Feature
from search_spaces.blocks.decoders import DeepLabV3Plus, PanopticFpn, Unet
from tests.search_spaces.networks.checks import assert_trains

FEATURES = (Feature(6, 2), Feature(8, 4), Feature(10, 8))
FLAT = (Feature(6, 4), Feature(8, 8), Feature(10, 8))
SPECS = [
    DeepLabV3Plus(width=8, low_width=5),
    DeepLabV3Plus(width=8, low=1),
    *[PanopticFpn(pyramid_width=6, width=4, merge=m, fusion=f) for m in ("add", "concat") for f in ("add", "concat")],
    *[Unet(width=4, upsample=u, skip=s) for u, s in itertools.product(("bilinear", "deconv"), ("concat", "add"))],
]


def _maps(features, image_size=(13, 22)):
    return [torch.randn(2, *feature.shape(image_size)) for feature in features]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(map(str, spec.to_data().values())))
@pytest.mark.parametrize("features", [FEATURES, FLAT], ids=["strides", "dilated"])
def test_they_train_on_sizes_that_do_not_divide(spec, features):
    module, maps = spec.build(features), _maps(features)
    assert module(maps).shape == (2, *spec.outputs(features)[0].shape((13, 22)))
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


def test_each_level_of_the_panoptic_pyramid_is_doubled_as_often_as_its_stride_asks():
    module = PanopticFpn(pyramid_width=6, width=4).build(FEATURES)
    assert [len(branch) for branch in module.branches] == [1, 1, 2]
    assert [len(branch) for branch in PanopticFpn().build(FLAT).branches] == [1, 1, 1]


def test_every_map_has_a_say():
    for spec in SPECS:
        module, maps = spec.build(FEATURES), [x.requires_grad_() for x in _maps(FEATURES)]
        module(maps).square().sum().backward()
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
