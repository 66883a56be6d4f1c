"""Residual networks: stages of residual blocks whose depths, widths, strides and dilations can be searched."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from search_spaces.blocks.base import Attention, Backbone, Feature, Pyramid, check_sizes, part_params
from search_spaces.blocks.convolution import Convolution, Dense
from search_spaces.blocks.depth_gates import DepthGate
from search_spaces.blocks.normalization import BatchNorm, Norm
from search_spaces.blocks.pooling import Classifier, LinearClassifier
from search_spaces.blocks.stems import ImagenetStem, Reduction, Stem
from search_spaces.blocks.units import Basic, Unit, UnitPlan
from search_spaces.build import Graph, Node, Shape
from search_spaces.domains import Categorical, Composition, Domain
from search_spaces.errors import SpecError
from search_spaces.spec import Hole, hole
from search_spaces.template import choice, preset

if TYPE_CHECKING:
    from torch import nn

Size = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]


class Resnet(Backbone):
    """A stem and stages of units; every stage but the first halves the resolution.

    With plain units the names of its weights are those of torchvision's ResNets, so that published weights fit.

    Args:
        depths: Number of units of each stage.
        widths: Inner channels of the units of each stage; a bottleneck puts out four times as many.
        block: What the stages consist of.
        stem: What the image goes through first.
        reduction: What halves the resolution before a stage; None: the stride of its first unit.
        average: Whether a shortcut of stride 2 averages, in place of reading every other position.
        output_stride: The greatest stride of a map, in pixels; stages beyond it have dilation in place of strides.
            None: all stages after the first halve the resolution.
        dilations: Further dilation of each unit's last 3x3 convolution, one a unit over all stages; empty: 1.
        conv: What stands in the place of 3x3 convolutions.
        conv_stages: Indexes of the stages that have it, ascending; empty: all.
        norm: What follows each convolution.
        attention: What the residual of each unit goes through; None: nothing.
        attention_stages: Indexes of the stages that have it, ascending; empty: all.
        context: What each stage's output goes through; None: nothing.
        context_stages: Indexes of the stages that have it, ascending; empty: all.
        gate: What lets an example leave out units that keep its shape, but for the first of each stage; None: nothing.
        classifier: What makes classes of the stages' outputs.
        aux: What makes classes of the outputs up to an inner stage, for deep supervision in training; None: nothing.
        aux_stage: Index of that stage, before the last.

    Paper: He et al., 2016, arXiv 1512.03385. Output stride: Chen et al., 2017, arXiv 1706.05587, section 3.1. Dilation
        a unit: Liang et al., 2020, arXiv 1912.11234, section 3.2.2. Attention: Hu et al., 2017, arXiv 1709.01507,
        figure 3.
    """

    kind: Literal["resnet"] = "resnet"
    depths: Hole[Annotated[tuple[Hole[Size], ...], Field(min_length=1)]] = (2, 2, 2, 2)
    widths: Annotated[tuple[Hole[Size], ...], Field(min_length=1)] = (64, 128, 256, 512)
    block: Hole[Unit] = Basic()
    stem: Hole[Stem] = ImagenetStem()
    reduction: Hole[Reduction | None] = None
    average: Hole[bool] = False
    output_stride: Hole[Size | None] = None
    dilations: tuple[Hole[Size], ...] = ()
    conv: Hole[Convolution] = Dense()
    conv_stages: Hole[tuple[Index, ...]] = ()
    norm: Hole[Norm] = BatchNorm()
    attention: Hole[Attention | None] = None
    attention_stages: Hole[tuple[Index, ...]] = ()
    context: Hole[Attention | None] = None
    context_stages: Hole[tuple[Index, ...]] = ()
    gate: Hole[DepthGate | None] = None
    classifier: Hole[Classifier] = LinearClassifier()
    aux: Hole[Classifier | None] = None
    aux_stage: Hole[Index] = 1

    def check(self) -> None:
        """Refuses stages without a width, units without a dilation, unknown strides, and parts that do not fit."""
        stages = len(self.depths)
        if len(self.widths) != stages:
            raise SpecError("each stage has one width", list(self.widths), f"{stages} widths", "widths")
        if self.dilations and len(self.dilations) != sum(self.depths):
            allowed = f"none, or {sum(self.depths)} of them"
            raise SpecError("each unit has one dilation", list(self.dilations), allowed, "dilations")
        if self.output_stride is not None and self.output_stride not in self._strides():
            allowed = ", ".join(map(str, self._strides()))
            raise SpecError("no stage has this stride", self.output_stride, allowed, "output_stride")
        for name in ("conv_stages", "attention_stages", "context_stages"):
            found = getattr(self, name)
            if list(found) != sorted(set(found)) or any(i >= stages for i in found):
                raise SpecError("stages stand in ascending order", list(found), f"0 to {stages - 1}", name)
        if self.gate is not None and not self.block.may_be_left_out:
            kind = self.block.to_data()["kind"]
            raise SpecError("a gate leaves out units with a shortcut", kind, "basic, bottleneck, ...", "gate")
        self._check_parts()

    def _check_parts(self) -> None:
        for stage in self.plan():
            for plan in stage:
                # A dense convolution takes every place: what is refused only with another one is refused by that.
                dense = replace(plan, conv=Dense())
                _fits("block", lambda plan=dense: self.block.check_plan(plan))
                _fits("conv", lambda plan=plan: self.block.check_plan(plan))
                if plan.attention is not None:
                    _fits("attention", lambda a=plan.attention, c=plan.out_channels: a.outputs((Feature(c, 1),)))
        for i, feature in enumerate(self.pyramid()):
            if (context := self.context_of(i)) is not None:
                _fits("context", lambda context=context, feature=feature: context.outputs((feature,)))
        _fits("classifier", lambda: self.classifier.check_inputs(self.pyramid()))
        if (aux := self.aux) is not None:
            if self.aux_stage >= len(self.depths) - 1:
                allowed = f"0 to {len(self.depths) - 2}" if len(self.depths) > 1 else "a network of more stages"
                raise SpecError("an auxiliary classifier reads an inner stage", self.aux_stage, allowed, "aux_stage")
            _fits("aux", lambda: aux.check_inputs(self.pyramid()[: self.aux_stage + 1]))

    def _strides(self) -> list[int]:
        return [self.stem.stride * 2**i for i in range(len(self.depths))]

    def gives(self, output: str) -> bool | None:
        """Tells whether there are gates, an auxiliary classifier, or maps, which there always are."""
        given: Any = {"maps": True, "gates": self.gate, "aux": self.aux}.get(output, False)
        return None if isinstance(given, Domain) else bool(given)

    def pyramid(self) -> Pyramid:
        """Returns channels and stride of each stage's output."""
        strides = self._strides()
        deepest = self.output_stride or strides[-1]
        channels = [stage[-1].out_channels for stage in self.plan()]
        return tuple(Feature(c, min(stride, deepest)) for c, stride in zip(channels, strides, strict=True))

    def check_size(self, image_size: Shape) -> None:
        """Refuses images at which a part of a stage would read a map that it cannot take."""
        features = self.pyramid()
        for i, feature in enumerate(features):
            parts, seen = self._parts(i), (features[max(0, i - 1)], feature)
            check_sizes(self.block, seen, image_size, "block")
            check_sizes(parts["conv"], seen, image_size, "conv")
            check_sizes(parts["attention"], (feature,), image_size, "attention")
            check_sizes(self.context_of(i), (feature,), image_size, "context")
        check_sizes(self.classifier, features, image_size, "classifier")

    def context_of(self, stage: int) -> Attention | None:
        """Returns what the output of a stage goes through."""
        return self.context if stage in self.context_stages or not self.context_stages else None

    def plan(self) -> tuple[tuple[UnitPlan, ...], ...]:
        """Returns what every unit becomes, stage by stage; behind a reduction a stage's first unit has stride 1."""
        strides, dilations = self._strides(), iter(self.dilations or (1,) * sum(self.depths))
        deepest, count = self.output_stride or strides[-1], sum(self.depths)
        stages: list[tuple[UnitPlan, ...]] = []
        channels, dilation, done = self.widths[0], 1, 0
        for i, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            parts = self._parts(i)
            halves = i > 0 and strides[i] <= deepest
            stride, after = (2, dilation) if halves else (1, dilation * 2 if i > 0 else dilation)
            if halves and self.reduction is not None:
                channels, stride = self.reduction.out_channels(channels), 1
            stage = []
            for _ in range(depth):
                done += 1
                out = self.block.out_channels(channels, width, stride)
                plan = UnitPlan(channels, width, out, stride, dilation, after, next(dilations), depth=done / count)
                stage.append(replace(plan, **parts))
                channels, stride, dilation = out, 1, after
            stages.append(tuple(stage))
        return tuple(stages)

    def _parts(self, stage: int) -> dict[str, Any]:
        here = stage in self.conv_stages or not self.conv_stages
        attends = stage in self.attention_stages or not self.attention_stages
        return {
            "conv": self.conv if here else Dense(),
            "norm": self.norm,
            "attention": self.attention if attends else None,
            "average": self.average,
        }

    def reduced(self, stage: int) -> bool:
        """Returns whether a reduction stands before the first unit of a stage."""
        strides = self._strides()
        return self.reduction is not None and 0 < stage and strides[stage] <= (self.output_stride or strides[-1])

    def gated(self) -> tuple[tuple[int, int], ...]:
        """Returns stage and place of every unit that an example may leave out: those that keep its shape."""
        return tuple(
            (i, j) for i, stage in enumerate(self.plan()) for j, plan in enumerate(stage) if j > 0 and plan.keeps
        )

    def gated_macs(self, input_shape: Shape) -> tuple[int, ...]:
        """Returns the multiply-adds of each gated unit for images of `input_shape` (C, H, W)."""
        if self.gate is None:
            return ()
        from search_spaces.cost import part_cost

        plans, features = self.plan(), self.pyramid()
        found: list[int] = []
        for i, j in self.gated():
            plan = plans[i][j]
            shape = (plan.in_channels, *features[i].shape(input_shape[1:])[1:])
            found.append(part_cost(partial(self.block.build, plan), "map", [shape]).macs)
        return tuple(found)

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns one node for the stem, one a stage and one for the classifier."""
        params = part_params(self, input_shape, outputs)
        image, stem = input_shape[1:], self.stem.to_data()["kind"]
        named = [name for name in params if name.startswith("layer") or name in ("fc", "avgpool", "gates", "contexts")]
        of_stem = sum(count for name, count in params.items() if name not in named)
        nodes = [Node("image", "input", "image", input_shape)]
        nodes.append(
            Node("stem", "stem", f"{stem} stem", Feature(self.widths[0], self.stem.stride).shape(image), of_stem)
        )
        unit = str(self.block.to_data()["kind"])
        for i, (depth, feature) in enumerate(zip(self.depths, self.pyramid(), strict=True), 1):
            label = f"stage {i}: {depth} {unit} block{'s' if depth > 1 else ''}"
            nodes.append(Node(f"stage {i}", unit, label, feature.shape(image), params[f"layer{i}"]))
        rest = sum(params.get(name, 0) for name in ("fc", "avgpool", "gates", "contexts"))
        linear = isinstance(self.classifier, LinearClassifier)
        label = "average pool, linear" if linear else str(self.classifier.to_data()["kind"])
        nodes.append(Node("classifier", "output", label, (outputs,), rest))
        names = [node.name for node in nodes]
        return Graph(tuple(nodes), tuple(zip(names, names[1:], strict=False)))

    def build_features(self, channels: int) -> nn.Module:
        """Returns the module from images (N, channels, H, W) to the tuple of the stages' outputs."""
        from search_spaces.networks.resnet import ResnetFeatures

        return ResnetFeatures(self, channels)

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        from search_spaces.networks.resnet import ResnetClassifier

        return ResnetClassifier(self, input_shape[0], outputs)


