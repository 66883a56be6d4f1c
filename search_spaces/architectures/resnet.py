"""Residual networks: stages of residual blocks whose depths, widths, strides and dilations can be searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from search_spaces.blocks.base import Backbone, Feature, Pyramid, part_params
from search_spaces.build import Graph, Node, Shape
from search_spaces.domains import Categorical, Composition
from search_spaces.errors import SpecError
from search_spaces.spec import Hole, hole
from search_spaces.template import preset

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]

STEM_STRIDES = {"imagenet": 4, "strided": 2, "cifar": 1}
EXPANSION = {"basic": 1, "bottleneck": 4}


@dataclass(frozen=True)
class BlockPlan:
    """What a residual block becomes within its network.

    Args:
        in_channels: Channels of its input.
        width: Channels within it.
        out_channels: Channels of its output.
        stride: Step of its 3x3 convolution, of the first one if there are two.
        before: Dilation that its input asks for.
        after: Dilation that its output asks for; twice `before` where the block gave up a stride of 2.
        dilation: Its own further dilation of the last 3x3 convolution.
    """

    in_channels: int
    width: int
    out_channels: int
    stride: int
    before: int
    after: int
    dilation: int


class Resnet(Backbone):
    """A stem and stages of residual blocks; every stage but the first halves the resolution.

    The names of its weights are those of torchvision's ResNets, so that published weights fit.

    Args:
        depths: Number of blocks of each stage.
        widths: Inner channels of the blocks of each stage; a bottleneck puts out four times as many.
        block: `basic`: two 3x3 convolutions; `bottleneck`: 1x1, 3x3, 1x1, the stride in the 3x3.
        stem: `imagenet`: 7x7 of stride 2 and a max pooling; `strided`: 3x3 of stride 2; `cifar`: 3x3 of stride 1.
        output_stride: The greatest stride of a map, in pixels; stages beyond it have dilation in place of strides.
            None: all stages after the first halve the resolution.
        dilations: Further dilation of each block's last 3x3 convolution, one a block over all stages; empty: 1.

    Paper: He et al., 2016, arXiv 1512.03385. Output stride: Chen et al., 2017, arXiv 1706.05587, section 3.1. Dilation
        a block: Liang et al., 2020, arXiv 1912.11234, section 3.2.2.
    Deviation: The bottleneck's stride is in its 3x3 convolution, as in all published weights since.
    """

    kind: Literal["resnet"] = "resnet"
    depths: Hole[Annotated[tuple[Hole[Size], ...], Field(min_length=1)]] = (2, 2, 2, 2)
    widths: Annotated[tuple[Hole[Size], ...], Field(min_length=1)] = (64, 128, 256, 512)
    block: Hole[Literal["basic", "bottleneck"]] = "basic"
    stem: Hole[Literal["imagenet", "strided", "cifar"]] = "imagenet"
    output_stride: Hole[Size | None] = None
    dilations: tuple[Hole[Size], ...] = ()

    def check(self) -> None:
        """Refuses stages without a width, blocks without a dilation, and an output stride that no stage has."""
        if len(self.widths) != len(self.depths):
            raise SpecError("each stage has one width", list(self.widths), f"{len(self.depths)} widths", "widths")
        if self.dilations and len(self.dilations) != sum(self.depths):
            allowed = f"none, or {sum(self.depths)} of them"
            raise SpecError("each block has one dilation", list(self.dilations), allowed, "dilations")
        strides = [STEM_STRIDES[self.stem] * 2**i for i in range(len(self.depths))]
        if self.output_stride is not None and self.output_stride not in strides:
            allowed = ", ".join(map(str, strides))
            raise SpecError("no stage has this stride", self.output_stride, allowed, "output_stride")

    def gives(self, output: str) -> bool:
        """Tells whether the output is `maps`."""
        return output == "maps"

    def pyramid(self) -> Pyramid:
        """Returns channels and stride of each stage's output."""
        strides = [STEM_STRIDES[self.stem] * 2**i for i in range(len(self.depths))]
        deepest = self.output_stride or strides[-1]
        channels = [width * EXPANSION[self.block] for width in self.widths]
        return tuple(Feature(c, min(stride, deepest)) for c, stride in zip(channels, strides, strict=True))

    def plan(self) -> tuple[tuple[BlockPlan, ...], ...]:
        """Returns what every block becomes, stage by stage."""
        features, dilations = self.pyramid(), iter(self.dilations or (1,) * sum(self.depths))
        stages, channels, dilation = [], self.widths[0], 1
        for i, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            halves = i > 0 and features[i].stride > features[i - 1].stride
            stride, after = (2, dilation) if halves else (1, dilation * 2 if i > 0 else dilation)
            stage = []
            for _ in range(depth):
                out = features[i].channels
                stage.append(BlockPlan(channels, width, out, stride, dilation, after, next(dilations)))
                channels, stride, dilation = out, 1, after
            stages.append(tuple(stage))
        return tuple(stages)

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node for the stem, one a stage and one for the classifier."""
        params = part_params(self, input_shape, outputs)
        image = input_shape[1:]
        stem_shape = Feature(self.widths[0], STEM_STRIDES[self.stem]).shape(image)
        nodes = [Node("image", "input", "image", input_shape)]
        nodes.append(Node("stem", "stem", f"{self.stem} stem", stem_shape, params["conv1"] + params["bn1"]))
        for i, (depth, feature) in enumerate(zip(self.depths, self.pyramid(), strict=True), 1):
            label = f"stage {i}: {depth} {self.block} block{'s' if depth > 1 else ''}"
            nodes.append(Node(f"stage {i}", self.block, label, feature.shape(image), params[f"layer{i}"]))
        nodes.append(Node("classifier", "output", "average pool, linear", (outputs,), params["fc"]))
        names = [node.name for node in nodes]
        return Graph(tuple(nodes), tuple(zip(names, names[1:], strict=False)))

    def build_features(self, channels: int) -> nn.Module:
        """Returns the module from images (N, channels, H, W) to the tuple of the stages' outputs."""
        from search_spaces.networks.resnet import ResnetFeatures

        return ResnetFeatures(self, channels)

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.resnet import ResnetClassifier

        return ResnetClassifier(self, input_shape[0], outputs)


@preset("resnet")
def resnet(
    blocks: int = 8,
    widths: tuple[int, ...] = (64, 128, 256, 512),
    factors: tuple[float, ...] = (1.0,),
    block: Literal["basic", "bottleneck"] = "basic",
    stem: Literal["imagenet", "strided", "cifar"] = "imagenet",
    dilations: tuple[int, ...] = (1,),
) -> Resnet:
    """Returns the space of all allocations of blocks to stages, which all cost the same number of multiply-adds.

    Args:
        blocks: Number of blocks in all; each stage has at least one.
        widths: Inner channels of each stage.
        factors: What each stage's width may be multiplied by.
        block: As in `Resnet`.
        stem: As in `Resnet`.
        dilations: Dilations that each block may choose from.

    Paper: Liang et al., 2020, arXiv 1912.11234, sections 3.2.1 and 3.2.2.
    """

    def one_of(options: list[int]) -> int:
        different = tuple(dict.fromkeys(options))
        return different[0] if len(different) == 1 else hole(Categorical(different))

    depths: Any = hole(Composition(blocks, parts=len(widths)))
    return Resnet(
        depths=depths,
        widths=tuple(one_of([max(1, round(width * factor)) for factor in factors]) for width in widths),
        block=block,
        stem=stem,
        dilations=() if tuple(dilations) == (1,) else tuple(one_of(list(dilations)) for _ in range(blocks)),
    )
