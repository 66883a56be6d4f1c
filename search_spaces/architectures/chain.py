"""The chain: the convolutional architectures of NAS-RL, with their three repair rules, and its search space.

Paper: Zoph & Le, 2017, arXiv 1611.01578, sections 3.3 and 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

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
    """One convolution, followed by batch norm and ReLU. The fields stand in the order in which NAS-RL predicts them.

    Args:
        height: Height of the filters, in pixels.
        width: Width of the filters, in pixels.
        stride_height: Vertical step, in pixels.
        stride_width: Horizontal step, in pixels.
        filters: Number of filters.
        inputs: Indexes of the earlier layers that it reads, ascending; without any it reads the image.
    """

    height: Hole[Size] = 3
    width: Hole[Size] = 3
    stride_height: Hole[Size] = 1
    stride_width: Hole[Size] = 1
    filters: Hole[Size] = 36
    inputs: Hole[tuple[Index, ...]] = ()


@dataclass(frozen=True)
class LayerPlan:
    """What a layer becomes within its chain.

    Args:
        sources: Indexes of the layers that it reads; none stands for the image.
        in_channels: Channels of its concatenated inputs.
        shape: Shape of its output, (C, H, W).
        params: Its trainable parameters.
        pooled: Whether a max pooling follows.
    """

    sources: tuple[int, ...]
    in_channels: int
    shape: Shape
    params: int
    pooled: bool


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
        """Returns what every layer becomes for images of `input_shape` (C, H, W)."""
        plans: list[LayerPlan] = []
        for i, layer in enumerate(self.layers):
            inputs = [plans[source].shape for source in layer.inputs] or [input_shape]
            in_channels = sum(shape[0] for shape in inputs)
            height = _steps(max(shape[1] for shape in inputs), layer.stride_height)
            width = _steps(max(shape[2] for shape in inputs), layer.stride_width)
            pooled = i in self.pool_after
            if pooled:
                height, width = _steps(height, 2), _steps(width, 2)
            params = layer.filters * (layer.height * layer.width * in_channels + 2)
            plans.append(LayerPlan(layer.inputs, in_channels, (layer.filters, height, width), params, pooled))
        return tuple(plans)

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node a layer, the image before and the classifier behind them."""
        nodes = [Node("image", "input", "image", input_shape)]
        edges = []
        for i, (layer, plan) in enumerate(zip(self.layers, self.plan(input_shape), strict=True)):
            kernel = f"{layer.height}×{layer.width}"
            nodes.append(Node(f"layer {i}", kernel, _label(i, layer, plan), plan.shape, plan.params))
            edges += [(f"layer {source}" if plan.sources else "image", f"layer {i}") for source in plan.sources or (0,)]
        ends = self.loose_ends()
        features = sum(self.layers[i].filters for i in ends)
        params = (features + 1) * outputs
        nodes.append(Node("classifier", "output", "average pool, linear", (outputs,), params))
        return Graph(tuple(nodes), (*edges, *((f"layer {i}", "classifier") for i in ends)))

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.chain import ChainNetwork

        return ChainNetwork(self, self.plan(input_shape), outputs)


def _steps(size: int, stride: int) -> int:
    return -(-size // stride)


def _ascending(indexes: tuple[int, ...], path: str) -> None:
    if list(indexes) != sorted(set(indexes)):
        raise SpecError("indexes stand in ascending order, each once", list(indexes), path=path)


def _label(index: int, layer: ConvLayer, plan: LayerPlan) -> str:
    strided = (layer.stride_height, layer.stride_width) != (1, 1)
    return (
        f"{index}: conv {layer.height}×{layer.width}, {layer.filters} filters"
        + (f", stride {layer.stride_height}×{layer.stride_width}" if strided else "")
        + (", max pool" if plan.pooled else "")
    )


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
        )

    items = tuple(map(layer, range(layers)))
    return Chain(layers=hole(First(items, low)) if grow else items, pool_after=pool_after)
