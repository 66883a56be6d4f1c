"""Architectures known by name, each with the input and the outputs that its published figures are for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.architectures.darts import Darts, DartsCell, cell
from search_spaces.architectures.enas_micro import EnasMicro, micro_cell
from search_spaces.architectures.nasbench201 import NasBench201
from search_spaces.architectures.nasnet import Nasnet
from search_spaces.architectures.nasnet_cells import CellBlock, ConvCell
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


KEEP = {"nasnet-a-cifar": 0.6, "nasnet-a-large": 0.7, "darts-v1": 0.8, "darts-v2": 0.8, "enas-micro": 0.8}
"""With which probability the published training keeps a path of the deepest layer at its end; others keep all."""
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


def _cell(outputs: tuple[int, ...], *blocks: tuple[str, int, str, int]) -> ConvCell:
    made = tuple(CellBlock(left=left, right=right, left_op=a, right_op=b) for a, left, b, right in blocks)
    return ConvCell(blocks=made, outputs=outputs)


def _nasnet_a(
    name: str, repeats: int, filters: int, stem: str, multiplier: float, size: int, classes: int, skip: bool = False
) -> None:
    """Zoph et al., 2018, arXiv 1707.07012, figure 4, with the outputs that the authors' code joins."""
    normal = _cell(
        (1, 2, 3, 4, 5, 6),
        ("sep_conv_5x5", 0, "sep_conv_3x3", 1),
        ("sep_conv_5x5", 1, "sep_conv_3x3", 1),
        ("avg_pool_3x3", 0, "identity", 1),
        ("avg_pool_3x3", 1, "avg_pool_3x3", 1),
        ("sep_conv_3x3", 0, "identity", 0),
    )
    reduction = _cell(
        (3, 4, 5, 6),
        ("sep_conv_5x5", 0, "sep_conv_7x7", 1),
        ("max_pool_3x3", 0, "sep_conv_7x7", 1),
        ("avg_pool_3x3", 0, "sep_conv_5x5", 1),
        ("identity", 3, "avg_pool_3x3", 2),
        ("sep_conv_3x3", 2, "max_pool_3x3", 0),
    )
    fields = {"stem": stem, "stem_multiplier": multiplier, "skip_reduction_input": skip, "aux": True}
    data = {"normal": normal, "reduction": reduction, "repeats": repeats, "filters": filters, **fields}
    register(name)(lambda: Reference(Nasnet.from_data(data), (3, size, size), classes))


_nasnet_a("nasnet-a-cifar", 6, 32, "cifar", 3.0, 32, 10)
_nasnet_a("nasnet-a-mobile", 4, 44, "imagenet", 1.0, 224, 1000)
_nasnet_a("nasnet-a-large", 6, 168, "imagenet", 3.0, 331, 1000, skip=True)


@register_family("nasbench201")
def _nasbench201(text: str) -> Reference:
    """A cell of NAS-Bench-201 by its string, as it stands in the table, for CIFAR-10."""
    return Reference(NasBench201.from_string(text), (3, 32, 32), 10)


@register("enas-micro")
def _enas_micro() -> Reference:
    """What the authors of ENAS found, as their code's script for the network trained in the end has it."""
    normal = micro_cell("0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1")
    reduction = micro_cell("1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1")
    return Reference(EnasMicro(normal=normal, reduction=reduction, repeats=5, filters=36), (3, 32, 32), 10)


_DARTS_V1 = (
    cell(
        ((1, "sep3"), (0, "sep3")), ((0, "skip"), (1, "sep3")), ((0, "skip"), (1, "sep3")), ((0, "sep3"), (2, "skip"))
    ),
    cell(
        ((0, "max3"), (1, "max3")), ((2, "skip"), (0, "max3")), ((0, "max3"), (2, "skip")), ((2, "skip"), (0, "avg3"))
    ),
)
_DARTS_V2 = (
    cell(
        ((0, "sep3"), (1, "sep3")), ((0, "sep3"), (1, "sep3")), ((1, "sep3"), (0, "skip")), ((0, "skip"), (2, "dil3"))
    ),
    cell(
        ((0, "max3"), (1, "max3")), ((2, "skip"), (1, "max3")), ((0, "max3"), (2, "skip")), ((2, "skip"), (1, "max3"))
    ),
)


def _darts(cells: tuple[DartsCell, DartsCell]) -> Darts:
    return Darts(normal=cells[0], reduction=cells[1], layers=20, channels=36, aux=True)


# Liu et al., 2019, arXiv 1806.09055, figures 4 and 5; both as the authors' code has them.
register("darts-v1")(lambda: Reference(_darts(_DARTS_V1), (3, 32, 32), 10))
register("darts-v2")(lambda: Reference(_darts(_DARTS_V2), (3, 32, 32), 10))


@register("darts-v2-imagenet")
def _darts_v2_imagenet() -> Reference:
    """The second-order cell in the sizes for ImageNet."""
    normal, reduction = _DARTS_V2
    spec = Darts(normal=normal, reduction=reduction, layers=14, channels=48, stem="imagenet", aux=True)
    return Reference(spec, (3, 224, 224), 1000)


# Zoph & Le, 2017, arXiv 1611.01578, table 2: base 8, shared embeddings, 54 million parameters. The paper does not print
# the width; this one gives them.
@register("nascell")
def _nascell() -> Reference:
    """The cell that NAS-RL found on the Penn Treebank, in its largest language model; costs are those of one token."""
    return Reference(Recurrent(cell=TreeCell(), layers=2, hidden=1152, embedding=1152, tied=True), (1,), 10_000)
