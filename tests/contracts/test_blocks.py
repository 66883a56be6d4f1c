"""Every block keeps what it says of itself: shapes, cost, gradients, export, layouts, and refusals in words."""

import warnings
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from search_spaces.blocks.base import Block, Example
from search_spaces.errors import SpecError
from search_spaces.operators import deform_conv
from search_spaces.spec import Spec, kinds

CHANNELS = 32
SIZES = [(64, 64), (72, 40)]


def _bases(spec: type[Spec]) -> list[type[Spec]]:
    return [base for base in spec.__mro__ if issubclass(base, Block) and "kind" not in base.model_fields]


def _name(spec: type[Spec]) -> str:
    return f"{_bases(spec)[0].__name__}-{spec.model_fields['kind'].default}"


BLOCKS = sorted(kinds(Block).values(), key=_name)
PLACED = [spec for spec in BLOCKS if spec().example(CHANNELS) is not None]
each_block = pytest.mark.parametrize("spec", PLACED, ids=_name)


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def _example(block: Block) -> Example:
    found = block.example(CHANNELS)
    assert found is not None
    return found


def _maps(block: Block, example: Example, image_size: tuple[int, int], batch: int = 2) -> list[Tensor]:
    return [torch.randn(batch, *feature.shape(_fitting(block, example, image_size))) for feature in example.inputs]


def _fitting(block: Block, example: Example, image_size: tuple[int, int]) -> tuple[int, int]:
    """The image size, increased until the maps of every stride have a size that the block takes."""
    step = block.size_multiple * max(feature.stride for feature in example.inputs)
    height, width = (-(-size // step) * step if block.size_multiple > 1 else size for size in image_size)
    return height, width


def call(block: Block, module: nn.Module, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What a module returns for maps, called as its spec says."""
    found = module(list(maps)) if block.takes == "pyramid" else module(*maps)
    if isinstance(found, dict):
        found = found["out"]
    return tuple(found) if block.gives == "pyramid" else (found,)


def _shapes(block: Block, example: Example, size: tuple[int, int], batch: int) -> list[tuple[int, ...]]:
    if block.gives == "vector":
        return [(batch, feature.channels) for feature in example.outputs]
    return [(batch, *feature.shape(_fitting(block, example, size))) for feature in example.outputs]


def test_the_walk_over_blocks_finds_them() -> None:
    assert len(PLACED) >= 10


@pytest.mark.parametrize("spec", BLOCKS, ids=_name)
def test_it_is_written_and_read_as_json_and_yaml(spec: type[Block]) -> None:
    block = spec()
    base = _bases(spec)[0]
    assert base.from_json(block.to_json()) == block
    assert base.from_yaml(block.to_yaml()) == block


def test_every_block_says_what_it_costs_for_64_channels() -> None:
    found = {_name(spec): spec().cost(64) for spec in BLOCKS}
    assert [name for name, price in found.items() if price is None] == []


@pytest.mark.parametrize("spec", BLOCKS, ids=_name)
def test_it_names_its_source(spec: type[Block]) -> None:
    assert "Paper:" in (spec.__doc__ or ""), f"{_name(spec)} has no Paper line"


@each_block
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_shapes_are_those_declared(spec: type[Block], size: tuple[int, int]) -> None:
    block = spec()
    example = _example(block)
    module = example.make().eval()
    found = call(block, module, _maps(block, example, size))
    assert [tuple(x.shape) for x in found] == _shapes(block, example, size, 2)


@each_block
def test_its_cost_is_what_torch_counts(spec: type[Block], monkeypatch: pytest.MonkeyPatch) -> None:
    # Torch cannot look into a compiled operator.
    monkeypatch.setattr(deform_conv, "compiled", lambda: None)
    block = spec()
    example = _example(block)
    size = _fitting(block, example, (64, 64))
    predicted = block.cost(CHANNELS, size)
    module = example.make().eval()
    assert predicted is not None
    assert predicted.params == sum(p.numel() for p in module.parameters() if p.requires_grad)
    # Torch does not count its fused attention on a CPU, only the products that it is made of.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call(block, module, _maps(block, example, size, batch=1))
    assert predicted.macs == counter.get_total_flops() // 2


@each_block
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
def test_gradients_reach_every_parameter(spec: type[Block], bf16: bool) -> None:
    block = spec()
    example = _example(block)
    module = example.make().train()
    maps = [x.requires_grad_() for x in _maps(block, example, (64, 64))]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        found = call(block, module, maps)
        # Weighed by random numbers: a sum of squares behind a norm would have no gradient.
        loss = sum(((x.float() * torch.randn(x.shape)).sum() for x in found), start=torch.zeros(()))
    loss.backward()
    wrong = [n for n, p in module.named_parameters() if p.grad is None or not bool(p.grad.isfinite().all())]
    assert wrong == []
    reached = [x.grad for x in maps if x.grad is not None]
    assert reached and all(bool(grad.isfinite().all()) for grad in reached)


@each_block
def test_eval_is_repeatable_and_lives_in_the_state(spec: type[Block]) -> None:
    block = spec()
    example = _example(block)
    module, maps = example.make(), _maps(block, example, (64, 64))
    with torch.no_grad():
        call(block, module.train(), maps)  # moves running figures
        first = call(block, module.eval(), maps)
        other = example.make()
        other.load_state_dict(module.state_dict())
        for again in (call(block, module, maps), call(block, other.eval(), maps)):
            assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@each_block
def test_it_is_exported(spec: type[Block]) -> None:
    block = spec()
    example = _example(block)
    module, maps = example.make().eval(), _maps(block, example, (64, 64))
    arguments = (maps,) if block.takes == "pyramid" else tuple(maps)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        found = torch.export.export(module, arguments).module()(*arguments)
        mine = module(*arguments)
    pairs = zip(mine, found, strict=True) if isinstance(mine, tuple) else [(mine, found)]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)


@each_block
def test_channels_last_gives_the_same(spec: type[Block]) -> None:
    block = spec()
    example = _example(block)
    module, maps = example.make().eval(), _maps(block, example, (64, 64))
    with torch.no_grad():
        plain = call(block, module, maps)
        module = module.to(memory_format=torch.channels_last)
        last = call(block, module, [x.contiguous(memory_format=torch.channels_last) for x in maps])
    assert all(torch.allclose(a, b, atol=1e-4, rtol=1e-4) for a, b in zip(plain, last, strict=True))


@each_block
@pytest.mark.parametrize("channels", [1, 3, 6, 10])
def test_channels_that_do_not_fit_are_refused_before_anything_is_built(spec: type[Block], channels: int) -> None:
    block = spec()
    try:
        example = block.example(channels)
        assert example is not None
        module = example.make().eval()
    except SpecError as error:
        assert error.rule
        return
    with torch.no_grad():
        found = call(block, module, _maps(block, example, (64, 64)))
    assert [tuple(x.shape) for x in found] == _shapes(block, example, (64, 64), 2)
