"""The network of a backbone with further input channels."""

import torch

from search_spaces.architectures.informed import Informed
from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter
from tests.search_spaces.networks.checks import assert_exports, assert_trains

SMALL = Resnet(depths=(1, 1), widths=(4, 8), stem="cifar")


def test_c25_the_backbone_sees_the_image_and_what_is_added() -> None:
    network, image = Informed(backbone=SMALL).build((3, 9, 14), 5).eval(), torch.randn(2, 3, 9, 14)
    seen = network.inputs(image)
    assert seen.shape == (2, 5, 9, 14) and torch.equal(seen[:, :3], image)
    assert torch.equal(network(image), network.backbone(seen))
    assert_trains(network, image)
    assert_exports(network, image)


def test_c25_a_segmenter_may_know_where_a_pixel_lies() -> None:
    inputs = {"kind": "input_channels", "added": "xy+shape"}
    backbone = Informed.from_data({"backbone": SMALL.to_data(), "inputs": inputs})
    network = Segmenter(backbone=backbone, context=None).build((3, 16, 16), 3)
    assert_trains(network, torch.randn(2, 3, 16, 16))
