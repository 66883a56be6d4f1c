import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.convolution import ConvPlan
from search_spaces.blocks.convolution_sampled import Deformable
from search_spaces.build import Architecture
from search_spaces.recipe import Initialization, Kaiming, LayerTransfer, Orthogonal, Xavier
from tests.trainers.examples import NETWORK
from trainers.determinism import Generators
from trainers.layout import channels_last
from trainers.tricks.initialization import identity, widened
from trainers.tricks.registry import implementation

X = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def _drawn(spec: Initialization, module: nn.Module) -> nn.Module:
    with Generators(0):
        implementation(spec)(module)
    return module


def test_i07_xaviers_bound_is_a_quarter_for_64_by_32() -> None:
    weight = _drawn(Xavier(), nn.Linear(64, 32)).weight
    assert weight.abs().max().item() <= 0.25  # type: ignore[operator, union-attr]
    assert weight.abs().max().item() == pytest.approx(0.25, rel=0.01)  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_i07_variances_follow_the_formulas(distribution: str) -> None:
    rows: list[tuple[dict[str, object], float]] = [
        ({"kind": "xavier"}, 2 / (9 * 80 + 9 * 60)),
        ({"kind": "xavier", "gain": 2.0}, 8 / (9 * 80 + 9 * 60)),
        ({"kind": "kaiming", "fan": "in"}, 2 / (9 * 80)),
        ({"kind": "kaiming", "fan": "out", "gain": 0.5}, 0.5 / (9 * 60)),
    ]
    for data, variance in rows:
        spec = Initialization.from_data({**data, "distribution": distribution})
        conv = _drawn(spec, nn.Conv2d(80, 60, 3))
        assert conv.weight.var().item() == pytest.approx(variance, rel=0.05)  # type: ignore[operator, union-attr]


def test_i07_orthogonal_rows_have_the_gain_as_length() -> None:
    weight = _drawn(Orthogonal(gain=3.0), nn.Linear(20, 8)).weight
    assert torch.allclose(weight @ weight.T, 9 * torch.eye(8), atol=1e-4)  # type: ignore[operator, union-attr, arg-type]


