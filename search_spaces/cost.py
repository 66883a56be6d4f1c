"""What a network costs, counted without weights or data: parameters, multiply-adds, activation memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from search_spaces.build import Architecture

FLOAT32_BYTES = 4
AUXILIARY = "aux"


@dataclass(frozen=True)
class Cost:
    """What one image costs.

    Args:
        params: Trainable parameters, without auxiliary heads.
        macs: Multiply-adds of convolutions and products of matrices; biases are not counted. A leaf module that is no
            layer of torch says what it takes by a method `macs(inputs, output)`, or takes nothing.
        activation_bytes: Size of the outputs of all leaf layers in float32. A layer that hands its input on, unchanged
            or changed in place, adds nothing.
    """

    params: int
    macs: int
    activation_bytes: int


def cost(architecture: Architecture, input_shape: Sequence[int], outputs: int) -> Cost:
    """Counts what an architecture costs, on torch's meta device; no generator is touched.

    Args:
        architecture: A spec without holes.
        input_shape: Shape of one input without the batch, (C, H, W) for images.
        outputs: Number of classes.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        return network_cost(_built(lambda: architecture.build(input_shape, outputs)), input_shape)


def network_cost(network: nn.Module, input_shape: Sequence[int]) -> Cost:
    """Counts what a network costs by running it once, in eval mode, on the device where it lies.

    Args:
        network: Any network of layers; what it computes outside of leaf modules is not counted. It is given zeros, of
            the type that its `input_dtype` says if it has one.
        input_shape: Shape of one input without the batch.
    """
    import torch

    device = next((parameter.device for parameter in network.parameters()), torch.device("meta"))
    dtype = getattr(network, "input_dtype", torch.float32)
    return _counted(network, lambda: network(torch.zeros(1, *input_shape, device=device, dtype=dtype)))


def part_cost(make: Callable[[], nn.Module], takes: str, shapes: Sequence[Sequence[int]]) -> Cost:
    """Counts what a part of a network costs, on torch's meta device; no generator is touched.

    Args:
        make: Builds the part.
        takes: How it is called, as `search_spaces.blocks.base.Block.takes` says.
        shapes: Shapes of its inputs, without the batch.
    """
    import torch

    def call(part: nn.Module) -> object:
        maps = [torch.zeros(1, *shape, device="meta") for shape in shapes]
        return part(maps) if takes == "pyramid" else part(*maps)

    return called_cost(make, call)


def called_cost(make: Callable[[], nn.Module], call: Callable[[nn.Module], object]) -> Cost:
    """Counts what a part of a network costs that is called in a way of its own; no generator is touched.

    Args:
        make: Builds the part; done on torch's meta device.
        call: Runs the part it is given, on tensors of the meta device.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        part = _built(make)
        return _counted(part, lambda: call(part))


def _built(make: Callable[[], nn.Module]) -> nn.Module:
    """Builds a network on the meta device, its weights not drawn: there, a draw is dozens of operations in Python."""
    import torch
    from torch.nn import init
    from torch.overrides import TorchFunctionMode

    names = ("normal_", "uniform_", "zero_", "fill_", "copy_")
    drawn = {getattr(torch.Tensor, name) for name in names}
    drawn |= {value for name, value in vars(init).items() if name.endswith("_") and callable(value)}

    class Undrawn(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            given = kwargs or {}
            return (args[0] if args else given["tensor"]) if func in drawn else func(*args, **given)

    with torch.device("meta"), Undrawn():
        return make()


def _counted(network: nn.Module, run: Callable[[], Any]) -> Cost:
    import torch

    macs = numbers = 0

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal macs, numbers
        first = output[0] if isinstance(output, tuple) else output  # a recurrent layer adds its state
        if isinstance(first, torch.Tensor):
            macs += _macs(module, inputs, first)
            numbers += 0 if any(first is given for given in inputs) else first.numel()

    with torch.no_grad(), _evaluated(network), _hooked(network, count):
        run()
    named = network.named_parameters()
    params = sum(p.numel() for name, p in named if p.requires_grad and name.split(".")[0] != AUXILIARY)
    return Cost(params, macs, numbers * FLOAT32_BYTES)


def _macs(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> int:
    from torch.nn import Linear, RNNBase
    from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

    if hasattr(module, "macs"):
        return int(module.macs(inputs, output))
    if isinstance(module, Linear):
        return output.numel() * module.in_features
    if isinstance(module, RNNBase):
        weights = sum(weight.numel() for name, weight in module.named_parameters() if name.startswith("weight"))
        return output.numel() // output.shape[-1] * weights
    if isinstance(module, _ConvNd):
        # Each output of a convolution, and each input of a transposed one, meets one filter's worth of weights.
        transposed = isinstance(module, _ConvTransposeNd)
        places = inputs[0].numel() if transposed else output.numel()
        channels = module.out_channels if transposed else module.in_channels
        return int(places * channels // module.groups * math.prod(module.kernel_size))
    return 0


@contextmanager
def _evaluated(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    shaped = []
    for module, _ in modes:
        if (forward := _shape_of(module)) is not None:
            module.forward = forward  # type: ignore[method-assign]
            shaped.append(module)
    try:
        yield
    finally:
        for module in shaped:
            del module.forward
        for module, mode in modes:
            module.training = mode


def _shape_of(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """What stands for a common layer on the meta device, where there is nothing to compute.

    There, the layer itself is dozens of operations in Python, and they are most of the time that counting takes.
    """
    import torch
    from torch.nn import Conv2d, GroupNorm, Linear
    from torch.nn.modules.batchnorm import _BatchNorm

    weight = getattr(module, "weight", None)
    if not isinstance(weight, torch.Tensor) or not weight.is_meta:
        return None
    if isinstance(module, _BatchNorm | GroupNorm):
        return torch.detach
    if isinstance(module, Linear):
        return lambda x: x.new_empty(*x.shape[:-1], module.out_features)
    if isinstance(module, Conv2d) and type(module).forward is Conv2d.forward and not isinstance(module.padding, str):
        plan = tuple(zip(module.kernel_size, module.stride, module.padding, module.dilation, strict=True))

        def convolved(x: Tensor) -> Tensor:
            size = [
                (n + 2 * pad - gap * (k - 1) - 1) // step + 1
                for n, (k, step, pad, gap) in zip(x.shape[2:], plan, strict=True)
            ]
            return x.new_empty(x.shape[0], module.out_channels, *size)

        return convolved
    return None


@contextmanager
def _hooked(network: nn.Module, hook: Callable[[nn.Module, tuple[Any, ...], Any], None]) -> Iterator[None]:
    with ExitStack() as stack:
        for module in network.modules():
            if next(module.children(), None) is None:
                stack.callback(module.register_forward_hook(hook).remove)
        yield
