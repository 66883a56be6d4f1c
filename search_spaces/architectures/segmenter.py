"""Segmenters: a backbone, context for its coarsest map, a decoder, and a head that labels every pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.base import Backbone, Context, Decoder, Feature, Pyramid, part_params
from search_spaces.blocks.context import Aspp, Psp
from search_spaces.blocks.decoders import DeepLabV3Plus, PanopticFpn, Unet
from search_spaces.blocks.heads import Head1x1, Head3x3, Head3x3Then1x1, SegmentationHead
from search_spaces.blocks.stems import Stem
from search_spaces.build import Architecture, Graph, Node, Shape
from search_spaces.domains import Categorical, Composition, Domain, Subset
from search_spaces.errors import SpecError
from search_spaces.spec import Hole, Spec, hole
from search_spaces.template import preset

if TYPE_CHECKING:
    from torch import nn

Index = Annotated[int, Field(ge=0)]


class Segmenter(Architecture):
    """A network that gives each pixel a class; its eval output is the logits (N, outputs, H, W) at input size.

    Args:
        backbone: Where the maps come from.
        context: What its coarsest map goes through; None: nothing.
        decoder: What makes one fine map of all of them.
        head: What turns it into logits, which are then resized to the image.
        aux: Indexes of the backbone's maps that get an auxiliary head for training, ascending: deep supervision.
        edges: Whether a further head predicts, in training, where classes meet.

    Paper: Chen et al., 2018, arXiv 1802.02611 (the default). Auxiliary heads: Zhao et al., 2017, arXiv 1612.01105,
        section 3.3.
    """

    kind: Literal["segmenter"] = "segmenter"
    backbone: Hole[Backbone] = Resnet(output_stride=16)
    context: Hole[Context | None] = Aspp()
    decoder: Hole[Decoder] = DeepLabV3Plus()
    head: Hole[SegmentationHead] = Head1x1()
    aux: Hole[tuple[Index, ...]] = ()
    edges: Hole[bool] = False

    def check(self) -> None:
        """Refuses parts that do not fit together and auxiliary heads of maps that do not exist."""
        self.decoded()
        maps = len(self.backbone.pyramid())
        if list(self.aux) != sorted(set(self.aux)) or any(i >= maps for i in self.aux):
            rule, allowed = "auxiliary heads name maps of the backbone, ascending", f"0 to {maps - 1}"
            raise SpecError(rule, list(self.aux), allowed, "aux")

    def gives(self, output: str) -> bool | None:
        """Tells whether there are auxiliary heads, edges, or maps, which there always are."""
        given: Any = {"aux": self.aux, "edges": self.edges, "maps": True}[output]
        return None if isinstance(given, Domain) else bool(given)

    def informed(self) -> Pyramid:
        """Returns the backbone's features, the coarsest as it comes out of the context module.

        Raises:
            SpecError: The context cannot take the coarsest map.
        """
        features = self.backbone.pyramid()
        if self.context is None:
            return features
        try:
            return (*features[:-1], *self.context.outputs(features[-1:]))
        except SpecError as error:
            raise error.at("context") from None

    def decoded(self) -> Feature:
        """Returns the feature that the head reads.

        Raises:
            SpecError: Context or decoder cannot take what comes before them; the path says which one.
        """
        features = self.informed()
        try:
            return self.decoder.outputs(features)[0]
        except SpecError as error:
            raise error.at("decoder") from None

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node for the image and one for each part that works outside of training."""
        params, image = part_params(self, input_shape, outputs), input_shape[1:]
        features = self.backbone.pyramid()
        rows: list[tuple[str, Spec, str, Shape]] = []
        rows.append(("backbone", self.backbone, f", {len(features)} maps", features[-1].shape(image)))
        if self.context is not None:
            rows.append(("context", self.context, "", self.informed()[-1].shape(image)))
        rows.append(("decoder", self.decoder, "", self.decoded().shape(image)))
        rows.append(("head", self.head, ", resize", (outputs, *image)))
        nodes = [Node("image", "input", "image", input_shape)]
        for name, part, more, shape in rows:
            kind = str(getattr(part, "kind", name))
            nodes.append(Node(name, kind, f"{name}: {kind}{more}", shape, params[name]))
        names = [node.name for node in nodes]
        skip = (("backbone", "decoder"),) if self.context is not None else ()
        return Graph(tuple(nodes), (*zip(names, names[1:], strict=False), *skip))

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.segmenter import SegmenterNetwork

        return SegmenterNetwork(self, input_shape[0], outputs)


@preset("segmenter")
def segmenter(
    blocks: int = 6,
    widths: tuple[int, ...] = (16, 32, 64, 128),
    width: int = 64,
    stem: Literal["imagenet", "strided", "cifar"] = "strided",
    supervision: bool = True,
    edges: bool = True,
) -> Segmenter:
    """Returns a space of small segmenters: where the blocks go, context, decoder, head and auxiliary heads.

    Args:
        blocks: Residual blocks of the backbone; how many each stage has is searched.
        widths: Channels of the backbone's stages; the last is a multiple of 4, the number of bins of `psp`.
        width: Channels of context, decoder and head.
        stem: As in `Resnet`.
        supervision: Whether auxiliary heads at one or both of the last two maps are searched; otherwise there are none.
        edges: Whether there is a head for edges.
    """
    depths: Any = hole(Composition(blocks, parts=len(widths)))
    rates: Any = hole(Categorical({"1-2-3": (1, 2, 3), "2-4-6": (2, 4, 6), "3-6-9": (3, 6, 9)}))
    fusion: Any = hole(Categorical(("add", "concat")))
    merge: Any = hole(Categorical(("add", "concat")))
    last = range(max(0, len(widths) - 2), len(widths))
    strides = tuple(Stem.from_data(stem).stride * 2**i for i in last)
    aux: Any = hole(Subset(tuple(last), low=1)) if supervision else ()
    return Segmenter(
        backbone=Resnet(depths=depths, widths=tuple(widths), stem=stem, output_stride=hole(Categorical(strides))),
        context=hole(Categorical((None, Aspp(rates=rates, width=width, dropout=0.1), Psp()))),
        decoder=hole(
            Categorical(
                (
                    DeepLabV3Plus(low_width=hole(Categorical((24, 48))), width=width),
                    PanopticFpn(pyramid_width=width, width=width, fusion=fusion, merge=merge),
                    Unet(
                        width=max(1, width // 4),
                        upsample=hole(Categorical(("bilinear", "deconv"))),
                        skip=hole(Categorical(("concat", "add"))),
                    ),
                )
            )
        ),
        head=hole(Categorical((Head1x1(), Head3x3(), Head3x3Then1x1(hidden=width)))),
        aux=aux,
        edges=edges,
    )
