"""The modules of the heads that answer at every anchor, and what the modules of all detection heads return."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import BatchNorm, conv_norm, group_norm
from search_spaces.operators.boxes import anchor_boxes, cell_deltas

if TYPE_CHECKING:
    from search_spaces.blocks.anchors import AnchorScheme, Shapes
    from search_spaces.blocks.base import Pyramid
    from search_spaces.blocks.detection import DenseHead, LightRpn, OneStage, PoolingPyramid, Rpn, Ssd, Yolo

Found = dict[str, Any]
Maps = Sequence[Tensor]


class Answer(NamedTuple):
    """What a stage of a head says of A boxes.

    Args:
        logits: (N, A, L); how many there are and what they mean is said by the stage's `Reading`.
        deltas: (dx, dy, dw, dh) from where the boxes start, (N, A, 4).
        starts: Where they start, in pixels, (A, 4) for all images, or (N, A, 4).
    """

    logits: Tensor
    deltas: Tensor
    starts: Tensor


def first_answer(found: Found) -> Answer:
    """Returns what the first stage says, of what a head returned."""
    logits, deltas = found["out"]
    return Answer(logits, deltas, found["starts"])


class HeadModule(nn.Module):
    """The module of a detection head, called with a pyramid and the size of the images.

    `forward(maps, image_size)` returns what losses want to know, by name:

    - `out`: logits (N, A, L) and deltas (N, A, 4) of the first stage, for all anchors;
    - `starts`: where these boxes start, (A, 4) or (N, A, 4);
    - `hidden`: maps that the answers are made of, one for each map that goes in;
    - whatever else the head has to learn.

    `answer(found)` makes the last stage's answer of it, `final(found)` what the network returns in eval mode.
    """

    predicted: ClassVar[bool] = False  # whether the network itself says where boxes start

    @property
    def classifier(self) -> nn.Module:
        """The layer that scores the classes in the end, or an `nn.ModuleList` of such layers, one a level."""
        found: nn.Module = self.get_submodule("classes")
        return found

    def answer(self, found: Found) -> Answer:
        """Returns what the head says in the end."""
        return first_answer(found)

    def final(self, found: Found) -> tuple[Tensor, ...]:
        """Returns logits and deltas of `answer`, behind the boxes that they start from if the network predicts them."""
        logits, deltas, starts = self.answer(found)
        return (starts, logits, deltas) if self.predicted else (logits, deltas)


class DenseModule(HeadModule):
    """A head whose boxes start from the anchors of a scheme; a subclass writes `predict`."""

    def __init__(self, spec: DenseHead, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__()
        self.spec, self.anchors = spec, anchors
        self.strides = tuple(feature.stride for feature in spec.levels(inputs))
        self.counts = anchors.counts(self.strides)
        self.most = max(self.counts)
        self.logits = spec.readings()[0].logits(outputs)

    def forward(self, maps: Maps, image_size: tuple[int, int]) -> Found:
        """Returns what `HeadModule` says for maps (N, C, H_i, W_i)."""
        logits, deltas, hidden = self.predict(maps)
        starts = anchor_boxes(image_size, self.strides, self.shapes_of(image_size), maps[0].device)
        return {
            "out": (self.by_anchor(logits, self.logits), self.by_anchor(deltas, 4)),
            "starts": starts,
            "hidden": hidden,
        }

    def predict(self, maps: Maps) -> tuple[Maps, Maps, Maps]:
        """Returns maps of logits (N, n L, H_i, W_i) and deltas (N, 4 n, H_i, W_i) a level, and `hidden`."""
        raise NotImplementedError

    def shapes_of(self, image_size: tuple[int, int]) -> Shapes:
        """Returns the anchors of one position, for each level."""
        return self.anchors.shapes(self.strides, image_size)

    def by_anchor(self, levels: Maps, numbers: int) -> Tensor:
        """Returns maps (N, anchors * numbers, H_i, W_i) as one list of anchors, (N, A, numbers).

        Where a level has fewer anchors than another, what a shared convolution says beyond them is left out.
        """
        rows = []
        for x, count in zip(levels, self.counts, strict=True):
            used = x[:, : count * numbers] if x.shape[1] > count * numbers else x
            rows.append(used.permute(0, 2, 3, 1).reshape(x.shape[0], -1, numbers))
        return torch.cat(rows, dim=1)


class OneStageModule(DenseModule):
    """Two towers and two predictors, the same for all levels."""

    def __init__(self, spec: OneStage, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__(spec, inputs, outputs, anchors)
        width = inputs[0].channels
        self.class_tower = tower(width, spec.depth, spec.norm == "group")
        self.classes = nn.Conv2d(width, self.most * self.logits, 3, padding=1)
        self.box_tower = tower(width, spec.depth, spec.norm == "group")
        self.boxes = nn.Conv2d(width, self.most * 4, 3, padding=1)
        small_weights(self, 0.01)
        expect(self.classes, spec.prior)

    def predict(self, maps: Maps) -> tuple[Maps, Maps, Maps]:
        """Returns maps of logits and deltas, and those of the classes' tower."""
        hidden = [self.class_tower(x) for x in maps]
        return [self.classes(x) for x in hidden], [self.boxes(self.box_tower(x)) for x in maps], hidden


