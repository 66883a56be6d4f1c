"""Backbones that see an image in several sizes, against their definitions."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces.architectures.image_pyramid import ImageCascade, ScaleAttention
from search_spaces.architectures.resnet import Resnet
from tests.search_spaces.networks.checks import assert_exports, assert_trains, counted_macs

TINY = Resnet(depths=(1, 1), widths=(4, 6), stem="strided")
CASCADE = ImageCascade(backbone=TINY)
SCALES = ScaleAttention(backbone=TINY, hidden=5)


@pytest.mark.parametrize("spec", [CASCADE, SCALES, ScaleAttention(backbone=CASCADE, scales=(1.0, 0.6))])
def test_they_train_and_are_exported(spec):
    network, x = spec.build((3, 27, 38), 4), torch.randn(2, 3, 27, 38)
    assert_trains(network, x)
    assert_exports(network, x)
    found = network.train()(x)
    assert found["out"].shape == (2, 4)
    shapes = [tuple(x.shape[1:]) for name, x in found.items() if name.startswith("features/map")]
    assert shapes == [feature.shape((27, 38)) for feature in spec.pyramid()]
    with torch.device("meta"):
        assert counted_macs(spec.build((3, 27, 38), 4), 3, 27, 38) > 0


def test_a_cascade_takes_the_coarsest_map_of_each_size():
    module, image = CASCADE.build_features(3).eval(), torch.randn(2, 3, 27, 38)
    found = module(image)
    for x, size in zip(found, [(27, 38), (14, 19), (7, 10)], strict=True):
        smaller = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
        assert torch.allclose(x, module.backbone(smaller)[-1], atol=1e-6)


def test_e13_one_scale_is_the_backbone():
    module, image = ScaleAttention(backbone=TINY, scales=(1.0,)).build_features(3).eval(), torch.randn(2, 3, 27, 38)
    assert {name.partition(".")[0] for name in module.state_dict()} == {"backbone"}
    assert all(torch.equal(a, b) for a, b in zip(module(image), module.backbone(image), strict=True))


def test_e13_weights_sum_to_one_at_each_position():
    module = SCALES.build_features(3).eval()
    weights = module.weights([torch.randn(2, 6, 7, 9) for _ in range(3)])
    assert weights.shape == (2, 3, 7, 9) and weights.min() > 0
    assert torch.allclose(weights.sum(1), torch.ones(2, 7, 9), atol=1e-6)
    assert weights.std(1).max() > 0.01


def test_without_a_preference_it_is_the_mean_of_the_scales():
    module, image = SCALES.build_features(3).eval(), torch.randn(2, 3, 28, 40)
    for weight in module.attention.parameters():
        torch.nn.init.zeros_(weight)
    sizes = [(28, 40), (21, 30), (14, 20)]
    runs = [module.backbone(F.interpolate(image, size=s, mode="bilinear", align_corners=False)) for s in sizes]
    for found, level in zip(module(image), zip(*runs, strict=True), strict=True):
        same = [F.interpolate(x, size=found.shape[2:], mode="bilinear", align_corners=False) for x in level]
        assert torch.allclose(found, torch.stack(same).mean(0), atol=1e-5)
