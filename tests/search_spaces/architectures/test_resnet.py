"""The residual network's spec: published numbers, plan, rules, space, picture."""

import numpy as np
import pytest
import torch

from search_spaces.architectures.resnet import Resnet, resnet
from search_spaces.blocks.base import Feature
from search_spaces.blocks.stems import CifarStem, Stem, StridedStem
from search_spaces.blocks.units import Bottleneck, Unit
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.errors import SpecError
from search_spaces.space import Space
from search_spaces.spec import kinds
from search_spaces.template import template
from tests.search_spaces.networks.checks import counted_macs

RESNET50_MACS = 70_899_302_400


def _backbone(*depths) -> tuple[int, int]:
    found = cost(Resnet(depths=depths, block=Bottleneck()), (3, 800, 1088), 1)
    return found.params - 2049, found.macs - 2048


def test_b01_published_numbers_of_parameters():
    assert cost(Resnet(), (3, 224, 224), 1000).params == 11_689_512
    assert cost(Resnet(depths=(3, 4, 6, 3), block=Bottleneck()), (3, 224, 224), 1000).params == 25_557_032


@pytest.mark.parametrize(
    ("depths", "params", "macs"),
    [
        ((3, 4, 6, 3), 23_508_032, RESNET50_MACS),
        ((1, 3, 5, 7), 39_820_352, RESNET50_MACS),
        ((3, 4, 23, 3), 42_500_160, 135_294_976_000),
        ((2, 3, 17, 11), 71_147_328, 135_294_976_000),
    ],
    ids=["50", "cr-50", "101", "cr-101"],
)
def test_allocations_of_blocks_cost_the_same(depths, params, macs):
    assert _backbone(*depths) == (params, macs)


def test_a_sampled_allocation_costs_the_same_and_dilation_nothing():
    space = Space(resnet(blocks=16, block="bottleneck", dilations=(1, 2, 3)))
    assert space.cardinality() == 455 * 3**16
    spec = space.realize(space.sample(np.random.default_rng(0)))
    found = cost(spec, (3, 800, 1088), 1)
    assert sum(spec.depths) == len(spec.dilations) == 16
    assert found.macs - 2048 == RESNET50_MACS
    assert found.params == cost(Resnet(depths=spec.depths, block=Bottleneck()), (3, 8, 8), 1).params


def test_the_counters_agree():
    spec = Resnet(depths=(1, 2, 1), widths=(4, 6, 8), block=Bottleneck(), stem=StridedStem(), output_stride=4)
    with torch.device("meta"):
        network = spec.build((3, 45, 61), 7)
    assert cost(spec, (3, 45, 61), 7).macs == counted_macs(network, 3, 45, 61)


def test_b10_the_pyramid():
    strides = [(4, 8, 16, 32), (4, 8, 16, 16), (4, 8, 8, 8), (4, 4, 4, 4)]
    for output_stride, expected in zip((None, 16, 8, 4), strides, strict=True):
        features = Resnet(output_stride=output_stride).pyramid()
        assert [feature.stride for feature in features] == list(expected)
    assert Resnet(block=Bottleneck(), stem=CifarStem()).pyramid() == tuple(Feature(256 * 2**i, 2**i) for i in range(4))


def test_dilation_doubles_where_a_stride_is_given_up():
    plan = Resnet(output_stride=8, dilations=(1, 1, 1, 1, 1, 3, 1, 1)).plan()
    assert [[(b.stride, b.before, b.after, b.dilation) for b in stage] for stage in plan] == [
        [(1, 1, 1, 1), (1, 1, 1, 1)],
        [(2, 1, 1, 1), (1, 1, 1, 1)],
        [(1, 1, 2, 1), (1, 2, 2, 3)],
        [(1, 2, 4, 1), (1, 4, 4, 1)],
    ]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"depths": (1, 1)}, "widths"),
        ({"dilations": (1, 1)}, "dilations"),
        ({"output_stride": 64}, "output_stride"),
        ({"output_stride": 2}, "output_stride"),
        ({"depths": (0, 1, 1, 1)}, "depths/0"),
        ({"depths": ()}, "depths"),
        ({"block": "basics"}, "block"),
    ],
    ids=["widths", "dilations", "too-coarse", "too-fine", "no-blocks", "no-stages", "block"],
)
def test_impossible_fields_are_refused_by_path(fields, path):
    with pytest.raises(SpecError, match=f"^{path}: "):
        Resnet.from_data(fields)


