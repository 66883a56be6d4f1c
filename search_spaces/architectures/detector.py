"""Detectors: a backbone, a neck, and a head of one or two stages that starts from anchors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.base import Backbone, Neck, Pyramid, part_params
from search_spaces.blocks.fusion import Add, Concat
from search_spaces.blocks.heads import AnchorScheme, DetectionHead, GridAnchors, OneStage, TwoStage
from search_spaces.blocks.necks import Fpn
from search_spaces.build import Architecture, Graph, Node, Shape
from search_spaces.domains import Categorical, Composition
from search_spaces.errors import SpecError
from search_spaces.spec import Hole, hole
from search_spaces.template import preset

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Detector(Architecture):
    """A network that finds objects and their boxes; its outputs are undecoded, see `DetectorNetwork`.

    Args:
        backbone: Where the maps come from.
        neck: What makes a pyramid of them.
        head: What predicts classes and boxes.
        anchors: Which boxes stand at each position of the pyramid.

    Paper: Lin et al., 2017, arXiv 1708.02002 (one stage); Ren et al., 2015, arXiv 1506.01497 and Lin et al., 2017,
        arXiv 1612.03144 (two stages).
    """

    kind: Literal["detector"] = "detector"
    backbone: Hole[Backbone] = Resnet()
    neck: Hole[Neck] = Fpn()
    head: Hole[DetectionHead] = OneStage()
    anchors: Hole[AnchorScheme] = GridAnchors()

    def check(self) -> None:
        """Refuses parts that do not fit together."""
        self.pyramid()

    def gives(self, output: str) -> bool:
        """Tells whether the output is `maps`."""
        return output == "maps"

    def pyramid(self) -> Pyramid:
        """Returns channels and strides of the maps that the head reads.

        Raises:
            SpecError: The parts do not fit together; the path says which one.
        """
        try:
            features = self.neck.outputs(self.backbone.pyramid())
        except SpecError as error:
            raise error.at("neck") from None
        channels = [feature.channels for feature in features]
        if len(set(channels)) > 1:
            raise SpecError("a head shared by all maps needs equal channels", channels, path="neck")
        try:
            counts = [len(level) for level in self.anchors.shapes(tuple(feature.stride for feature in features))]
        except SpecError as error:
            raise error.at("anchors") from None
        if len(set(counts)) > 1:
            raise SpecError("a head shared by all maps needs as many anchors on each", counts, path="anchors")
        return features

    def anchor_boxes(self, image_size: Sequence[int], device: torch.device | str | None = None) -> Tensor:
        """Returns the anchors (A, 4) of an image of `image_size` (H, W), in pixels, in the order of the outputs."""
        from search_spaces.operators.boxes import anchor_boxes

        strides = tuple(feature.stride for feature in self.pyramid())
        return anchor_boxes(image_size, strides, self.anchors.shapes(strides), device)

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node for the image and one for each part; the shapes are those of the coarsest map."""
        params, image = part_params(self, input_shape, outputs), input_shape[1:]
        inner, pyramid = self.backbone.pyramid(), self.pyramid()
        count = sum(
            len(shapes) * feature.shape(image)[1] * feature.shape(image)[2]
            for feature, shapes in zip(pyramid, self.anchors.shapes(tuple(f.stride for f in pyramid)), strict=True)
        )
        rows = [
            ("backbone", self.backbone, f"{len(inner)} maps", inner[-1].shape(image)),
            ("neck", self.neck, f"{len(pyramid)} maps", pyramid[-1].shape(image)),
            ("head", self.head, f"{count} anchors", (count, outputs)),
        ]
        nodes = [Node("image", "input", "image", input_shape)]
        for name, part, what, shape in rows:
            kind = str(getattr(part, "kind", name))
            nodes.append(Node(name, kind, f"{name}: {kind}, {what}", shape, params[name]))
        return Graph(tuple(nodes), (("image", "backbone"), ("backbone", "neck"), ("neck", "head")))

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.detector import DetectorNetwork

        return DetectorNetwork(self, input_shape[0], outputs)


@preset("detector")
def detector(
    blocks: int = 6,
    widths: tuple[int, ...] = (16, 32, 64, 128),
    width: int = 64,
    stem: Literal["imagenet", "strided", "cifar"] = "imagenet",
    hidden: int = 128,
    proposals: int = 64,
) -> Detector:
    """Returns a space of small detectors: where the blocks go, how the pyramid is made, head and anchors.

    Args:
        blocks: Residual blocks of the backbone; how many each stage has is searched.
        widths: Channels of the backbone's stages.
        width: Channels of the pyramid.
        stem: As in `Resnet`.
        hidden: Outputs of the linear layers of a second stage.
        proposals: Boxes that go on to a second stage.
    """
    depths: Any = hole(Composition(blocks, parts=len(widths)))
    neck = Fpn(
        width=width,
        fusion=hole(Categorical((Add(), Concat()))),
        extra=hole(Categorical(("maxpool", "conv"))),
        extra_levels=hole(Categorical((0, 1))),
    )
    one_stage = OneStage(depth=hole(Categorical((1, 2, 3, 4))), norm=hole(Categorical(("none", "group"))))
    two_stage = TwoStage(
        candidates=4 * proposals,
        proposals=proposals,
        hidden=hidden,
        size=hole(Categorical((5, 7))),
        sampling=hole(Categorical((1, 2))),
    )
    sizes: Any = hole(Categorical({"2": (2.0,), "3": (3.0,), "4": (4.0,)}))
    scales: Any = hole(Categorical({"one": (1.0,), "two": (1.0, 2**0.5), "three": (1.0, 2 ** (1 / 3), 2 ** (2 / 3))}))
    ratios: Any = hole(Categorical({"square": (1.0,), "three": (0.5, 1.0, 2.0)}))
    return Detector(
        backbone=Resnet(depths=depths, widths=tuple(widths), stem=stem),
        neck=neck,
        head=hole(Categorical((one_stage, two_stage))),
        anchors=GridAnchors(sizes=sizes, scales=scales, ratios=ratios),
    )
