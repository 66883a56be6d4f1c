"""Compiling the parts of a network that come again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import nn

from search_spaces.networks.layers import DropPath

_VARIANTS = 64  # of one kind of region: its shapes, strides and numbers of channels
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def compile_regions(network: nn.Module) -> None:
    """Has torch compile each region of a network when it is first used; names and values of weights stay.

    Regions of one shape share their code, which keeps compiling short. What else the process has compiled is dropped.

    Args:
        network: As it is going to be trained, all tricks applied.
    """
    import torch._dynamo

    # Actors run many trials, whose regions would all count as variants of the same code.
    torch._dynamo.reset()
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _VARIANTS)
    for module in network.modules():
        # A number that changes at every step would be compiled into the code, which would be new at every step.
        if hasattr(type(module), "set_progress") and not (isinstance(module, DropPath) and module.rate == 0):
            module.forward = torch.compiler.disable(module.forward)  # type: ignore[no-untyped-call]
    for region in regions(network):
        region.compile()


def regions(network: nn.Module) -> list[nn.Module]:
    """Returns the largest parts of a network whose kind occurs more than once; without any, the network itself."""
    counts = Counter(type(module) for module in network.modules())

    def repeated(module: nn.Module) -> Iterator[nn.Module]:
        for child in module.children():
            if counts[type(child)] > 1 and _composed(child):
                yield child
            else:
                yield from repeated(child)

    return list(repeated(network)) or [network]


def _composed(module: nn.Module) -> bool:
    return not isinstance(module, _CONTAINERS) and any(True for _ in module.children()) and bool(module.state_dict())