def test_the_space_from_a_file():
    data = {"preset": "resnet", "blocks": 6, "widths": [4, 8], "factors": [0.5, 1.0], "stem": "cifar"}
    space = Space(template(data, Architecture))
    assert [point.path for point in space.points()] == ["depths", "widths/0", "widths/1"]
    assert space.cardinality() == 5 * 2 * 2
    for candidate in space.enumerate():
        spec = space.realize(candidate)
        assert Architecture.from_json(spec.to_json()) == spec


def test_the_picture_has_a_node_a_stage_and_all_parameters():
    graph = Resnet().draw_graph((3, 64, 48), 1000)
    assert [node.name for node in graph.nodes] == ["image", "stem", *[f"stage {i}" for i in range(1, 5)], "classifier"]
    assert sum(node.params for node in graph.nodes) == 11_689_512
    assert graph.nodes[3].shape == (128, 8, 6)
    assert graph.nodes[3].label == "stage 2: 2 basic blocks"


def test_b09_squeeze_and_excitation_behind_every_residual() -> None:
    # Each of the units adds 2 C^2 / 16 + C / 16 + C parameters.
    more = 2 * (580 + 2184 + 8464 + 33312)
    spec = Resnet.from_data({"attention": "se"})
    assert cost(spec, (3, 224, 224), 1000).params == 11_689_512 + more == 11_778_592
    late = Resnet.from_data({"attention": "se", "attention_stages": [2, 3]})
    assert cost(late, (3, 224, 224), 1000).params == 11_689_512 + 2 * (8464 + 33312)


def test_attention_behind_stages() -> None:
    spec = Resnet.from_data({"context": "se", "context_stages": [3]})
    assert cost(spec, (3, 64, 64), 10).params == cost(Resnet(), (3, 64, 64), 10).params + 33312


@pytest.mark.parametrize("unit", sorted(kinds(Unit)))
@pytest.mark.parametrize("stem", sorted(kinds(Stem)))
def test_every_unit_and_stem_builds_and_costs_what_torch_counts(unit, stem) -> None:
    fields = {"depths": [2, 1], "widths": [8, 12], "block": unit, "stem": stem}
    for more in ({}, {"reduction": "parallel_reduction", "average": True, "norm": "group", "attention": "se"}):
        spec = Resnet.from_data(fields | more)
        network, image = spec.build((3, 21, 18), 5), torch.randn(2, 3, 21, 18)
        found = network(image)
        maps = [found[f"features/stage{i}"] for i in (1, 2)]
        assert [tuple(x.shape[1:]) for x in maps] == [feature.shape((21, 18)) for feature in spec.pyramid()]
        found["out"].square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        predicted = cost(spec, (3, 21, 18), 5)
        with torch.device("meta"):
            meta = spec.build((3, 21, 18), 5)
        assert predicted.macs == counted_macs(meta, 3, 21, 18)
        assert predicted.params == sum(p.numel() for p in network.parameters())
        assert Architecture.from_json(spec.to_json()) == spec


