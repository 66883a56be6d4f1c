"""The segmenter's spec: rules, space, cost, picture."""

import numpy as np
import pytest
import torch

from search_spaces.architectures.resnet import Resnet
from search_spaces.architectures.segmenter import Segmenter, segmenter
from search_spaces.blocks.base import Context, Feature, Gate, offered
from search_spaces.blocks.decoders import DeepLabV3Plus, TopDown, Unet
from search_spaces.blocks.fusion import Add, Fusion
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.template import template
from tests.search_spaces.networks.checks import assert_trains, counted_macs, total


def test_the_default_is_deeplabv3plus():
    spec = Segmenter()
    assert spec.informed() == (*Resnet().pyramid()[:3], Feature(256, 16))
    assert spec.decoded() == Feature(256, 4)
    found = cost(spec, (3, 64, 64), 21)
    resnet = 11_689_512 - 513_000
    aspp = (512 * 256 + 512) * 2 + 3 * (9 * 512 * 256 + 512) + 5 * 256 * 256 + 512
    decoder = (64 * 48 + 96) + (9 * 304 * 256 + 512) + (9 * 256 * 256 + 512)
    assert found.params == resnet + aspp + decoder + 256 * 21 + 21


def test_what_only_training_needs_costs_nothing():
    plain, more = Segmenter(), Segmenter(aux=(0, 2), edges=True)
    assert cost(plain, (3, 33, 45), 5) == cost(more, (3, 33, 45), 5)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"context": {"kind": "psp", "bins": [1, 2, 3]}}, "context/bins"),
        ({"decoder": {"kind": "deeplabv3plus", "low": 3}}, "decoder/low"),
        ({"backbone": {"kind": "resnet", "depths": [1], "widths": [8]}}, "decoder"),
        ({"aux": [4]}, "aux"),
        ({"aux": [1, 0]}, "aux"),
        ({"aux": [-5]}, "aux"),
        ({"aux": [3, -1]}, "aux"),
        ({"context": {"kind": "ssh", "width": 6}}, "context/width"),
        ({"decoder": {"kind": "unetplusplus", "depth": 4}}, "decoder/depth"),
        ({"decoder": {"kind": "iterative", "decoder": {"kind": "deeplabv3plus", "low": 3}}}, "decoder/decoder/low"),
        ({"backbone": {"kind": "image_cascade", "factors": [4]}}, "decoder"),
        ({"backbone": {"kind": "scale_attention", "scales": [0.5]}}, "backbone/scales"),
        ({"decoder": {"kind": "unet", "skip": "ad"}}, "decoder/skip"),
        ({"backbone": {"kind": "resnet", "output_stride": 5}}, "backbone/output_stride"),
        ({"decoder": {"kind": "fpn"}}, "decoder"),
        ({"context": {"kind": "asp"}}, "context"),
    ],
    ids=["divide", "low", "levels", "map", "order", "far", "twice", "quarters", "depth", "inner", "one map", "scales"]
    + ["fusion", "stride", "neck", "unknown"],
)
def test_parts_that_do_not_fit_are_refused_by_path(fields, path):
    with pytest.raises(SpecError, match=f"^{path}: "):
        Segmenter.from_data(fields)


def test_the_space_from_a_file():
    data = {"preset": "segmenter", "blocks": 5, "stem": "imagenet", "supervision": False}
    space = Space(template(data, Architecture))
    fusions, gates, contexts = len(offered(Fusion, 64)), 1 + len(offered(Gate, 64)), len(offered(Context, 128))
    assert fusions >= 5 and contexts >= 4
    # 4 allocations and 2 output strides, plain and with 2 sets of scales; one cascade.
    backbones = 4 * 2 * 3 + 1
    # None, 3 rates, 2 sorts of pooling, and one of each other context.
    informed = 1 + 3 + 2 + contexts - 2
    # deeplabv3plus, panoptic_fpn, unet, top_down; unetplusplus, fdnet, dla, tiramisu; refinenet, linknet, unpool,
    # iterative.
    decoders = 2 + (3 + 2 + 1) * fusions * gates + (1 + 2 + 2 + 4) + (2 + 2 + 1 + 2)
    assert space.cardinality() == backbones * informed * decoders * 3
    # top_down, unetplusplus, fdnet and iterative may be supervised.
    more = fusions * gates + 1 + 2 + 2
    supervised = Space(segmenter(blocks=5)).cardinality()
    assert supervised == backbones * informed * (decoders + more) * 3 * 3


