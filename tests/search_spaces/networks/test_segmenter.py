"""The segmenter's network: outputs, training, export, names."""

import pytest
import torch

from search_spaces.architectures.image_pyramid import ImageCascade
from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter
from search_spaces.blocks.context import Aspp, Psp
from search_spaces.blocks.decoders import DeepLabV3Plus, PanopticFpn, TopDown, Unet
from search_spaces.blocks.decoders_dense import UnetPlusPlus
from search_spaces.blocks.heads import Head1x1, Head3x3, Head3x3Then1x1
from search_spaces.networks.convolution import resized
from tests.search_spaces.networks.checks import assert_exports, assert_trains

TINY = Resnet(depths=(1, 1, 1), widths=(4, 6, 8), stem="strided")
ASPP = Aspp(rates=(1, 2), width=6, dropout=0.0)
DEEPLAB = DeepLabV3Plus(low_width=3, width=5)
PANOPTIC = PanopticFpn(pyramid_width=4, width=5)


@pytest.mark.parametrize("context", [None, ASPP, Psp(bins=(1, 2))], ids=["none", "aspp", "psp"])
@pytest.mark.parametrize(
    ("decoder", "head"),
    [(DEEPLAB, Head1x1()), (PANOPTIC, Head3x3()), (Unet(width=4), Head3x3Then1x1(hidden=3))],
    ids=["deeplabv3plus", "panoptic_fpn", "unet"],
)
def test_e14_it_trains_at_sizes_that_do_not_divide(context, decoder, head):
    spec = Segmenter(backbone=TINY, context=context, decoder=decoder, head=head)
    network, x = spec.build((3, 21, 34), 4), torch.randn(2, 3, 21, 34)
    assert_trains(network, x)
    found = network(x)
    features = ["features/backbone", "features/context", "features/decoder"]
    assert sorted(found) == [name for name in features if context is not None or "context" not in name] + ["out"]
    assert found["out"].shape == (2, 4, 21, 34)
    assert network.eval()(x).shape == (2, 4, 21, 34)
    assert network(torch.randn(1, 3, 40, 16)).shape == (1, 4, 40, 16)


def test_what_only_training_needs_changes_nothing_outside_of_it():
    plain = Segmenter(backbone=TINY, context=ASPP, decoder=DEEPLAB)
    more = Segmenter(backbone=TINY, context=ASPP, decoder=DEEPLAB, aux=(1, 2), edges=True)
    network, bare, x = more.build((3, 21, 34), 4), plain.build((3, 21, 34), 4), torch.randn(2, 3, 21, 34)
    assert_trains(network, x)
    found = network(x)
    assert [aux.shape for aux in found["aux"]] == [(2, 4, 21, 34)] * 2
    assert found["edges"].shape == (2, 1, 21, 34)
    weights = {name: value for name, value in network.state_dict().items() if not name.startswith("aux.")}
    bare.load_state_dict(weights)
    assert torch.equal(network.eval()(x), bare.eval()(x))


def test_heads_of_the_decoder_come_first_and_only_in_training():
    spec = Segmenter(backbone=TINY, context=None, decoder=UnetPlusPlus(width=3), aux=(-1,))
    network, x = spec.build((3, 21, 34), 4), torch.randn(2, 3, 21, 34)
    assert_trains(network, x)
    seen = {}
    for name, head in network.aux.items():
        head.register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: output}))
    found = network.train()(x)
    assert list(seen) == ["decoder0", "map2"]
    assert [aux.shape for aux in found["aux"]] == [(2, 4, 21, 34)] * 2
    assert all(torch.equal(a, resized(seen[name], (21, 34))) for name, a in zip(seen, found["aux"], strict=True))
    plain = Segmenter(backbone=TINY, context=None, decoder=UnetPlusPlus(width=3, supervision=False)).build(
        (3, 21, 34), 4
    )
    plain.load_state_dict({name: w for name, w in network.state_dict().items() if not name.startswith("aux.")})
    assert torch.equal(network.eval()(x), plain.eval()(x))


def test_e09_a_cascade_of_images_has_logits_for_each_fusion():
    light = ImageCascade(backbone=Resnet(depths=(1, 1), widths=(4, 6), stem="strided"))
    spec = Segmenter(backbone=light, context=None, decoder=TopDown(width=5, fusion="cff", supervision=True))
    network, x = spec.build((3, 32, 48), 4), torch.randn(2, 3, 32, 48)
    found = network(x)
    assert len(found["aux"]) == len(network.decoder.fusions) == 2
    assert found["features/decoder"].shape == (2, 5, 8, 12)


def test_it_can_be_exported():
    spec = Segmenter(backbone=TINY, context=Psp(bins=(1, 2)), decoder=Unet(width=4, upsample="deconv"), aux=(1,))
    assert_exports(spec.build((3, 21, 34), 4), torch.randn(2, 3, 21, 34))


def test_names_of_weights():
    spec = Segmenter(backbone=TINY, context=ASPP, decoder=DEEPLAB, aux=(0, 2), edges=True)
    names = set(spec.build((3, 16, 16), 4).state_dict())
    assert {name.partition(".")[0] for name in names} == {"backbone", "context", "decoder", "head", "aux"}
    assert {"backbone.layer2.0.conv1.weight", "head.weight", "head.bias", "aux.map0.0.0.weight"} <= names
    assert {".".join(name.split(".")[:2]) for name in names if name.startswith("aux")} == {
        "aux.map0",
        "aux.map2",
        "aux.edges",
    }