def _fits(path: str, check: Any) -> None:
    try:
        check()
    except SpecError as error:
        raise error.at(path) from None


@preset("resnet")
def resnet(
    blocks: int = 8,
    widths: tuple[int, ...] = (64, 128, 256, 512),
    factors: tuple[float, ...] = (1.0,),
    block: str = "basic",
    stem: str = "imagenet",
    dilations: tuple[int, ...] = (1,),
    units: tuple[Any, ...] = (),
    stems: tuple[Any, ...] = (),
    convs: tuple[Any, ...] = (),
    norms: tuple[Any, ...] = (),
    attentions: tuple[Any, ...] = (),
    contexts: tuple[Any, ...] = (),
    reductions: tuple[Any, ...] = (),
    gates: tuple[Any, ...] = (),
    classifiers: tuple[Any, ...] = (),
) -> Resnet:
    """Returns the space of all allocations of units to stages; with plain units all cost as many multiply-adds.

    What may vary besides is given as the options of a field: names of kinds, specs or their data, None for nothing.

    Args:
        blocks: Number of units in all; each stage has at least one.
        widths: Inner channels of each stage.
        factors: What each stage's width may be multiplied by.
        block: Kind of unit, where `units` does not say.
        stem: Kind of stem, where `stems` does not say.
        dilations: Dilations that each unit may choose from.
        units: Options of `block`.
        stems: Options of `stem`.
        convs: Options of `conv`.
        norms: Options of `norm`.
        attentions: Options of `attention`.
        contexts: Options of `context`.
        reductions: Options of `reduction`.
        gates: Options of `gate`.
        classifiers: Options of `classifier`.

    Paper: Liang et al., 2020, arXiv 1912.11234, sections 3.2.1 and 3.2.2.
    """
    depths: Any = hole(Composition(blocks, parts=len(widths)))
    varied = {
        "block": choice(Unit, units or (block,)),
        "stem": choice(Stem, stems or (stem,)),
        "conv": choice(Convolution, convs or ("dense",)),
        "norm": choice(Norm, norms or ("batch",)),
        "attention": choice(Attention, attentions or (None,)),
        "context": choice(Attention, contexts or (None,)),
        "reduction": choice(Reduction, reductions or (None,)),
        "gate": choice(DepthGate, gates or (None,)),
        "classifier": choice(Classifier, classifiers or ("linear",)),
    }
    return Resnet(
        depths=depths,
        widths=tuple(_one_of([max(1, round(width * factor)) for factor in factors]) for width in widths),
        dilations=() if tuple(dilations) == (1,) else tuple(_one_of(list(dilations)) for _ in range(blocks)),
        **varied,
    )


def _one_of(options: list[int]) -> int:
    different = tuple(dict.fromkeys(options))
    return different[0] if len(different) == 1 else hole(Categorical(different))
