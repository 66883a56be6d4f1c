"""Structural re-parameterisation: the smaller network that computes, in eval mode, what a trained one does.

A module with a method `collapsed` becomes the one module that this returns. A batch norm behind a convolution becomes
part of it: the two stand one after the other in an `nn.Sequential`, or a class names them as a pair in its attribute
`folds`.

Paper: Ding et al., 2019, arXiv 1908.03930, section 3.3 (branches); Jacob et al., 2017, arXiv 1712.05877, section 3.2
    (batch norms).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from torch import nn

from search_spaces.networks.convolution import fold

Pair = tuple[nn.Module, str, nn.Conv2d, nn.BatchNorm2d]


def deploy(network: nn.Module) -> nn.Module:
    """Returns a copy for eval mode in which branches are one convolution and batch norms part of theirs.

    Args:
        network: Stays as it is.
    """
    made, _ = simplify(copy.deepcopy(network).eval())
    return made


def simplify(network: nn.Module) -> tuple[nn.Module, bool]:
    """Does what `deploy` does to a network itself.

    Args:
        network: In eval mode; is changed, and no longer of use.

    Returns:
        The network, and whether branches became one: otherwise it computes as many products as before.
    """
    made, fewer = _collapse(network)
    # What is used in several places, with several norms, cannot take any of them in.
    uses = Counter(id(module) for _, module in made.named_modules(remove_duplicate=False))
    pairs = list(_pairs(made))
    uses.update(id(module) for _, _, *both in pairs for module in both)
    for parent, name, conv, norm in pairs:
        if uses[id(conv)] == uses[id(norm)] == 2:  # once in the network, once in a pair
            fold(conv, norm)
            setattr(parent, name, nn.Identity())
    return made, fewer


def _collapse(network: nn.Module) -> tuple[nn.Module, bool]:
    holder = nn.ModuleList([network])  # so that the network itself has a name, too
    smaller: dict[int, nn.Module] = {}
    for name, module in list(holder.named_modules(remove_duplicate=False)):
        if hasattr(type(module), "collapsed"):
            if id(module) not in smaller:
                smaller[id(module)] = module.collapsed()
            parent, _, child = name.rpartition(".")
            setattr(holder.get_submodule(parent), child, smaller[id(module)])
    return holder[0], bool(smaller)


def _pairs(network: nn.Module) -> Iterator[Pair]:
    """Yields parent, name of the norm in it, convolution and norm."""
    for parent in network.modules():
        named = list(pairwise(parent._modules)) if _runs_in_order(parent) else getattr(type(parent), "folds", ())
        for before, name in named:
            conv, norm = _last(getattr(parent, before)), getattr(parent, name)
            # A subclass may do something else with its weights.
            if type(conv) is nn.Conv2d and isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
                yield parent, name, conv, norm


def _runs_in_order(module: nn.Module) -> bool:
    return type(module).forward is nn.Sequential.forward


def _last(module: nn.Module) -> nn.Module:
    """What computes the output of a module, as far as that is plain to see."""
    while _runs_in_order(module) and len(module._modules):
        module = list(module.children())[-1]
    return module
