"""The chain: the convolutional architectures of NAS-RL, with their three repair rules, and its search space.

Paper: Zoph & Le, 2017, arXiv 1611.01578, sections 3.3 and 4.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from search_spaces.blocks.base import Attention, Feature, check_size
from search_spaces.blocks.convolution import Convolution, ConvPlan, Dense
from search_spaces.blocks.normalization import BatchNorm, Norm
from search_spaces.build import Architecture, Graph, Node, Shape
from search_spaces.domains import Categorical, First, Subset
from search_spaces.errors import SpecError
from search_spaces.messages import custom_error
from search_spaces.spec import Hole, Spec, hole
from search_spaces.template import preset

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]


class ConvLayer(Spec):
    """One convolution, followed by a norm, ReLU and attention; the first six fields stand in the order of NAS-RL.

    Args:
        height: Height of the filters, in pixels.
        width: Width of the filters, in pixels.
        stride_height: Vertical step, in pixels.
        stride_width: Horizontal step, in pixels.
        filters: Number of filters.
        inputs: Indexes of the earlier layers that it reads, ascending; without any it reads the image.
        conv: What sort of convolution it is.
        attention: What weighs its map after the ReLU; None: nothing does.
        norm: What follows the convolution; None: neither norm nor bias.
    """

    height: Hole[Size] = 3
    width: Hole[Size] = 3
    stride_height: Hole[Size] = 1
    stride_width: Hole[Size] = 1
    filters: Hole[Size] = 36
    inputs: Hole[tuple[Index, ...]] = ()
    conv: Hole[Convolution] = Dense()
    attention: Hole[Attention | None] = None
    norm: Hole[Norm | None] = BatchNorm()


@dataclass(frozen=True)
class LayerPlan:
    """What a layer becomes within its chain.

    Args:
        layer: Its spec.
        conv: The place of its convolution, whose inputs are concatenated.
        map: Its map before a pooling, with the stride that it has in height.
        shape: Shape of its output, (C, H, W).
        pooled: Whether a max pooling follows.
    """

    layer: ConvLayer
    conv: ConvPlan
    map: Feature
    shape: Shape
    pooled: bool

    @property
    def params(self) -> int:
        """Its trainable parameters."""
        import torch

        from search_spaces.networks.chain import ChainLayer

        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return sum(weight.numel() for weight in ChainLayer(self, depth=1.0).parameters())


class Chain(Architecture):
    """Convolution layers of which each may read any earlier ones; what nobody reads goes to the classifier.

    The repair rules: a layer without inputs reads the image; layers that feed nobody are concatenated for the
    classifier, so that no layer is without effect; inputs of different sizes are padded with zeros to the largest.

    Args:
        layers: The layers, first to last.
        pool_after: Indexes of the layers after which a 2x2 max pooling of stride 2 follows, ascending; those past the
            last layer have no effect, so that a chain of searched length can name them.

    Paper: Zoph & Le, 2017, arXiv 1611.01578, section 3.3.
    """

    kind: Literal["chain"] = "chain"
    layers: Hole[Annotated[tuple[ConvLayer, ...], Field(min_length=1)]]
    pool_after: tuple[Index, ...] = ()

    @field_validator("pool_after")
    @classmethod
    def _pool_in_order(cls, layers: tuple[int, ...]) -> tuple[int, ...]:
        try:
            _ascending(layers, "")
        except SpecError as error:
            raise custom_error(error) from None
        return layers

    def check(self) -> None:
        """Refuses inputs that are no earlier layers, and those that are not ascending."""
        for i, layer in enumerate(self.layers):
            if any(source >= i for source in layer.inputs):
                allowed = f"0 to {i - 1}" if i else "none: the first layer reads the image"
                raise SpecError("a layer reads earlier layers only", list(layer.inputs), allowed, f"layers/{i}/inputs")
            _ascending(layer.inputs, f"layers/{i}/inputs")

    def gives(self, output: str) -> bool:
        """Returns False: there are logits alone."""
        return False

    def loose_ends(self) -> tuple[int, ...]:
        """Returns the indexes of the layers that no layer reads; the classifier reads them."""
        read = {source for layer in self.layers for source in layer.inputs}
        return tuple(i for i in range(len(self.layers)) if i not in read)

    def plan(self, input_shape: Shape) -> tuple[LayerPlan, ...]:
        """Returns what every layer becomes for images of `input_shape` (C, H, W).

        Raises:
            SpecError: A convolution or an attention does not fit its place; the path says which one.
        """
        plans: list[LayerPlan] = []
        for i, layer in enumerate(self.layers):
            inputs = [plans[source].shape for source in layer.inputs] or [input_shape]
            with _within("layers", i):
                plans.append(_plan(layer, inputs, input_shape[1], i in self.pool_after))
        return tuple(plans)

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node a layer, the image before and the classifier behind them."""
        nodes = [Node("image", "input", "image", input_shape)]
        edges = []
        for i, (layer, plan) in enumerate(zip(self.layers, self.plan(input_shape), strict=True)):
            kernel = f"{layer.height}×{layer.width}"
            nodes.append(Node(f"layer {i}", kernel, _label(i, layer, plan.pooled), plan.shape, plan.params))
            edges += [(f"layer {source}", f"layer {i}") for source in layer.inputs] or [("image", f"layer {i}")]
        ends = self.loose_ends()
        features = sum(self.layers[i].filters for i in ends)
        params = (features + 1) * outputs
        nodes.append(Node("classifier", "output", "average pool, linear", (outputs,), params))
        return Graph(tuple(nodes), (*edges, *((f"layer {i}", "classifier") for i in ends)))

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.chain import ChainNetwork

        return ChainNetwork(self, self.plan(input_shape), outputs)