def test_gates_are_for_units_that_keep_their_shape() -> None:
    spec = Resnet.from_data({"gate": "adaptive"})
    assert spec.gated() == ((0, 1), (1, 1), (2, 1), (3, 1))
    with pytest.raises(SpecError, match="gate: a gate leaves out units with a shortcut; got 'dense_unit'"):
        Resnet.from_data({"gate": "skip", "block": "dense_unit"})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"block": "inception", "widths": [6, 8, 8, 8]}, "block: an inception unit has branches of a quarter"),
        ({"attention_stages": [1, 1]}, "attention_stages: stages stand in ascending order"),
        ({"conv_stages": [4]}, "conv_stages: stages stand in ascending order"),
        ({"stem": "imagnet"}, "stem: unknown kind of stem, did you mean 'imagenet'"),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_path(fields, message) -> None:
    with pytest.raises(SpecError, match=f"^{message}"):
        Resnet.from_data(fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"conv": {"kind": "asymmetric", "groups": 3}}, "conv/groups: 8 channels in and 8 out do not divide"),
        ({"conv": {"kind": "heterogeneous", "parts": 16}, "block": "bottleneck"}, "conv/parts: 8 channels in and 8"),
        ({"conv": "octave", "block": {"kind": "inception"}, "widths": [6, 8]}, "block: an inception unit has branches"),
    ],
)
def test_what_a_convolution_refuses_is_named_by_its_own_path(fields, message) -> None:
    with pytest.raises(SpecError, match=f"^{message}"):
        Resnet.from_data({"depths": [1, 1], "widths": [8, 16], **fields})


def test_a06_maps_of_odd_sizes_are_refused_before_anything_is_built() -> None:
    fields = {"kind": "resnet", "depths": [1, 1, 1], "widths": [8, 8, 8], "stem": "strided", "conv": "octave"}
    rule = r"height and width of the maps are multiples of 2; got \[5, 5\]; allowed images of another size"
    wrapped = {
        "conv": fields,
        "backbone/conv": {"kind": "segmenter", "backbone": fields},
        "backbone/backbone/conv": {"kind": "detector", "backbone": {"kind": "padded", "margin": 8, "backbone": fields}},
    }
    for path, data in wrapped.items():
        spec = Architecture.from_data(data)
        for refuses in (spec.build, spec.draw_graph):
            size = 24 if "padded" in str(data) else 40
            with pytest.raises(SpecError, match=f"^{path}: {rule}"):
                refuses((3, size, size), 2)
        assert spec.build((3, 64, 64), 2) is not None
    # Only the stages that have it count.
    early = Resnet.from_data({**fields, "conv_stages": [0, 1]})
    assert early.build((3, 40, 40), 2) is not None


def test_a_space_of_parts() -> None:
    data = {
        "preset": "resnet",
        "blocks": 3,
        "widths": [8, 8],
        "units": ["basic", "bottleneck"],
        "attentions": [None, {"kind": "se", "reduction": 4}],
        "stems": ["cifar", "strided"],
        "classifiers": ["linear", {"kind": "linear", "pooling": "max"}, "attentional_pooling"],
    }
    with pytest.raises(SpecError, match="give them names"):
        Space(template(data, Architecture))
    data["classifiers"] = ["linear", "attentional_pooling"]
    space = Space(template(data, Architecture))
    assert space.cardinality() == 2 * 2 * 2 * 2 * 2
    generator = np.random.default_rng(0)
    for _ in range(10):
        space.realize(space.sample(generator)).build((3, 16, 16), 4)


def test_f13_an_auxiliary_classifier_is_there_in_training_alone() -> None:
    spec = Resnet.from_data({"depths": [1, 1, 1], "widths": [4, 6, 8], "aux": "linear", "aux_stage": 1})
    plain = spec.model_copy(update={"aux": None})
    network, image = spec.build((3, 16, 16), 5), torch.randn(2, 3, 16, 16)
    assert network(image)["aux"].shape == (2, 5)
    assert sum(p.numel() for p in network.aux.parameters()) == 6 * 5 + 5
    assert cost(spec, (3, 16, 16), 5) == cost(plain, (3, 16, 16), 5)
    other = plain.build((3, 16, 16), 5).eval()
    other.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("aux")})
    assert torch.equal(network.eval()(image), other(image))
    with pytest.raises(SpecError, match="aux_stage: an auxiliary classifier reads an inner stage; got 2"):
        Resnet.from_data({"depths": [1, 1, 1], "widths": [4, 6, 8], "aux": "linear", "aux_stage": 2})