def test_biases_norms_and_embeddings_stay_as_built() -> None:
    network = nn.Sequential(nn.Embedding(5, 4), nn.LSTM(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    _drawn(Kaiming(), network)
    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.weight_ih_l0", "1.weight_hh_l0", "3.weight"}


def _best(folder: Path, architecture: Architecture, network: nn.Module) -> str:
    (folder / "architecture.json").write_text(json.dumps(architecture.to_data()))
    save_file(
        {name: value.contiguous() for name, value in network.state_dict().items()}, folder / "weights.safetensors"
    )
    return str(folder)


def _trained_like(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    for name, buffer in network.named_buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + (0.5 if "var" in name else 0))
    return network.eval()


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_i08_a_widened_network_computes_what_it_did(stem: str, tmp_path: Path) -> None:
    small = Resnet(depths=(1, 1), widths=(4, 6), stem=stem, block="basic")  # type: ignore[arg-type]
    wide = Resnet(depths=(1, 1), widths=(7, 12), stem=stem, block="basic")  # type: ignore[arg-type]
    with Generators(1):
        old, new = _trained_like(small.build((3, 16, 16), 5)), wide.build((3, 16, 16), 5).eval()
    implementation(LayerTransfer(path=_best(tmp_path, small, old)))(new)
    x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(old(x), new(x), atol=1e-5)


TWO = (ConvLayer(filters=5), ConvLayer(filters=6, inputs=(0,)))
DEEPER: list[tuple[Architecture, Architecture]] = [
    (
        Resnet(depths=(1, 1), widths=(4, 6), stem="cifar"),
        Resnet(depths=(3, 2), widths=(4, 6), stem="cifar"),
    ),
    (
        Resnet(depths=(1, 2), widths=(2, 4), stem="cifar", block="bottleneck"),
        Resnet(depths=(2, 3), widths=(3, 4), stem="cifar", block="bottleneck"),
    ),
    (
        Chain(layers=TWO, pool_after=(0,)),
        Chain(
            layers=(*TWO, ConvLayer(filters=6, height=5, inputs=(1,)), ConvLayer(filters=6, inputs=(2,))),
            pool_after=(0,),
        ),
    ),
]


@pytest.mark.parametrize(("shallow", "deep"), DEEPER)
def test_i08_a_deepened_network_computes_what_it_did(shallow: Architecture, deep: Architecture, tmp_path: Path) -> None:
    with Generators(1):
        old, new = _trained_like(shallow.build((3, 16, 16), 5)), deep.build((3, 16, 16), 5).eval()
        as_built = new(X)
    channels_last(new, "cpu")
    implementation(LayerTransfer(path=_best(tmp_path, shallow, old)))(new)
    assert len(new.state_dict()) > len(old.state_dict())
    assert not torch.allclose(old(X), as_built, atol=1e-2)
    assert torch.allclose(old(X), new(X), atol=1e-5)
    # The new layers learn: a gradient reaches them.
    new.train()(X)["out"].square().sum().backward()
    grown = [weight for name, weight in new.named_parameters() if name not in old.state_dict() and weight.ndim < 2]
    assert grown and any(weight.grad is not None and weight.grad.any() for weight in grown)


def test_i08_a_layer_that_cannot_return_its_input_stays_as_built(tmp_path: Path) -> None:
    shallow = Chain(layers=(ConvLayer(filters=6),))
    # Another number of channels, a stride, an even kernel, a pooling: none keeps its input.
    for changes in ({"filters": 7}, {"stride_height": 2}, {"height": 2}, {"pooled": True}):
        pooled = (1,) if changes.pop("pooled", False) else ()
        deep = Chain(
            layers=(ConvLayer(filters=6), ConvLayer(**{"filters": 6, "inputs": (0,), **changes})), pool_after=pooled
        )
        with Generators(2):
            old, new = shallow.build((3, 8, 8), 4), deep.build((3, 8, 8), 4)
        before = {name: value.clone() for name, value in new.state_dict().items() if name.startswith("layers.1.")}
        implementation(LayerTransfer(path=_best(tmp_path, shallow, old)))(new)
        assert all(torch.equal(new.state_dict()[name], value) for name, value in before.items())


def test_i08_a_deepened_linear_layer_computes_what_it_did() -> None:
    with Generators(0):
        last, flat = nn.Linear(8, 4), nn.Linear(8, 8)
    identity(flat)
    x = torch.rand(5, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(last(torch.relu(flat(x))), last(x), atol=1e-6)


def test_i08_noise_tells_repeats_apart() -> None:
    value = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    with Generators(0):
        found = widened("x", value, torch.Size([400, 3]), noise=0.01)
    assert torch.equal(found[:4], value)
    spread = (found[4:] - value.repeat(99, 1)).std().item()
    assert spread == pytest.approx(0.01 * value.std().item(), rel=0.1)


def test_i08_what_cannot_be_widened_is_refused(tmp_path: Path) -> None:
    with Generators(0):
        wide, small = NETWORK.build((1, 8, 8), 9), NETWORK.build((1, 8, 8), 4)
    path = _best(tmp_path, NETWORK, wide)
    with pytest.raises(ValueError, match=r"classifier.\w+: \[9.*\] cannot be widened to \[4"):
        implementation(LayerTransfer(path=path))(small)
    with pytest.raises(ValueError, match="groups cannot be widened"):
        widened("x", torch.zeros(4, 1, 3, 3), torch.Size([8, 1, 3, 3]), groups=4)
    with pytest.raises(ValueError, match="no folder best/ of an earlier search"):
        implementation(LayerTransfer(path=str(tmp_path / "none")))(small)
    assert math.isfinite(small.classifier.weight.sum().item())  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("spec", [Xavier(), Kaiming(), Orthogonal()], ids=lambda s: s.kind)
def test_weights_that_begin_at_zero_do_so_on_purpose(spec: Initialization) -> None:
    module = Deformable().build(ConvPlan(4, 6))
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    _drawn(spec, module)
    after = module.state_dict()
    assert not after["offset.weight"].any()
    assert not torch.equal(before["conv.weight"], after["conv.weight"])
