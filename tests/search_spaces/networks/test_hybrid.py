"""The hybrid task cascade: without its flows a cascade, with them stages that see the semantic branch and masks."""

import pytest
import torch

from search_spaces.blocks.anchors import GridAnchors
from search_spaces.blocks.base import Feature
from search_spaces.blocks.cascade import Cascade, HybridCascade
from search_spaces.blocks.regions import RoiAlign

FEATURES = (Feature(8, 4), Feature(8, 8))
ANCHORS = GridAnchors(scales=(1.0,))
SIZE = (20, 30)
SHARED = {"candidates": 40, "proposals": 6, "hidden": 12, "pooling": RoiAlign(size=3, sampling=1), "stages": 2}
MASKS = {"masks": True, "mask_depth": 1, "mask_width": 6, "mask_size": 4}


def _maps() -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return [torch.randn(2, 8, 5, 8, generator=rng), torch.randn(2, 8, 3, 4, generator=rng)]


def _built(**fields):
    return HybridCascade(**SHARED, semantic_depth=1, **fields).build(FEATURES, 3, ANCHORS).eval()


def test_f11_without_information_flow_it_is_a_cascade_with_masks():
    cascade = Cascade(**SHARED).build(FEATURES, 3, ANCHORS).eval()
    hybrid = _built(semantic=False, mask_flow=False, interleaved=False, **MASKS)
    missing = hybrid.load_state_dict(cascade.state_dict(), strict=False)
    assert all(name.startswith("masks.") for name in missing.missing_keys) and not missing.unexpected_keys
    found = hybrid(_maps(), SIZE)
    *mine, masks = hybrid.final(found)
    assert all(torch.equal(a, b) for a, b in zip(mine, cascade.final(cascade(_maps(), SIZE)), strict=True))
    assert masks.shape == (2, 6, 3, 8, 8)
    # The masks of the second stage owe nothing to those of the first.
    before = hybrid.mask_logits(found, found["proposals"], 1)
    with torch.no_grad():
        for parameter in hybrid.masks[0].parameters():
            parameter.zero_()
    assert torch.equal(hybrid.mask_logits(found, found["proposals"], 1), before)


def test_f11_masks_see_those_of_the_stage_before():
    hybrid = _built(semantic=False, **MASKS)
    found = hybrid(_maps(), SIZE)
    first, second = (hybrid.mask_logits(found, found["proposals"], stage) for stage in (0, 1))
    with torch.no_grad():
        hybrid.masks[0].convs[0].bias.add_(1.0)
    assert not torch.equal(hybrid.mask_logits(found, found["proposals"], 1), second)
    assert not torch.equal(hybrid.mask_logits(found, found["proposals"], 0), first)
    # m_2 = M_2(x + G_2(M_1(x))).
    x = hybrid.mask_poolings[0](found["pyramid"], found["proposals"]).flatten(0, 1)
    one, two = hybrid.masks
    features = two.convs(x + two.flow(one.convs(x)))
    expected = two.logits(two.up(features).relu()).view(2, 6, 3, 8, 8)
    assert torch.allclose(hybrid.mask_logits(found, found["proposals"], 1), expected, atol=1e-6)


def test_f11_regions_see_the_semantic_branch():
    hybrid = _built()
    found = hybrid(_maps(), SIZE)
    assert found["semantic"].shape == (2, 4, 3, 4) and found["context"].shape == (2, 8, 3, 4)
    boxes = found["proposals"]
    plain = hybrid.stages[0].pooling(found["pyramid"], boxes)
    more = RoiAlign(size=3, sampling=1).build((Feature(8, 8),))([found["context"]], boxes)
    assert torch.allclose(hybrid.regions(found, boxes, 0), plain + more)
    final = hybrid.final(found)
    assert [tuple(x.shape) for x in final] == [(2, 6, 4), (2, 6, 4), (2, 6, 4)]


def test_f11_one_level_is_enough():
    module = HybridCascade(**SHARED, semantic_depth=0).build(FEATURES[:1], 3, ANCHORS).eval()
    assert module(_maps()[:1], SIZE)["semantic"].shape == (2, 4, 5, 8)


def test_a_head_without_masks_says_so():
    hybrid = _built()
    with pytest.raises(TypeError, match="this head has no masks; set masks to true"):
        hybrid.mask_logits({}, torch.zeros(2, 1, 4), 0)
