"""Networks that see a margin."""

import torch
from torch.nn import functional as F

from search_spaces.architectures.padded import Padded
from search_spaces.architectures.resnet import Resnet

SMALL = Resnet(depths=(1, 1), widths=(4, 8), stem="cifar")


def test_b12_maps_are_those_of_the_padded_image_cut_to_the_image() -> None:
    features, image = (
        Padded(backbone=SMALL, margin=4, mode="reflect").build_features(3).eval(),
        torch.randn(1, 3, 9, 14),
    )
    fine, coarse = features(image)
    assert fine.shape[2:] == (9, 14) and coarse.shape[2:] == (5, 7)
    whole = features.backbone(F.pad(image, (4, 4, 4, 4), mode="reflect"))
    assert torch.equal(fine, whole[0][:, :, 4:13, 4:18])
    # A box of one step at the border covers a value that has seen what lies beyond it.
    assert torch.equal(coarse, whole[1][:, :, 2:7, 2:9])


def test_without_a_margin_nothing_changes() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        padded = Padded(backbone=SMALL, margin=0).build((3, 8, 8), 2).eval()
        image = torch.randn(2, 3, 8, 8)
        assert torch.equal(padded(image), padded.backbone(image))