class RpnModule(DenseModule):
    """A 3x3 convolution, then logits and deltas of every anchor, the same for all levels."""

    def __init__(self, spec: Rpn, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__(spec, inputs, outputs, anchors)
        width = inputs[0].channels
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.objectness = nn.Conv2d(width, self.most * self.logits, 1)
        self.deltas = nn.Conv2d(width, self.most * 4, 1)
        small_weights(self, 0.01)

    @property
    def classifier(self) -> nn.Module:
        """The layer that scores the classes, or whether there is an object."""
        return self.objectness

    def predict(self, maps: Maps) -> tuple[Maps, Maps, Maps]:
        """Returns maps of logits and deltas, and those of the 3x3 convolution."""
        hidden = [self.relu(self.conv(x)) for x in maps]
        return [self.objectness(x) for x in hidden], [self.deltas(x) for x in hidden], hidden


class LightRpnModule(DenseModule):
    """A 5x5 depthwise and a 1x1 convolution with batch norm, then logits and deltas of every anchor."""

    def __init__(self, spec: LightRpn, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__(spec, inputs, outputs, anchors)
        width = inputs[0].channels
        depthwise = nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False)
        nn.init.kaiming_normal_(depthwise.weight, nonlinearity="relu")
        self.conv = nn.Sequential(depthwise, BatchNorm(width), *conv_norm(width, spec.width))
        self.objectness = nn.Conv2d(spec.width, self.most * self.logits, 1)
        self.deltas = nn.Conv2d(spec.width, self.most * 4, 1)
        small_weights(self.objectness, 0.01)
        small_weights(self.deltas, 0.01)

    @property
    def classifier(self) -> nn.Module:
        """The layer that scores the classes, or whether there is an object."""
        return self.objectness

    def predict(self, maps: Maps) -> tuple[Maps, Maps, Maps]:
        """Returns maps of logits and deltas, and those of the 1x1 convolution."""
        hidden = [self.conv(x) for x in maps]
        return [self.objectness(x) for x in hidden], [self.deltas(x) for x in hidden], hidden


class SsdModule(DenseModule):
    """Levels added behind the last map, and predictors of its own for every level."""

    def __init__(self, spec: Ssd, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__(spec, inputs, outputs, anchors)
        levels, half = spec.levels(inputs), max(1, spec.extra_width // 2)
        self.extra = nn.ModuleList()
        for before in levels[len(inputs) - 1 : -1]:
            first, second = nn.Conv2d(before.channels, half, 1), nn.Conv2d(half, spec.extra_width, 3, 2, padding=1)
            for conv in (first, second):
                nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
                nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
            self.extra.append(nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True)))
        pairs = list(zip(levels, self.counts, strict=True))
        self.classes = nn.ModuleList([nn.Conv2d(f.channels, n * self.logits, 3, padding=1) for f, n in pairs])
        self.boxes = nn.ModuleList([nn.Conv2d(f.channels, n * 4, 3, padding=1) for f, n in pairs])
        small_weights(self.classes, 0.01)
        small_weights(self.boxes, 0.01)
        for predictor in self.classes:
            if spec.scores == "softmax":
                expect_background(predictor, spec.prior, self.logits)
            else:
                expect(predictor, spec.prior)

    def predict(self, maps: Maps) -> tuple[Maps, Maps, Maps]:
        """Returns maps of logits and deltas, and the maps that went in."""
        levels = list(maps)
        for extra in self.extra:
            levels.append(extra(levels[-1]))
        classes = [predict(x) for predict, x in zip(self.classes, levels, strict=True)]
        return classes, [predict(x) for predict, x in zip(self.boxes, levels, strict=True)], maps


class PoolingPyramidModule(DenseModule):
    """A 1x1 convolution and predictors for all levels, the pooled ones among them."""

    def __init__(self, spec: PoolingPyramid, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__(spec, inputs, outputs, anchors)
        self.pooled = spec.pooled
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.conv = nn.Conv2d(inputs[0].channels, spec.hidden, 1)
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        self.relu = nn.ReLU(inplace=True)
        self.classes = nn.Conv2d(spec.hidden, self.most * self.logits, 3, padding=1)
        self.boxes = nn.Conv2d(spec.hidden, self.most * 4, 3, padding=1)
        small_weights(self.classes, 0.01)
        small_weights(self.boxes, 0.01)
        expect(self.classes, spec.prior)

    def predict(self, maps: Maps) -> tuple[Maps, Maps, Maps]:
        """Returns maps of logits and deltas, and those of the 1x1 convolution at the levels that went in."""
        levels = list(maps)
        for _ in range(self.pooled):
            levels.append(self.pool(levels[-1]))
        hidden = [self.relu(self.conv(x)) for x in levels]
        return [self.classes(x) for x in hidden], [self.boxes(x) for x in hidden], hidden[: len(maps)]


class YoloModule(DenseModule):
    """A 3x3 convolution and a 1x1 one for every level; an anchor has tx, ty, tw, th, then its logits."""

    def __init__(self, spec: Yolo, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__(spec, inputs, outputs, anchors)
        self.conv = nn.ModuleList([conv_norm(feature.channels, spec.hidden, 3) for feature in inputs])
        numbers = 4 + self.logits
        self.predictors = nn.ModuleList([nn.Conv2d(spec.hidden, n * numbers, 1) for n in self.counts])
        small_weights(self.predictors, 0.01)
        for conv in self.predictors:
            with torch.no_grad():
                conv.bias.view(-1, numbers)[:, 4] = prior_logit(spec.prior)  # type: ignore[operator]

    @property
    def classifier(self) -> nn.Module:
        """The predictors of all levels, which say where the boxes are, too."""
        return self.predictors

    def forward(self, maps: Maps, image_size: tuple[int, int]) -> Found:
        """Returns what `HeadModule` says for maps (N, C, H_i, W_i)."""
        hidden = [conv(x) for conv, x in zip(self.conv, maps, strict=True)]
        said = [predict(x) for predict, x in zip(self.predictors, hidden, strict=True)]
        numbers = self.by_anchor(said, 4 + self.logits)
        starts = anchor_boxes(image_size, self.strides, self.shapes_of(image_size), maps[0].device)
        steps = [
            torch.full((x.shape[2] * x.shape[3] * n, 1), float(stride), device=x.device)
            for x, n, stride in zip(said, self.counts, self.strides, strict=True)
        ]
        deltas = cell_deltas(numbers[..., :4].float(), starts[:, 2:] - starts[:, :2], torch.cat(steps))
        return {"out": (numbers[..., 4:], deltas), "starts": starts, "hidden": hidden}


def tower(width: int, depth: int, norm: bool) -> nn.Sequential:
    """Returns 3x3 convolutions with ReLU, and with group norm if `norm` says so."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers.append(nn.Conv2d(width, width, 3, padding=1, bias=not norm))
        if norm:
            layers.append(group_norm(width))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def small_weights(module: nn.Module, std: float) -> None:
    """Draws the weights of all convolutions and linear layers of a module anew, with this deviation; biases are 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def prior_logit(prior: float) -> float:
    """Returns the logit of a probability."""
    return -math.log((1 - prior) / prior)


def expect(conv: nn.Module, prior: float) -> None:
    """Sets the biases of a convolution, so that each of its logits starts at a probability.

    Paper: Lin et al., 2017, arXiv 1708.02002, section 3.3.
    """
    nn.init.constant_(conv.bias, prior_logit(prior))  # type: ignore[arg-type]


def expect_background(conv: nn.Module, prior: float, logits: int) -> None:
    """Sets the biases of a convolution, so that each class of an anchor is less likely than its background.

    Args:
        conv: Gives `logits` numbers an anchor, that of the background last.
        prior: Odds of each class against the background are those of this probability.
        logits: Classes and the background.
    """
    with torch.no_grad():
        conv.bias.view(-1, logits)[:, -1] = -prior_logit(prior)  # type: ignore[operator]