def test_an_auxiliary_head_is_named_from_either_end():
    assert Segmenter(aux=(-2, -1)).aux_maps() == (2, 3) == Segmenter(aux=(2, 3)).aux_maps()
    assert Segmenter(aux=(-2,)).build((3, 16, 16), 2).stages == (2,)


class Thirds(Fusion):
    """Paper: none, this is a test."""

    size_multiple = 3

    def build(self, inputs):
        return Add().build(inputs)


class Halving(Context):
    """Paper: none, this is a test."""

    size_multiple = 2

    def outputs(self, inputs):
        return inputs[-1:]

    def build(self, inputs):
        return torch.nn.AvgPool2d(1)


def test_images_whose_maps_do_not_divide_are_refused_before_anything_is_built():
    tiny = Resnet(depths=(1, 1), widths=(4, 8), stem="strided")
    spec = Segmenter(backbone=tiny, context=Halving(), decoder=DeepLabV3Plus(low_width=3, width=5))
    assert spec.build((3, 32, 24), 2).eval()(torch.randn(1, 3, 32, 24)).shape == (1, 2, 32, 24)
    rule = r"context: height and width of the maps are multiples of 2; got \[7, 8\]; allowed images of another size"
    for refuses in (spec.build, spec.draw_graph):
        with pytest.raises(SpecError, match=f"^{rule}"):
            refuses((3, 28, 32), 2)
    nested = Segmenter(backbone=tiny, context=None, decoder=Unet(width=4, skip=Thirds()))
    with pytest.raises(SpecError, match=r"^decoder/skip: .* multiples of 3; got \[16, 16\]"):
        nested.build((3, 32, 32), 2)


def test_sampled_segmenters_train_and_cost_what_torch_counts():
    space, rng = Space(segmenter(widths=(4, 4, 8, 8), width=8, edges=True)), np.random.default_rng(1)
    for _ in range(3):
        spec = space.realize(space.sample(rng))
        assert Architecture.from_json(spec.to_json()) == spec
        with torch.device("meta"):
            assert cost(spec, (3, 37, 50), 3).macs == counted_macs(spec.build((3, 37, 50), 3), 3, 37, 50)
        assert_trains(spec.build((3, 37, 50), 3), torch.randn(2, 3, 37, 50))


def test_the_picture_shows_what_works_outside_of_training():
    spec = Segmenter(aux=(1,), edges=True)
    graph = spec.draw_graph((3, 33, 65), 5)
    assert [node.name for node in graph.nodes] == ["image", "backbone", "context", "decoder", "head"]
    assert graph.edges[-1] == ("backbone", "decoder")
    assert sum(node.params for node in graph.nodes) == cost(spec, (3, 33, 65), 5).params
    assert [node.shape for node in graph.nodes[1:]] == [(512, 3, 5), (256, 3, 5), (256, 9, 17), (5, 33, 65)]


def test_heads_of_the_decoder_are_no_part_of_the_picture():
    spec = Segmenter(decoder=TopDown(fusion="cff", supervision=True))
    assert sum(node.params for node in spec.draw_graph((3, 33, 65), 5).nodes) == cost(spec, (3, 33, 65), 5).params


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(3))
def test_draws_of_the_preset_build_run_backwards_and_cost_what_torch_counts(part):
    space, rng = Space(segmenter(edges=True)), np.random.default_rng(part)
    for _ in range(50):
        spec = space.realize(space.sample(rng))
        network = spec.build((3, 64, 64), 11).train()
        with torch.device("meta"):
            shapes = spec.build((3, 64, 64), 11)
        for size in ((64, 64), (96, 72)):
            network.zero_grad(set_to_none=True)
            found = network(torch.randn(2, 3, *size))
            assert found["out"].shape == (2, 11, *size)
            total(found).backward()
            wrong = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
            assert wrong == [], spec
            assert cost(spec, (3, *size), 11).macs == counted_macs(shapes, 3, *size), spec
