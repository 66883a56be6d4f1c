"""Nested, fully dense, iteratively aggregated and dense-block decoders against their definitions."""

import pytest
import torch
from torch.nn import functional as F

from search_spaces.blocks.base import Feature
from search_spaces.blocks.decoders_dense import Dla, FullyDense, Tiramisu, UnetPlusPlus
from search_spaces.networks.decoders import parts_of
from tests.search_spaces.networks.checks import assert_trains

FEATURES = (Feature(6, 2), Feature(8, 4), Feature(10, 8), Feature(5, 16))
FLAT = (Feature(6, 4), Feature(8, 8), Feature(10, 8), Feature(5, 8))
SPECS = [
    UnetPlusPlus(width=3),
    UnetPlusPlus(width=3, depth=2, supervision=False),
    FullyDense(compress=3, width=4),
    Dla(width=4),
    Dla(width=6, residual=True),
    Tiramisu(growth=2, layers=3),
]


def _maps(features=FEATURES, image_size=(29, 38)):
    return [torch.randn(2, *feature.shape(image_size)) for feature in features]


def _params(spec, features=FEATURES):
    return sum(p.numel() for p in spec.build(features).parameters())


def _two(inputs, width):
    """The parameters of two 3x3 convolutions with batch norm."""
    return 9 * inputs * width + 9 * width * width + 4 * width


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(map(str, spec.to_data().values())))
@pytest.mark.parametrize("features", [FEATURES, FLAT], ids=["strides", "dilated"])
def test_they_train_on_sizes_that_do_not_divide(spec, features):
    module, maps = spec.build(features), _maps(features)
    out, aux = parts_of(module(maps))
    assert out.shape == (2, *spec.outputs(features)[0].shape((29, 38)))
    assert [tuple(x.shape[1:]) for x in aux] == [f.shape((29, 38)) for f in spec.supervised(features)]
    assert isinstance(module.eval()(maps), torch.Tensor)
    assert_trains(module, maps)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_e07_nested_skips_have_a_triangle_of_nodes_and_a_head_a_column(levels):
    spec = UnetPlusPlus(width=3, depth=levels)
    module = spec.build(FEATURES)
    assert len(module.nodes) == levels * (levels + 1) // 2
    assert 1 + len(parts_of(module(_maps()))[1]) == levels


def test_a_node_reads_its_whole_level():
    # By hand, for two levels: (0, 1), (1, 1), and (0, 2), which reads (0, 0), (0, 1) and (1, 1).
    expected = _two(6 + 8, 3) + _two(8 + 10, 6) + _two(6 + 3 + 6, 3)
    assert _params(UnetPlusPlus(width=3, depth=2)) == expected
    module, maps = UnetPlusPlus(width=3, depth=2).build(FEATURES).eval(), _maps()

    def up(x):
        return F.interpolate(x, size=maps[0].shape[2:], mode="bilinear")

    first = module.nodes["0_1"](torch.cat([maps[0], up(maps[1])], 1))
    below = torch.cat([maps[1], F.interpolate(maps[2], size=maps[1].shape[2:], mode="bilinear")], 1)
    second = module.nodes["0_2"](torch.cat([maps[0], first, up(module.nodes["1_1"](below))], 1))
    assert torch.allclose(module(maps), second, atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2])
def test_e07_a_pruned_decoder_is_a_node_of_the_deeper_one(depth):
    deep, pruned, maps = (
        UnetPlusPlus(width=3).build(FEATURES),
        UnetPlusPlus(width=3, depth=depth).build(FEATURES),
        _maps(),
    )
    weights = deep.state_dict()
    pruned.load_state_dict({name: weights[name] for name in pruned.state_dict()})
    _, aux = parts_of(deep(maps))  # the last made comes first
    out, _ = parts_of(pruned(maps))
    assert torch.equal(out, tuple(reversed(aux))[depth - 1])


def test_e08_a_dense_stage_reads_all_that_is_there():
    module = FullyDense(compress=3, width=4).build(FEATURES)
    assert [stage.refine[0][0].in_channels for stage in module.stages] == [4 * 3, 5 * 3, 6 * 3]
    compressed = sum(f.channels for f in FEATURES)
    convs = [3 * (compressed + 4 * i) + 2 * 3 * (4 + i) + _two(3 * (4 + i), 4) for i in range(3)]
    assert _params(FullyDense(compress=3, width=4)) == sum(convs)


def test_e08_the_loss_of_each_dense_stage_reaches_every_map_of_the_backbone():
    module, maps = FullyDense(compress=3, width=4).build(FEATURES), [x.requires_grad_() for x in _maps()]
    out, aux = parts_of(module(maps))
    assert len(aux) == 2
    for x in (out, *aux):
        grads = torch.autograd.grad((x * torch.randn_like(x)).sum(), maps, retain_graph=True)
        assert all(grad.abs().sum() > 0 for grad in grads)


def test_iterative_aggregation_has_a_triangle_of_nodes():
    module = Dla(width=4).build(FEATURES)
    assert [len(step.nodes) for step in module.rounds] == [1, 2, 3]
    widths = [16, 8, 4]
    nodes = sum(n * (9 * 2 * w * w + 2 * w) for n, w in zip((1, 2, 3), widths, strict=True))
    projected = [(10, 16), (5, 16), (10, 8), (16, 8), (6, 4), (8, 4), (8, 4), (8, 4)]  # map 1 already has 8 channels
    assert _params(Dla(width=4)) == nodes + sum(a * b + 2 * b for a, b in projected)


def test_an_aggregation_goes_from_fine_to_coarse():
    features = FEATURES[:3]
    module, maps = Dla(width=6).build(features).eval(), _maps(features)

    def up(x, like):
        return F.interpolate(x, size=like.shape[2:], mode="bilinear")

    first, second = module.rounds
    project = [step for step in first.project]
    y = first.nodes[0]([project[0](maps[1]), up(project[1](maps[2]), maps[1])])
    x = second.nodes[0]([second.project[0](maps[0]), up(second.project[1](maps[1]), maps[0])])
    x = second.nodes[1]([x, up(second.project[2](y), maps[0])])
    assert torch.allclose(module(maps), x, atol=1e-6)


def test_a_residual_node_without_convolution_is_its_coarser_map():
    module = Dla(width=6, residual=True).build(FEATURES[:2]).eval()
    node = module.rounds[0].nodes[0]
    torch.nn.init.zeros_(node.conv[0].weight)
    fine, coarse = torch.randn(2, 6, 5, 5), torch.randn(2, 6, 5, 5)
    assert torch.equal(node([fine, coarse]), coarse.relu())


def test_e16_a_dense_block_adds_its_growth():
    module = Tiramisu(growth=2, layers=3).build(FEATURES)
    read = [[layer[0].num_features for layer in block.layers] for block in module.blocks]
    assert read == [[c, c + 2, c + 4] for c in (5, 10 + 6, 8 + 6, 6 + 6)]
    rise = 3 * (9 * 6 * 6 + 6)
    assert _params(Tiramisu(growth=2, layers=3)) == rise + sum(2 * c + 9 * c * 2 for block in read for c in block)


def test_only_what_a_block_has_added_rises():
    module, maps = Tiramisu(growth=2, layers=1).build(FEATURES[:2]).eval(), _maps(FEATURES[:2])
    added = module.blocks[0](maps[1])
    x = torch.cat([maps[0], module.rise[0](added)[:, :, :15, :19]], 1)
    assert torch.equal(module(maps), torch.cat([x, module.blocks[1](x)], 1))
