"""Segmenters: a backbone, context for its coarsest map, a decoder, and a head that labels every pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from search_spaces.architectures.image_pyramid import ImageCascade, ScaleAttention
from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.base import (
    Backbone,
    Context,
    Decoder,
    Feature,
    Gate,
    Pyramid,
    check_sizes,
    offered,
    part_params,
)
from search_spaces.blocks.context import Aspp, Cpm, Psp, Ssh
from search_spaces.blocks.decoders import DeepLabV3Plus, PanopticFpn, TopDown, Unet
from search_spaces.blocks.decoders_dense import Dla, FullyDense, Tiramisu, UnetPlusPlus
from search_spaces.blocks.decoders_refine import Iterative, LinkNet, MaxUnpool, RefineNet
from search_spaces.blocks.fusion import Add, Concat, Fusion, WeightedAdd
from search_spaces.blocks.heads import Head1x1, Head3x3, Head3x3Then1x1, SegmentationHead
from search_spaces.build import Architecture, Graph, Node, Shape
from search_spaces.domains import Categorical, Composition, Domain, Subset
from search_spaces.errors import SpecError
from search_spaces.spec import Hole, Spec, hole
from search_spaces.template import preset

if TYPE_CHECKING:
    from torch import nn


class Segmenter(Architecture):
    """A network that gives each pixel a class; its eval output is the logits (N, outputs, H, W) at input size.

    Args:
        backbone: Where the maps come from.
        context: What its coarsest map goes through; None: nothing.
        decoder: What makes one fine map of all of them.
        head: What turns it into logits, which are then resized to the image.
        aux: Indexes of the backbone's maps that get an auxiliary head for training, from the finest, -1 for the
            coarsest: deep supervision. They come on top of those that the decoder asks for.
        edges: Whether a further head predicts, in training, where classes meet.

    Paper: Chen et al., 2018, arXiv 1802.02611 (the default). Auxiliary heads: Zhao et al., 2017, arXiv 1612.01105,
        section 3.3.
    """

    kind: Literal["segmenter"] = "segmenter"
    backbone: Hole[Backbone] = Resnet(output_stride=16)
    context: Hole[Context | None] = Aspp()
    decoder: Hole[Decoder] = DeepLabV3Plus()
    head: Hole[SegmentationHead] = Head1x1()
    aux: Hole[tuple[int, ...]] = ()
    edges: Hole[bool] = False

    def check(self) -> None:
        """Refuses parts that do not fit together and auxiliary heads of maps that do not exist."""
        self.decoded()
        maps = len(self.backbone.pyramid())
        found = self.aux_maps()
        if list(found) != sorted(set(found)) or any(not -maps <= i < maps for i in self.aux):
            rule = "auxiliary heads name maps of the backbone, ascending"
            raise SpecError(rule, list(self.aux), f"0 to {maps - 1}, or {-maps} to -1", "aux")

    def aux_maps(self) -> tuple[int, ...]:
        """Returns the indexes of the backbone's maps with an auxiliary head, counted from the finest."""
        maps = len(self.backbone.pyramid())
        return tuple(i % maps for i in self.aux)

    def gives(self, output: str) -> bool | None:
        """Tells whether there are auxiliary heads, edges, or maps, which there always are."""
        if output == "aux":
            heads = (self.aux, self.decoder, getattr(self.decoder, "supervision", False))
            if any(isinstance(part, Domain) for part in heads):
                return True if self.aux and not isinstance(self.aux, Domain) else None
            return bool(self.aux or heads[-1])
        given: Any = {"edges": self.edges, "maps": True}.get(output, False)
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

    def check_size(self, image_size: Shape) -> None:
        """Refuses images whose maps do not have a size that every part takes.

        Args:
            image_size: (H, W).

        Raises:
            SpecError: A map has not; the path says which part cannot take it.
        """
        try:
            self.backbone.check_size(image_size)
        except SpecError as error:
            raise error.at("backbone") from None
        check_sizes(self.context, self.backbone.pyramid()[-1:], image_size, "context")
        check_sizes(self.decoder, self.informed(), image_size, "decoder")

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        self.check_size(input_shape[1:])
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
    """Returns a space of small segmenters: backbone, context, decoder with its fusions and gates, head, supervision.

    Args:
        blocks: Residual blocks of the backbone; how many each stage has is searched.
        widths: Channels of the backbone's stages; the last is a multiple of 4, the number of bins of `psp`.
        width: Channels of context, decoder and head.
        stem: As in `Resnet`.
        supervision: Whether auxiliary heads at one or both of the last two maps and in the decoder are searched;
            otherwise there are none.
        edges: Whether there is a head for edges.
    """
    return Segmenter(
        backbone=_one_of(_backbones(blocks, tuple(widths), width, stem)),
        context=_one_of(_contexts(width, widths[-1])),
        decoder=_one_of(_decoders(width, _one_of((False, True)) if supervision else False)),
        head=_one_of((Head1x1(), Head3x3(), Head3x3Then1x1(hidden=width))),
        aux=hole(Subset((-2, -1), low=1)) if supervision else (),
        edges=edges,
    )


