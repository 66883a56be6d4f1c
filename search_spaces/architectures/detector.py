"""Detectors: a backbone, a neck, context, and a head of one or more stages that starts from anchors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from search_spaces.architectures.resnet import Resnet
from search_spaces.blocks.anchors import (
    AnchorScheme,
    BlazeAnchors,
    DefaultBoxes,
    DensifiedAnchors,
    EqualProportion,
    GridAnchors,
)
from search_spaces.blocks.base import Backbone, Context, Gate, Neck, Pyramid, check_sizes, offered, part_params
from search_spaces.blocks.cascade import Cascade, HybridCascade, Light, TwoStage
from search_spaces.blocks.context import Aspp, Cpm
from search_spaces.blocks.detection import DetectionHead, Guided, LightRpn, OneStage, PoolingPyramid, Rpn, Ssd, Yolo
from search_spaces.blocks.fusion import Add, Concat
from search_spaces.blocks.multigrid import Multigrid
from search_spaces.blocks.necks import Cem, Fpn, Levelwise
from search_spaces.blocks.regions import DeformableRoi, PsRoiAlign, RoiAlign
from search_spaces.blocks.relation import ObjectRelation
from search_spaces.build import Architecture, Graph, Node, Shape
from search_spaces.domains import Categorical, Composition
from search_spaces.errors import SpecError
from search_spaces.spec import Hole, Spec, hole
from search_spaces.template import preset

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class Detector(Architecture):
    """A network that finds objects and their boxes; its outputs are undecoded, see `DetectorNetwork`.

    Args:
        backbone: Where the maps come from.
        neck: What makes a pyramid of them.
        context: What each map of the pyramid goes through, with weights of its own; None: nothing.
        head: What predicts classes and boxes.
        anchors: Which boxes stand at each position of the pyramid.

    Paper: Lin et al., 2017, arXiv 1708.02002 (one stage); Ren et al., 2015, arXiv 1506.01497 and Lin et al., 2017,
        arXiv 1612.03144 (two stages).
    """

    kind: Literal["detector"] = "detector"
    backbone: Hole[Backbone] = Resnet()
    neck: Hole[Neck] = Fpn()
    context: Hole[Context | None] = None
    head: Hole[DetectionHead] = OneStage()
    anchors: Hole[AnchorScheme] = GridAnchors()

    def check(self) -> None:
        """Refuses parts that do not fit together."""
        pyramid = self.pyramid()
        _at("head", lambda: self.head.check_inputs(pyramid))
        _at("anchors", lambda: self.anchors.counts(self._strides()))

    def gives(self, output: str) -> bool:
        """Tells whether the output is `maps`."""
        return output == "maps"

    def pyramid(self) -> Pyramid:
        """Returns channels and strides of the maps that the head reads.

        Raises:
            SpecError: The parts do not fit together; the path says which one.
        """
        features: Pyramid = _at("neck", lambda: self.neck.outputs(self.backbone.pyramid()))
        context = self.context
        if context is None:
            return features
        seen: Pyramid = _at("context", lambda: tuple(context.outputs((feature,))[0] for feature in features))
        return seen

    def anchor_boxes(self, image_size: Sequence[int], device: torch.device | str | None = None) -> Tensor:
        """Returns the anchors (A, 4) of an image of `image_size` (H, W), in pixels, level by level."""
        from search_spaces.operators.boxes import anchor_boxes

        strides = self._strides()
        return anchor_boxes(image_size, strides, self.anchors.shapes(strides, image_size), device)

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node for the image and one for each part; the shapes are those of the coarsest map."""
        params, image = part_params(self, input_shape, outputs), input_shape[1:]
        inner, before, pyramid = self.backbone.pyramid(), self.neck.outputs(self.backbone.pyramid()), self.pyramid()
        count = sum(
            number * feature.shape(image)[1] * feature.shape(image)[2]
            for feature, number in zip(self.head.levels(pyramid), self.anchors.counts(self._strides()), strict=True)
        )
        rows: list[tuple[str, Spec, str, Shape]] = []
        rows.append(("backbone", self.backbone, f"{len(inner)} maps", inner[-1].shape(image)))
        rows.append(("neck", self.neck, f"{len(pyramid)} maps", before[-1].shape(image)))
        if self.context is not None:
            rows.append(("context", self.context, f"{len(pyramid)} maps", pyramid[-1].shape(image)))
        rows.append(("head", self.head, f"{count} anchors", (count, outputs)))
        nodes = [Node("image", "input", "image", input_shape)]
        for name, part, what, shape in rows:
            kind = str(getattr(part, "kind", name))
            nodes.append(Node(name, kind, f"{name}: {kind}, {what}", shape, params[name]))
        names = [node.name for node in nodes]
        return Graph(tuple(nodes), tuple(zip(names, names[1:], strict=False)))

    def check_size(self, image_size: Shape) -> None:
        """Refuses images whose maps do not have a size that every part takes.

        Args:
            image_size: (H, W).

        Raises:
            SpecError: A map has not; the path says which part cannot take it.
        """
        inner = self.backbone.pyramid()
        _at("backbone", lambda: self.backbone.check_size(image_size))
        check_sizes(self.neck, inner, image_size, "neck")
        check_sizes(self.context, self.neck.outputs(inner), image_size, "context")
        check_sizes(self.head, self.pyramid(), image_size, "head")

    def _strides(self) -> tuple[int, ...]:
        return tuple(feature.stride for feature in self.head.levels(self.pyramid()))

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.detector import DetectorNetwork

        self.check_size(input_shape[1:])
        return DetectorNetwork(self, input_shape[0], outputs)


