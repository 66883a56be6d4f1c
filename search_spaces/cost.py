"""What a network costs, counted without weights or data: parameters, multiply-adds, activation memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
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

    from search_spaces.meta import ShapesOnly

    with torch.random.fork_rng(devices=[]):
        with torch.device("meta"), ShapesOnly():
            network = architecture.build(input_shape, outputs)
        return network_cost(network, input_shape)


def trained_and_deployed(architecture: Architecture, input_shape: Sequence[int], outputs: int) -> tuple[Cost, int, int]:
    """Counts what an architecture costs as it is trained, as `cost` does, and what is left of it when it is deployed.

    Args:
        architecture: A spec without holes.
        input_shape: Shape of one input without the batch.
        outputs: Number of classes.

    Returns:
        Its cost; the parameters and the multiply-adds of what `Architecture.deploy` makes of it.
    """
    import torch

    from search_spaces.deploy import simplify
    from search_spaces.meta import ShapesOnly

    with torch.random.fork_rng(devices=[]):
        with torch.device("meta"), ShapesOnly():
            network = architecture.build(input_shape, outputs)
        found = network_cost(network, input_shape)
        deployed, fewer = simplify(network.eval())
        macs = network_cost(deployed, input_shape).macs if fewer else found.macs
        return found, _params(deployed), macs


def uncounted(architecture: Architecture, input_shape: Sequence[int], outputs: int) -> tuple[int, int]:
    """Counts the numbers of a network that are in no cost.

    Args:
        architecture: A spec without holes.
        input_shape: Shape of one input without the batch.
        outputs: Number of classes.

    Returns:
        The trainable parameters of auxiliary heads, which serve training alone; the means and variances that batch
        norms keep, auxiliary heads left out.
    """
    import torch

    from search_spaces.meta import ShapesOnly

    with torch.random.fork_rng(devices=[]), torch.device("meta"), ShapesOnly():
        network = architecture.build(input_shape, outputs)
    statistics = [
        buffer.numel()
        for name, buffer in network.named_buffers()
        if name.endswith(("running_mean", "running_var")) and not _auxiliary(name)
    ]
    named = network.named_parameters()
    return sum(p.numel() for name, p in named if p.requires_grad and _auxiliary(name)), sum(statistics)


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

    from search_spaces.meta import ShapesOnly

    with torch.random.fork_rng(devices=[]):
        with torch.device("meta"), ShapesOnly():
            part = make()
        return _counted(part, lambda: call(part))


def _counted(network: nn.Module, run: Callable[[], Any]) -> Cost:
    import torch

    from search_spaces.meta import ShapesOnly

    macs = numbers = 0

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal macs, numbers
        first = output[0] if isinstance(output, tuple) else output  # a recurrent layer adds its state
        if isinstance(first, torch.Tensor):
            macs += _macs(module, inputs, first)
            numbers += 0 if any(first is given for given in inputs) else first.numel()

    shapes = ShapesOnly() if all(p.is_meta for p in network.parameters()) else nullcontext()
    with torch.no_grad(), _evaluated(network), _hooked(network, count), shapes:
        run()
    return Cost(_params(network), macs, numbers * FLOAT32_BYTES)


def _params(network: nn.Module) -> int:
    named = network.named_parameters()
    return sum(p.numel() for name, p in named if p.requires_grad and not _auxiliary(name))


def _auxiliary(name: str) -> bool:
    return name.split(".")[0] == AUXILIARY


def _macs(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> int:
    from torch.nn import Linear, RNNBase, RNNCellBase
    from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

    own: Any = getattr(module, "macs", None)
    if own is not None:
        return int(own(inputs, output))
    if isinstance(module, Linear):
        return output.numel() * module.in_features
    if isinstance(module, (RNNBase, RNNCellBase)):
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
    from torch.nn.modules.batchnorm import _BatchNorm

    from search_spaces.meta import like

    modes = [(module, module.training) for module in network.modules()]
    norms = [module for module, _ in modes if isinstance(module, _BatchNorm)]
    network.eval()
    for norm in norms:
        # On the meta device a batch norm is a dozen operations in Python, half of the time; its shape is its input's.
        norm.forward = like  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward
        for module, mode in modes:
            module.training = mode


@contextmanager
def _hooked(network: nn.Module, hook: Callable[[nn.Module, tuple[Any, ...], Any], None]) -> Iterator[None]:
    with ExitStack() as stack:
        for module in network.modules():
            if next(module.children(), None) is None:
                stack.callback(module.register_forward_hook(hook).remove)
        yield