def _one_of(options: Any) -> Any:
    return hole(Categorical(options))


def _backbones(blocks: int, widths: tuple[int, ...], width: int, stem: Any) -> tuple[Backbone, ...]:
    depths: Any = hole(Composition(blocks, parts=len(widths)))
    strides = [feature.stride for feature in Resnet(depths=(1,) * len(widths), widths=widths, stem=stem).pyramid()]
    plain = Resnet(depths=depths, widths=widths, stem=stem, output_stride=_one_of(tuple(strides[-2:])))
    few: Any = hole(Composition(max(2, blocks // 2), parts=2))
    light = Resnet(depths=few, widths=(widths[0], widths[-1]), stem=stem)
    scales = {"half": (1.0, 0.5), "three": (1.0, 0.75, 0.5)}
    return plain, ScaleAttention(backbone=plain, scales=_one_of(scales), hidden=width), ImageCascade(backbone=light)


def _contexts(width: int, channels: int) -> tuple[Context | None, ...]:
    rates = {"1-2-3": (1, 2, 3), "2-4-6": (2, 4, 6), "3-6-9": (3, 6, 9)}
    chosen = (
        Aspp(rates=_one_of(rates), width=width, dropout=0.1),
        Psp(pool=_one_of(("average", "max"))),
        Ssh(width=4 * -(-width // 4)),
        Cpm(hidden=max(1, width // 4), width=4 * -(-width // 4)),
    )
    others = [block for block in offered(Context, channels) if not isinstance(block, tuple(map(type, chosen)))]
    return (None, *chosen, *others)


def _decoders(width: int, supervision: Any) -> tuple[Decoder, ...]:
    narrow = max(1, width // 4)  # of the finest level, where each coarser one has twice as many channels
    fusion, gate = _one_of(offered(Fusion, width)), _one_of((None, *offered(Gate, width)))
    merge = _one_of((Add(), Concat(), WeightedAdd()))
    return (
        DeepLabV3Plus(low_width=_one_of((24, 48)), width=width),
        PanopticFpn(pyramid_width=width, width=width, fusion=fusion, gate=gate, merge=merge),
        Unet(width=narrow, upsample=_one_of(("bilinear", "deconv")), skip=fusion, gate=gate),
        TopDown(width=width, fusion=fusion, gate=gate, supervision=supervision),
        UnetPlusPlus(width=narrow, supervision=supervision),
        FullyDense(compress=_one_of((narrow, 2 * narrow)), width=width, supervision=supervision),
        Dla(width=narrow, residual=_one_of((False, True))),
        Tiramisu(growth=_one_of((8, 16)), layers=_one_of((2, 4))),
        RefineNet(width=width, chain=_one_of((2, 4))),
        LinkNet(reduction=_one_of((2, 4))),
        MaxUnpool(width=narrow),
        Iterative(decoder=DeepLabV3Plus(width=width), steps=_one_of((1, 2)), supervision=supervision),
    )