def _at(name: str, make: Any) -> Any:
    """Returns what `make` does, its refusals below the path `name`."""
    try:
        return make()
    except SpecError as error:
        raise error.at(name) from None


@preset("detector")
def detector(
    blocks: int = 6,
    widths: tuple[int, ...] = (16, 32, 64, 128),
    width: int = 64,
    stem: Literal["imagenet", "strided", "cifar"] = "imagenet",
    hidden: int = 128,
    proposals: int = 64,
) -> Detector:
    """Returns a space of small detectors: where the blocks go, how the pyramid is made, context, head and anchors.

    Args:
        blocks: Residual blocks of the backbone; how many each stage has is searched.
        widths: Channels of the backbone's stages.
        width: Channels of the pyramid, and of the convolutions of heads; at least as many, in fours.
        stem: As in `Resnet`.
        hidden: Outputs of the linear layers of stages that look at regions.
        proposals: Boxes that go on to these stages.
    """
    depths: Any = hole(Composition(blocks, parts=len(widths)))
    width = 4 * -(-width // 4)
    return Detector(
        backbone=Resnet(depths=depths, widths=tuple(widths), stem=stem),
        neck=hole(Categorical(_necks(width))),
        context=hole(Categorical((None, *_contexts(width)))),
        head=hole(Categorical((*_dense_heads(width), *_region_heads(width, hidden, proposals)))),
        anchors=hole(Categorical(_anchors())),
    )


def _necks(width: int) -> list[Neck]:
    fpn = Fpn(
        width=width,
        fusion=hole(Categorical((Add(), Concat()))),
        extra=hole(Categorical(("maxpool", "conv"))),
        extra_levels=hole(Categorical((0, 1))),
    )
    return [fpn, Cem(width=width), Levelwise(neck=Fpn(width=width)), Multigrid(width=width)]


def _contexts(width: int) -> list[Context]:
    chosen: list[Context] = [Aspp(rates=(1, 2, 3), width=width, dropout=0.0), Cpm(hidden=width // 4, width=width)]
    others = [block for block in offered(Context, width) if not isinstance(block, tuple(map(type, chosen)))]
    return [*chosen, *others]


def _dense_heads(width: int) -> list[DetectionHead]:
    return [
        OneStage(depth=hole(Categorical((1, 2, 3, 4))), norm=hole(Categorical(("none", "group")))),
        Ssd(
            scores=hole(Categorical(("softmax", "sigmoid"))), extra_levels=hole(Categorical((0, 1))), extra_width=width
        ),
        Yolo(hidden=width),
        Guided(depth=hole(Categorical((0, 1, 2))), scale=hole(Categorical((4.0, 8.0)))),
        PoolingPyramid(pooled=hole(Categorical((0, 1, 2))), hidden=width),
    ]


def _region_heads(width: int, hidden: int, proposals: int) -> list[DetectionHead]:
    size: Any = hole(Categorical((5, 7)))
    sampling: Any = hole(Categorical((1, 2)))
    pooling: Any = hole(
        Categorical(
            (
                RoiAlign(size=size, sampling=sampling, reduce=hole(Categorical(("mean", "max")))),
                DeformableRoi(size=5, sampling=sampling),
                PsRoiAlign(size=size, sampling=sampling, width=hole(Categorical((5, 10)))),
            )
        )
    )
    rpn: Any = hole(Categorical((Rpn(), LightRpn(width=width), Guided(depth=0))))
    shared: dict[str, Any] = {
        "rpn": rpn,
        "candidates": 4 * proposals,
        "proposals": proposals,
        "pooling": pooling,
        "hidden": hidden,
    }
    light = shared | {
        "rpn": LightRpn(width=width),
        "pooling": PsRoiAlign(size=size, sampling=sampling),
        "gate": hole(Categorical((None, *offered(Gate, width)))),
        "relation": hole(Categorical((None, ObjectRelation(relations=math.gcd(16, hidden))))),
    }
    stages: Any = hole(Categorical((1, 2, 3)))
    return [
        TwoStage(**shared),
        Light(**light),
        Cascade(**shared, stages=stages),
        HybridCascade(**shared, stages=stages, semantic_depth=hole(Categorical((1, 2)))),
    ]


def _anchors() -> list[AnchorScheme]:
    sizes: Any = hole(Categorical({"2": (2.0,), "3": (3.0,), "4": (4.0,)}))
    scales: Any = hole(Categorical({"one": (1.0,), "two": (1.0, 2**0.5), "three": (1.0, 2 ** (1 / 3), 2 ** (2 / 3))}))
    ratios: Any = hole(Categorical({"square": (1.0,), "three": (0.5, 1.0, 2.0)}))
    return [
        GridAnchors(sizes=sizes, scales=scales, ratios=ratios),
        DefaultBoxes(smallest=hole(Categorical((0.1, 0.2)))),
        DensifiedAnchors(sizes=((1.0, 2.0, 4.0),), most=hole(Categorical((1, 2, 4)))),
        EqualProportion(factor=hole(Categorical((3.0, 4.0)))),
        BlazeAnchors(merged=hole(Categorical((1, 3)))),
    ]
