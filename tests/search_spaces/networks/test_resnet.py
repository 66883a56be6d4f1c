"""The residual network: names, training, export, and dilation that stands for strides."""

import pytest
import torch

from search_spaces.architectures.resnet import Resnet
from search_spaces.build import set_drop_path
from tests.search_spaces.networks.checks import assert_exports, assert_trains

WIDTHS = (4, 6, 8)


def _small(**fields) -> Resnet:
    return Resnet(depths=(1, 2, 1), widths=WIDTHS, **fields)


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("stem", ["imagenet", "strided", "cifar"])
@pytest.mark.parametrize("image_size", [(32, 32), (29, 43)], ids=str)
def test_it_trains_and_its_maps_are_what_the_spec_says(block, stem, image_size):
    spec = _small(block=block, stem=stem, output_stride=None)
    network, x = spec.build((3, *image_size), 5), torch.randn(2, 3, *image_size)
    assert_trains(network, x)
    found = network(x)
    assert list(found) == ["out", "features/stage1", "features/stage2", "features/stage3"]
    assert found["out"].shape == (2, 5)
    maps = spec.build_features(3)(x)
    assert [tuple(m.shape[1:]) for m in maps] == [feature.shape(image_size) for feature in spec.pyramid()]
    assert [found[f"features/stage{i}"].shape for i in (1, 2, 3)] == [m.shape for m in maps]


def test_it_can_be_exported():
    assert_exports(_small().build((3, 29, 31), 5), torch.randn(2, 3, 29, 31))


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("image_size", [(32, 32), (27, 38)], ids=str)
def test_b10_with_dilation_for_strides_every_other_value_is_the_same(block, image_size):
    strided = _small(block=block, stem="cifar")
    dilated = _small(block=block, stem="cifar", output_stride=1)
    a, b = strided.build_features(3).eval(), dilated.build_features(3).eval()
    b.load_state_dict(a.state_dict())
    x = torch.randn(1, 3, *image_size)
    for i, (coarse, fine) in enumerate(zip(a(x), b(x), strict=True)):
        assert fine.shape[2:] == image_size
        assert torch.allclose(fine[:, :, :: 2**i, :: 2**i], coarse, atol=1e-5)


def test_names_of_weights_are_torchvisions():
    names = set(Resnet(depths=(1, 1), widths=(4, 8)).build((3, 8, 8), 2).state_dict())
    norm = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}
    convs = {"conv1", "layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.0.conv2", "layer2.0.downsample.0"}
    norms = {"bn1", "layer1.0.bn1", "layer1.0.bn2", "layer2.0.bn1", "layer2.0.bn2", "layer2.0.downsample.1"}
    expected = {f"{conv}.weight" for conv in convs} | {f"{n}.{part}" for n in norms for part in norm}
    assert names == expected | {"fc.weight", "fc.bias"}
    bottleneck = set(Resnet(depths=(1,), widths=(4,), block="bottleneck").build((3, 8, 8), 2).state_dict())
    assert {"layer1.0.conv3.weight", "layer1.0.bn3.weight", "layer1.0.downsample.0.weight"} <= bottleneck


def test_residuals_can_be_dropped_ever_more_towards_the_end():
    network = _small().build((3, 16, 16), 5)
    assert set_drop_path(network, 0.5) == 4
    assert [block.drop_path.depth for stage in (network.layer1, network.layer2, network.layer3) for block in stage] == [
        0.25,
        0.5,
        0.75,
        1.0,
    ]
