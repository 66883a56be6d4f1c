"""Weights to start from: drawn, or taken from a narrower network; draws come from torch's global generator."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from search_spaces.networks.chain import ChainLayer
from search_spaces.networks.layers import Concatenate
from search_spaces.networks.units import Residual
from search_spaces.recipe import Kaiming, LayerTransfer, Orthogonal, Xavier
from trainers.tricks.registry import implements
from trainers.tricks.teacher import read_run


@implements(Xavier)
def xavier(spec: Xavier, network: nn.Module) -> None:
    """Draws all weights anew."""
    for weight in _weights(network):
        if spec.distribution == "uniform":
            nn.init.xavier_uniform_(weight, spec.gain)
        else:
            nn.init.xavier_normal_(weight, spec.gain)


@implements(Kaiming)
@torch.no_grad()
def kaiming(spec: Kaiming, network: nn.Module) -> None:
    """Draws all weights anew."""
    for weight in _weights(network):
        if spec.distribution == "uniform":
            nn.init.kaiming_uniform_(weight, mode=f"fan_{spec.fan}", nonlinearity="relu")  # type: ignore[arg-type]
        else:
            nn.init.kaiming_normal_(weight, mode=f"fan_{spec.fan}", nonlinearity="relu")  # type: ignore[arg-type]
        weight.mul_(spec.gain)


@implements(Orthogonal)
def orthogonal(spec: Orthogonal, network: nn.Module) -> None:
    """Draws all weights anew."""
    for weight in _weights(network):
        # PyTorch's own wants a plain layout, which channels last is not.
        fresh = nn.init.orthogonal_(torch.empty(weight.shape, device=weight.device), spec.gain)
        with torch.no_grad():
            weight.copy_(fresh)


def _weights(network: nn.Module) -> Iterator[nn.Parameter]:
    for module in network.modules():
        if isinstance(module, nn.Linear | _ConvNd | nn.RNNBase):
            # A tied layer's weight is no parameter of its own, and belongs to its embedding. What is all zeros is so on
            # purpose: a branch that says nothing at first.
            yield from (w for w in module.parameters(recurse=False) if w.ndim > 1 and bool(w.any()))


@implements(LayerTransfer)
def layer_transfer(spec: LayerTransfer, network: nn.Module) -> None:
    """Takes over the weights of an earlier network.

    Raises:
        ValueError: The folder cannot be read, or the earlier network is wider somewhere, or shares no layer.
    """
    _, found = read_run(spec.path)
    state = network.state_dict()
    shared = {name: value for name, value in found.items() if name in state and state[name].ndim == value.ndim}
    if not shared:
        raise ValueError(f"{spec.path}: no layer has the name of one of this network; choose another run")
    with torch.no_grad():
        for name, value in shared.items():
            state[name].copy_(widened(name, value, state[name].shape, _groups(network, name), spec.noise))
        for module in _new(network, found):
            _deepen(module)


def _groups(network: nn.Module, name: str) -> int:
    groups = getattr(network.get_submodule(name.rpartition(".")[0]), "groups", 1)
    return groups if isinstance(groups, int) else 1


def widened(name: str, value: Tensor, shape: torch.Size, groups: int = 1, noise: float = 0.0) -> Tensor:
    """Returns a weight for more channels, with which a network computes what it did.

    Args:
        name: Of the weight.
        value: (O, I, ...) weights, or one value a channel, (O,), or a number.
        shape: What is wanted, nowhere smaller.
        groups: Of the convolution that it belongs to.
        noise: Added to repeats, in units of the weight's standard deviation.

    Raises:
        ValueError: A size would have to shrink, or the kernel or the groups would have to change.

    Paper: Chen et al., Net2Net, 2016, 1511.05641, equation 4.
    """
    if value.shape == shape:
        return value
    small = [*value.shape[:2], *shape[2:]] if value.ndim else []
    if list(value.shape) != small or any(new < old for old, new in zip(value.shape, shape, strict=True)):
        raise ValueError(f"{name}: {list(value.shape)} cannot be widened to {list(shape)}; choose a narrower network")
    if groups > 1:
        raise ValueError(f"{name}: a convolution in {groups} groups cannot be widened; choose one as wide")
    wide = value
    if value.ndim > 1:
        inputs = torch.arange(shape[1]) % value.shape[1]
        repeats = torch.bincount(inputs, minlength=value.shape[1])[inputs].to(value.dtype)
        wide = wide[:, inputs] / repeats.view(1, -1, *[1] * (value.ndim - 2))
    wide = wide[torch.arange(shape[0]) % value.shape[0]]
    if noise > 0 and value.ndim > 1:
        wide[value.shape[0] :] += noise * value.std() * torch.randn_like(wide[value.shape[0] :])
    return wide


def _new(module: nn.Module, found: Collection[str], name: str = "") -> Iterator[nn.Module]:
    """The largest parts of a network of which an earlier one, which has the weights `found`, has no weight."""
    for part, child in module.named_children():
        path = f"{name}{part}."
        if any(other.startswith(path) for other in found):
            yield from _new(child, found, path)
        elif child.state_dict():
            yield child


def _deepen(module: nn.Module) -> None:
    """Has a new part return its input, where it can: behind a rectifier, so that another one changes nothing."""
    if isinstance(module, Residual):
        norms = [part for part in module.children() if isinstance(part, nn.BatchNorm2d)]
        if module.downsample is None and norms:
            # The shortcut alone is left.
            nn.init.zeros_(norms[-1].weight)
            nn.init.zeros_(norms[-1].bias)
        return
    parts = [part for part in module.modules() if not list(part.children())]
    # Of another kind of part it is not known what it does with its layers.
    known = isinstance(module, (nn.Sequential, ChainLayer, *_LAYERS)) and all(
        isinstance(part, _PLAIN) for part in parts
    )
    if known and all(_keeps(part) for part in parts):
        for part in parts:
            if isinstance(part, _LAYERS):
                identity(part)
            elif isinstance(part, nn.BatchNorm2d):
                neutral(part)


_LAYERS = (nn.Conv2d, nn.Linear)
_PLAIN = (*_LAYERS, nn.BatchNorm2d, nn.ReLU, nn.Identity, Concatenate)


def _keeps(part: nn.Module) -> bool:
    """Whether a layer can return its input."""
    if isinstance(part, nn.Linear):
        return part.in_features == part.out_features
    if isinstance(part, nn.Conv2d):
        if isinstance(part.padding, str):
            return False
        sides = zip(part.kernel_size, part.padding, part.dilation, strict=True)
        centred = all(side % 2 and 2 * pad == step * (side - 1) for side, pad, step in sides)
        return centred and max(part.stride) == 1 and part.in_channels == part.out_channels and part.groups == 1
    return True


def identity(layer: nn.Conv2d | nn.Linear) -> None:
    """Makes a layer with as many outputs as inputs the identity, in place: behind a rectifier it changes nothing.

    Args:
        layer: A convolution with odd sides and no groups, or a linear layer.

    Paper: Chen et al., Net2Net, 2016, 1511.05641, section 2.3 (Net2DeeperNet).
    """
    with torch.no_grad():
        weight = layer.weight.zero_()
        centre = weight if weight.ndim == 2 else weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2]
        centre.fill_diagonal_(1.0)
        if layer.bias is not None:
            layer.bias.zero_()


def neutral(norm: nn.BatchNorm2d) -> None:
    """Has a batch norm return its input in eval mode, in place: it multiplies by what it divides by.

    Paper: Chen et al., Net2Net, 2016, 1511.05641, section 2.3.
    """
    with torch.no_grad():
        assert norm.running_var is not None and norm.running_mean is not None
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(norm.running_mean)
