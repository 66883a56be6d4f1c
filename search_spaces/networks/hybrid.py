"""The module of the hybrid task cascade: stages that see a semantic branch, and masks that learn from one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.blocks.regions import RoiAlign
from search_spaces.networks.cascade import RegionModule
from search_spaces.networks.convolution import resized
from search_spaces.networks.detection import Found, Maps
from search_spaces.operators.boxes import at_least_a_pixel, decode

if TYPE_CHECKING:
    from search_spaces.blocks.anchors import AnchorScheme
    from search_spaces.blocks.base import Pyramid
    from search_spaces.blocks.cascade import HybridCascade


class HybridModule(RegionModule):
    """A cascade with a semantic branch (`semantic`) and masks (`masks`), where the spec asks for them.

    `forward` returns, beside what a cascade does,

    - `semantic`: logits (N, K + 1, h, w) of the class that each pixel shows, the background last;
    - `context`: the map (N, C, h, w) that regions are cut out of beside the pyramid.
    """

    def __init__(self, spec: HybridCascade, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__(spec, inputs, outputs, anchors)
        self.interleaved = spec.interleaved
        self.semantic, self.masks, self.mask_poolings = None, None, nn.ModuleList()
        context = (spec.semantic_map(inputs),)
        if spec.semantic:
            self.semantic = SemanticBranch(spec, inputs, outputs)
            self.context_poolings = nn.ModuleList([spec.pooling.build(context) for _ in range(spec.stages)])
        if spec.masks:
            self.masks = nn.ModuleList([MaskStage(spec, inputs, outputs, i) for i in range(spec.stages)])
            pooling = RoiAlign(size=spec.mask_size, sampling=spec.pooling.sampling)
            self.mask_poolings.extend(pooling.build(maps) for maps in (inputs, context)[: 1 + spec.semantic])

    def forward(self, maps: Maps, image_size: tuple[int, int]) -> Found:
        """Returns what the class says for maps (N, C, H_i, W_i)."""
        found = super().forward(maps, image_size)
        if self.semantic is not None:
            found["semantic"], found["context"] = self.semantic(found["pyramid"])
        return found

    def regions(self, found: Found, boxes: Tensor, stage: int) -> Tensor:
        """Returns what a stage cuts out of the pyramid, and out of the semantic branch, for boxes."""
        regions = super().regions(found, boxes, stage)
        return (
            regions + self.context_poolings[stage]([found["context"]], boxes) if self.semantic is not None else regions
        )

    def mask_logits(self, found: Found, boxes: Tensor, stage: int) -> Tensor:
        """Returns what a stage says of the pixels within boxes (N, P, 4), for each class: (N, P, K, size, size).

        Raises:
            TypeError: The head has no masks.
        """
        if self.masks is None:
            raise TypeError("this head has no masks; set masks to true")
        sources = (found["pyramid"], [found["context"]] if self.semantic is not None else [])
        cut = [pool(x, boxes) for pool, x in zip(self.mask_poolings, sources, strict=False)]
        x = cut[0] + cut[1] if len(cut) > 1 else cut[0]
        shape, x, before = x.shape[:2], x.flatten(0, 1), None
        for number in range(stage + 1):
            mask: MaskStage = self.masks[number]  # type: ignore[assignment]
            # What stages before say is of use to those whose masks see it.
            if number == stage or mask.flows_on:
                before = mask.features(x, before)
        assert before is not None
        logits: Tensor = mask.logits(mask.relu(mask.up(before)))
        return logits.view(*shape, *logits.shape[1:])

    def final(self, found: Found) -> tuple[Tensor, ...]:
        """Returns boxes, logits and deltas, and for heads with masks their mean over all stages for the boxes found."""
        starts, logits, deltas = super().final(found)
        if self.masks is None:
            return starts, logits, deltas
        boxes = at_least_a_pixel(decode(deltas, starts, self.readings[-1].weights), found["image_size"])
        masks = [self.mask_logits(found, boxes, stage) for stage in range(len(self.masks))]
        return starts, logits, deltas, torch.stack(masks).mean(0)


class SemanticBranch(nn.Module):
    """The levels of a pyramid, brought to one size and summed, 3x3 convolutions, and what they say of every pixel."""

    def __init__(self, spec: HybridCascade, inputs: Pyramid, outputs: int) -> None:
        super().__init__()
        self.level, width = min(1, len(inputs) - 1), inputs[0].channels
        self.laterals = nn.ModuleList([nn.Conv2d(width, width, 1) for _ in inputs])
        self.convs = _convs(width, width, spec.semantic_depth)
        self.logits = nn.Conv2d(width, outputs + 1, 1)
        self.embed = nn.Conv2d(width, width, 1)

    def forward(self, maps: Maps) -> tuple[Tensor, Tensor]:
        """Returns logits (N, K + 1, h, w) and features (N, C, h, w) of maps (N, C, H_i, W_i)."""
        size = (maps[self.level].shape[2], maps[self.level].shape[3])
        x = sum(resized(lateral(x), size) for lateral, x in zip(self.laterals, maps, strict=True))
        x = self.convs(x)
        return self.logits(x), self.embed(x)


class MaskStage(nn.Module):
    """3x3 convolutions of what lies in a box, joined by what the stage before made of it, and a mask for each class."""

    def __init__(self, spec: HybridCascade, inputs: Pyramid, outputs: int, stage: int) -> None:
        super().__init__()
        width = inputs[0].channels
        self.flows_on = spec.mask_flow
        self.flow = nn.Conv2d(spec.mask_width, width, 1) if stage and spec.mask_flow else None
        self.convs = _convs(width, spec.mask_width, spec.mask_depth)
        self.up = nn.ConvTranspose2d(spec.mask_width, spec.mask_width, 2, 2)
        self.relu = nn.ReLU(inplace=True)
        self.logits = nn.Conv2d(spec.mask_width, outputs, 1)

    def features(self, x: Tensor, before: Tensor | None) -> Tensor:
        """Returns features (n, width, size, size) of regions (n, C, size, size) and of those of the stage before."""
        if self.flow is not None and before is not None:
            x = x + self.flow(before)
        features: Tensor = self.convs(x)
        return features


def _convs(inputs: int, width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(depth):
        conv = nn.Conv2d(width if i else inputs, width, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        layers += [conv, nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
