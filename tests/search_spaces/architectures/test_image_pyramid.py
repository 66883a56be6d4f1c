"""Backbones around a backbone, as specs."""

import pytest

from search_spaces.architectures.image_pyramid import ImageCascade, ScaleAttention
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.base import Backbone, Feature
from search_spaces.cost import cost
from search_spaces.errors import SpecError

TINY = Resnet(depths=(1, 1), widths=(4, 6), stem="strided")


def test_a_cascade_has_one_map_a_size():
    assert ImageCascade().pyramid() == (Feature(128, 8), Feature(128, 16), Feature(128, 32))  # the strides of ICNet
    assert ImageCascade(backbone=TINY, factors=(1, 3)).pyramid() == (Feature(6, 4), Feature(6, 12))


def test_attention_to_scale_keeps_the_maps():
    assert ScaleAttention(backbone=TINY).pyramid() == TINY.pyramid()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "image_cascade", "factors": [2, 1]}, r"^factors: the factors ascend; got \[2, 1\]"),
        ({"kind": "image_cascade", "factors": []}, "^factors: "),
        ({"kind": "scale_attention", "scales": [0.5, 1.0]}, r"^scales: the scales descend from 1; got \[0.5, 1.0\]"),
        ({"kind": "scale_attention", "scales": [0.75, 0.5]}, "^scales: the scales descend from 1"),
        ({"kind": "scale_attention", "backbone": {"kind": "resnet", "output_stride": 5}}, "^backbone/output_stride: "),
    ],
)
def test_wrong_sizes_are_refused(data, message):
    with pytest.raises(SpecError, match=message):
        Backbone.from_data(data)


def test_smaller_images_cost_their_share():
    whole = cost(TINY, (3, 64, 64), 5)
    macs = whole.macs - 6 * 5
    cascade = cost(ImageCascade(backbone=TINY), (3, 64, 64), 5)
    assert cascade.params == whole.params
    assert cascade.macs == macs + macs // 4 + macs // 16 + 6 * 5
    single = cost(ScaleAttention(backbone=TINY, scales=(1.0,)), (3, 64, 64), 5)
    assert (single.params, single.macs) == (whole.params, whole.macs)
    double = cost(ScaleAttention(backbone=TINY, scales=(1.0, 0.5), hidden=7), (3, 64, 64), 5)
    attention = 9 * 12 * 7 + 7 * 2
    assert double.params == whole.params + attention + 7 + 2
    assert double.macs == macs + macs // 4 + attention * 16 * 16 + 6 * 5