def _plan(layer: ConvLayer, inputs: list[Shape], image_height: int, pooled: bool) -> LayerPlan:
    strides = (layer.stride_height, layer.stride_width)
    conv = ConvPlan(sum(shape[0] for shape in inputs), layer.filters, (layer.height, layer.width), strides)
    size = max(shape[1] for shape in inputs), max(shape[2] for shape in inputs)
    with _within("conv"):
        layer.conv.check_plan(conv)
        check_size(layer.conv, *size)
    height, width = _steps(size[0], strides[0]), _steps(size[1], strides[1])
    feature = Feature(layer.filters, _steps(image_height, height))
    if layer.attention is not None:
        with _within("attention"):
            layer.attention.outputs((feature,))
            check_size(layer.attention, height, width)
    if pooled:
        height, width = _steps(height, 2), _steps(width, 2)
    return LayerPlan(layer, conv, feature, (layer.filters, height, width), pooled)


@contextmanager
def _within(*parts: object) -> Iterator[None]:
    try:
        yield
    except SpecError as error:
        raise error.at(*parts) from None


def _steps(size: int, stride: int) -> int:
    return -(-size // stride)


def _ascending(indexes: tuple[int, ...], path: str) -> None:
    if list(indexes) != sorted(set(indexes)):
        raise SpecError("indexes stand in ascending order, each once", list(indexes), path=path)


def _label(index: int, layer: ConvLayer, pooled: bool) -> str:
    conv, norm, attention = (_kind(part) for part in (layer.conv, layer.norm, layer.attention))
    conv = "conv" if conv == Dense().kind else conv
    strided = (layer.stride_height, layer.stride_width) != (1, 1)
    return (
        f"{index}: {conv} {layer.height}×{layer.width}, {layer.filters} filters"
        + (f", stride {layer.stride_height}×{layer.stride_width}" if strided else "")
        + ("" if norm == BatchNorm().kind else f", {norm or 'no'} norm")
        + (f", {attention}" if attention else "")
        + (", max pool" if pooled else "")
    )


def _kind(part: Spec | None) -> str:
    return "" if part is None else str(getattr(part, "kind", type(part).__name__))


def _one_of(options: tuple[Any, ...]) -> Any:
    return options[0] if len(options) == 1 else hole(Categorical(tuple(options)))


@preset("chain")
def chain(
    layers: int = 6,
    strides: bool = False,
    skips: bool = True,
    grow: bool = False,
    low: int = 1,
    kernels: tuple[int, ...] = (1, 3, 5, 7),
    filters: tuple[int, ...] = (24, 36, 48, 64),
    pool_after: tuple[int, ...] = (),
    convs: tuple[Any, ...] = ("dense",),
    attentions: tuple[Any, ...] = (None,),
    norms: tuple[Any, ...] = ("batch",),
) -> Chain:
    """Returns the search space of NAS-RL.

    Args:
        layers: Number of layers, the greatest number if `grow`.
        strides: Whether strides are predicted from {1, 2, 3}; otherwise they are 1.
        skips: Whether each layer's inputs are searched; otherwise each reads the one before.
        grow: Whether the number of layers is searched, too.
        low: The least number of layers if `grow`.
        kernels: Heights and widths of filters to choose from.
        filters: Numbers of filters to choose from.
        pool_after: As in `Chain`.
        convs: Convolutions to choose from, as names or specs, which may have holes of their own; a candidate fails in
            which one does not fit what its layer reads.
        attentions: Attentions to choose from, likewise; None: none.
        norms: Norms to choose from, likewise; None: none.

    Paper: Zoph & Le, 2017, arXiv 1611.01578, section 4.1.
    """

    def stride() -> int:
        return hole(Categorical((1, 2, 3))) if strides else 1

    def layer(index: int) -> ConvLayer:
        before = (index - 1,) if index else ()
        anchor: Any = hole(Subset(of="layers")) if skips else before
        return ConvLayer(
            height=hole(Categorical(kernels)),
            width=hole(Categorical(kernels)),
            stride_height=stride(),
            stride_width=stride(),
            filters=hole(Categorical(filters)),
            inputs=anchor,
            conv=_one_of(convs),
            attention=_one_of(attentions),
            norm=_one_of(norms),
        )

    items = tuple(map(layer, range(layers)))
    return Chain(layers=hole(First(items, low)) if grow else items, pool_after=pool_after)
