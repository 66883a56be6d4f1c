"""The modules of the detection heads of `search_spaces.blocks.heads`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.networks.convolution import group_norm
from search_spaces.operators.boxes import anchor_boxes, clip, decode, iou_matrix
from search_spaces.operators.nms import suppress
from search_spaces.operators.roi_align import roi_align

if TYPE_CHECKING:
    from search_spaces.blocks.base import Pyramid
    from search_spaces.blocks.heads import AnchorScheme, OneStage, TwoStage

Pair = tuple[Tensor, Tensor]

# Rounds of suppression among proposals: a fixed number, so that the network can be exported; odd, so that no two that
# stay overlap. What more rounds would still keep comes first among those that fill up.
ROUNDS = 9


def _by_anchor(levels: Sequence[Tensor], numbers: int) -> Tensor:
    """Returns maps (N, anchors x numbers, H_i, W_i) as one list of anchors, (N, A, numbers)."""
    return torch.cat([x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, numbers) for x in levels], dim=1)


def _small_weights(module: nn.Module, std: float) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class OneStageModule(nn.Module):
    """Two towers and two predictors, the same for all levels."""

    def __init__(self, spec: OneStage, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__()
        width = inputs[0].channels
        each = len(anchors.shapes(tuple(feature.stride for feature in inputs))[0])
        self.outputs = outputs
        self.class_tower = _tower(width, spec)
        self.classes = nn.Conv2d(width, each * outputs, 3, padding=1)
        self.box_tower = _tower(width, spec)
        self.boxes = nn.Conv2d(width, each * 4, 3, padding=1)
        _small_weights(self, 0.01)
        nn.init.constant_(self.classes.bias, -math.log((1 - spec.prior) / spec.prior))  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> Pair:
        """Returns class logits (N, A, outputs) and deltas (N, A, 4) of all anchors for maps (N, C, H_i, W_i)."""
        classes = [self.classes(self.class_tower(x)) for x in maps]
        boxes = [self.boxes(self.box_tower(x)) for x in maps]
        return _by_anchor(classes, self.outputs), _by_anchor(boxes, 4)


def _tower(width: int, spec: OneStage) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(spec.depth):
        layers.append(nn.Conv2d(width, width, 3, padding=1, bias=spec.norm == "none"))
        if spec.norm == "group":
            layers.append(group_norm(width))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class TwoStageModule(nn.Module):
    """The region proposal network (`rpn`) and the layers of the second stage (`fc1`, `fc2`, `classes`, `boxes`)."""

    def __init__(self, spec: TwoStage, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__()
        self.spec = spec
        width = inputs[0].channels
        self.strides = tuple(feature.stride for feature in inputs)
        self.shapes = anchors.shapes(self.strides)
        self.rpn = RpnModule(width, len(self.shapes[0]))
        self.fc1 = nn.Linear(width * spec.size**2, spec.hidden)
        self.fc2 = nn.Linear(spec.hidden, spec.hidden)
        self.relu = nn.ReLU(inplace=True)
        self.classes = nn.Linear(spec.hidden, outputs + 1)
        self.boxes = nn.Linear(spec.hidden, 4)
        _small_weights(self.classes, 0.01)
        _small_weights(self.boxes, 0.001)

    def forward(self, maps: Sequence[Tensor]) -> Pair:
        """Returns objectness (N, A) and deltas (N, A, 4) of the first stage for maps (N, C, H_i, W_i)."""
        objectness, deltas = self.rpn(maps)
        return objectness, deltas

    @torch.no_grad()
    def propose(self, objectness: Tensor, deltas: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Returns the proposals (N, P, 4) of the first stage, in pixels, the best first and each a pixel wide or more.

        P is `proposals`, or the number of anchors if that is less. Candidates that overlap a better one come last.

        Args:
            objectness: Logits (N, A).
            deltas: (dx, dy, dw, dh) from the anchors, (N, A, 4).
            image_size: Height and width of the images.
        """
        anchors = anchor_boxes(image_size, self.strides, self.shapes, objectness.device)
        count = min(self.spec.candidates, len(anchors))
        best = objectness.float().topk(count, dim=1).indices
        chosen = deltas.gather(1, best[..., None].expand(-1, -1, 4))
        boxes = decode(chosen, anchors[best], self.spec.proposal_weights)
        boxes = _at_least_a_pixel(clip(boxes, image_size), image_size)
        keep = suppress(iou_matrix(boxes, boxes) > self.spec.overlap, ROUNDS)
        rank = torch.arange(count, device=boxes.device) + count * (~keep).long()
        order = rank.topk(min(self.spec.proposals, count), dim=1, largest=False).indices
        return boxes.gather(1, order[..., None].expand(-1, -1, 4))

    def roi_outputs(self, maps: Sequence[Tensor], boxes: Tensor) -> Pair:
        """Returns class logits (N, P, outputs + 1), the background last, and deltas (N, P, 4) of boxes.

        Args:
            maps: The pyramid (N, C, H_i, W_i).
            boxes: Boxes (N, P, 4) in pixels.
        """
        regions = roi_align(maps, boxes, self.strides, self.spec.size, self.spec.sampling)
        x = self.relu(self.fc1(regions.flatten(2)))
        x = self.relu(self.fc2(x))
        return self.classes(x), self.boxes(x)


class RpnModule(nn.Module):
    """A 3x3 convolution, then objectness and deltas of every anchor, the same for all levels."""

    def __init__(self, width: int, anchors: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.objectness = nn.Conv2d(width, anchors, 1)
        self.deltas = nn.Conv2d(width, anchors * 4, 1)
        _small_weights(self, 0.01)

    def forward(self, maps: Sequence[Tensor]) -> Pair:
        """Returns objectness (N, A) and deltas (N, A, 4) for maps (N, C, H_i, W_i)."""
        hidden = [self.relu(self.conv(x)) for x in maps]
        objectness = _by_anchor([self.objectness(x) for x in hidden], 1)
        return objectness.squeeze(-1), _by_anchor([self.deltas(x) for x in hidden], 4)


def _at_least_a_pixel(boxes: Tensor, image_size: tuple[int, int]) -> Tensor:
    # A box of no size could not be coded: the logarithm of its sides is infinite.
    low = boxes[..., :2].minimum(boxes.new_tensor([image_size[1] - 1.0, image_size[0] - 1.0]))
    return torch.cat([low, boxes[..., 2:].maximum(low + 1)], dim=-1)
