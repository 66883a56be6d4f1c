"""Architectures known by name, each with the input and the outputs that its published figures are for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.architectures.recurrent import Recurrent
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.tree_cells import TreeCell
from search_spaces.blocks.units import Basic, Bottleneck, Unit
from search_spaces.build import Architecture, Shape
from search_spaces.errors import SpecError, unknown
from search_spaces.spec import first_hole


class Reference(NamedTuple):
    """An architecture and what it is built for.

    Args:
        architecture: A spec without holes.
        input_shape: Shape of one input without the batch; None when the source does not say.
        outputs: Number of classes; None when the source does not say.
    """

    architecture: Architecture
    input_shape: Shape | None = None
    outputs: int | None = None


_NAMED: dict[str, Callable[[], Reference]] = {}
_FAMILIES: dict[str, Callable[[str], Reference]] = {}


def register(name: str) -> Callable[[Callable[[], Reference]], Callable[[], Reference]]:
    """Returns a decorator that makes a function's reference known as `name`."""

    def add(make: Callable[[], Reference]) -> Callable[[], Reference]:
        _refuse_known(name)
        _NAMED[name] = make
        return make

    return add


def register_family(prefix: str) -> Callable[[Callable[[str], Reference]], Callable[[str], Reference]]:
    """Returns a decorator that makes a function of a text known as `prefix:TEXT`."""

    def add(make: Callable[[str], Reference]) -> Callable[[str], Reference]:
        _refuse_known(prefix)
        _FAMILIES[prefix] = make
        return make

    return add


def names() -> tuple[str, ...]:
    """Returns the known names, sorted; a family stands as `prefix:...`."""
    return tuple(sorted([*_NAMED, *(f"{prefix}:..." for prefix in _FAMILIES)]))


def reference(name: str) -> Reference:
    """Returns the reference architecture called `name`.

    Raises:
        SpecError: No such name is known; the nearest known one is named.
    """
    prefix, colon, text = name.partition(":")
    if colon and prefix in _FAMILIES:
        return _FAMILIES[prefix](text)
    if name in _NAMED:
        return _NAMED[name]()
    raise unknown("reference architecture", name, names())


def resolve(name_or_path: str | Path) -> Reference:
    """Returns the architecture that a reference name or a JSON file stands for.

    Args:
        name_or_path: A known name, else the path of a file with an architecture as JSON.

    Raises:
        SpecError: It is neither, or the file holds no architecture without holes.
    """
    text, path = str(name_or_path), Path(name_or_path)
    if text in _NAMED or not (path.is_file() or path.suffix == ".json"):
        return reference(text)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(f"cannot be read ({error.strerror})", path=text) from None
    except ValueError as error:
        raise SpecError(f"is no JSON ({error})", path=text) from None
    try:
        architecture = Architecture.from_data(data)
    except SpecError as error:
        raise error.at(text) from None
    if (hole := first_hole(architecture)) is not None:
        raise SpecError("an architecture file has no holes", allowed="a value", path=f"{text}/{hole}")
    return Reference(architecture)


def _refuse_known(name: str) -> None:
    if name in _NAMED or name in _FAMILIES:
        raise ValueError(f"two reference architectures are called {name!r}; give one of them another name")


@register("chain-6")
def _chain_6() -> Reference:
    """A chain of six layers made by hand, with skip connections and two poolings, for 32x32 color images."""
    layers = (
        ConvLayer(height=3, width=3, filters=36),
        ConvLayer(height=3, width=3, filters=48, inputs=(0,)),
        ConvLayer(height=5, width=5, filters=36, inputs=(0, 1)),
        ConvLayer(height=3, width=3, filters=64, inputs=(1, 2)),
        ConvLayer(height=1, width=7, filters=48, inputs=(3,)),
        ConvLayer(height=7, width=1, filters=48, inputs=(0, 4)),
    )
    return Reference(Chain(layers=layers, pool_after=(1, 3)), (3, 32, 32), 10)


def _resnet(name: str, depths: tuple[int, ...], block: Unit) -> None:
    register(name)(lambda: Reference(Resnet(depths=depths, block=block), (3, 224, 224), 1000))


# He et al., 2016, arXiv 1512.03385, table 1.
_resnet("resnet18", (2, 2, 2, 2), Basic())
_resnet("resnet50", (3, 4, 6, 3), Bottleneck())
_resnet("resnet101", (3, 4, 23, 3), Bottleneck())
# Liang et al., 2020, arXiv 1912.11234: as many units, of which more are deep; without the dilations, which the paper
# does not print.
_resnet("cr-resnet50", (1, 3, 5, 7), Bottleneck())
_resnet("cr-resnet101", (2, 3, 17, 11), Bottleneck())


# Zoph & Le, 2017, arXiv 1611.01578, table 2: base 8, shared embeddings, 54 million parameters. The paper does not print
# the width; this one gives them.
@register("nascell")
def _nascell() -> Reference:
    """The cell that NAS-RL found on the Penn Treebank, in its largest language model; costs are those of one token."""
    return Reference(Recurrent(cell=TreeCell(), layers=2, hidden=1152, embedding=1152, tied=True), (1,), 10_000)
