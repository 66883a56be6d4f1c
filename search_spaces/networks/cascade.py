"""The modules of heads that look at regions: proposals, and stages of linear layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.networks.detection import Answer, Found, HeadModule, Maps, small_weights
from search_spaces.operators.boxes import at_least_a_pixel, decode, iou_matrix
from search_spaces.operators.nms import suppress

if TYPE_CHECKING:
    from search_spaces.blocks.anchors import AnchorScheme
    from search_spaces.blocks.base import Pyramid
    from search_spaces.blocks.cascade import RegionHead

# Rounds of suppression among proposals: a fixed number, so that the network can be exported; odd, so that no two that
# stay overlap. What more rounds would still keep comes first among those that fill up.
ROUNDS = 9


class RegionModule(HeadModule):
    """What proposes (`rpn`), and the `stages` that look at regions.

    `forward` returns what `rpn` does for one class, and

    - `proposals`: boxes (N, P, 4) in pixels, without gradients;
    - `pyramid`: the maps (N, C, H_i, W_i) that regions are cut out of;
    - `image_size`: height and width of the images.
    """

    predicted = True

    def __init__(self, spec: RegionHead, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__()
        self.spec, self.readings = spec, spec.readings()
        self.rpn = spec.rpn.build(inputs, 1, anchors)
        stage = VotingStage if spec.voting else BoxStage
        self.stages = nn.ModuleList([stage(spec, inputs, outputs) for _ in self.readings[1:]])
        width = inputs[0].channels
        self.gate = None if spec.gate is None else spec.gate.build(width, spec.rpn.guide(inputs))

    @property
    def classifier(self) -> nn.Module:
        """The layer that scores the classes of the last stage."""
        return self.stages[-1].get_submodule("classes")

    def forward(self, maps: Maps, image_size: tuple[int, int]) -> Found:
        """Returns what the class says for maps (N, C, H_i, W_i)."""
        found: Found = self.rpn(maps, image_size)
        if self.gate is not None:
            maps = [self.gate(x, guide) for x, guide in zip(maps, found["hidden"], strict=True)]
        return found | {"proposals": self.propose(found, image_size), "pyramid": maps, "image_size": image_size}

    @torch.no_grad()
    def propose(self, found: Found, image_size: tuple[int, int]) -> Tensor:
        """Returns the proposals (N, P, 4), in pixels, the best first and each a pixel wide or more.

        P is `proposals`, or the number of anchors if that is less. Candidates that overlap a better one come last.

        Args:
            found: What `rpn` returned.
            image_size: Height and width of the images.
        """
        logits, deltas, starts = self.rpn.answer(found)  # type: ignore[operator]
        count = min(self.spec.candidates, logits.shape[1])
        kept = min(self.spec.proposals, count)
        if logits.is_meta:
            return torch.empty(len(logits), kept, 4, device="meta")
        likely = logits[..., 0].float()
        if self.readings[0].scores == "softmax":
            likely = likely - logits[..., 1].float()
        best = likely.topk(count, dim=1).indices
        places = best[..., None].expand(-1, -1, 4)
        chosen = starts[best] if starts.ndim == 2 else starts.gather(1, places)
        boxes = decode(deltas.gather(1, places), chosen, self.readings[0].weights)
        boxes = at_least_a_pixel(boxes, image_size)
        keep = suppress(iou_matrix(boxes, boxes) > self.spec.overlap, ROUNDS)
        rank = torch.arange(count, device=boxes.device) + count * (~keep).long()
        order = rank.topk(kept, dim=1, largest=False).indices
        # A network that diverged still gets boxes, so that its loss can say so.
        return boxes.gather(1, order[..., None].expand(-1, -1, 4)).nan_to_num()

    def regions(self, found: Found, boxes: Tensor, stage: int) -> Tensor:
        """Returns what a stage cuts out of the pyramid for boxes, (N, P, C, size, size)."""
        regions: Tensor = self.stages[stage].pooling(found["pyramid"], boxes)  # type: ignore[operator]
        return regions

    def look(self, found: Found, boxes: Tensor, stage: int = 0) -> Answer:
        """Returns what a stage says of boxes: K + 1 logits, the background last, and deltas from the boxes.

        Args:
            found: What `forward` returned.
            boxes: Any boxes (N, P, 4) in pixels, as many for each image.
            stage: Number of the stage behind the proposals, from 0.
        """
        logits, deltas = self.stages[stage](self.regions(found, boxes, stage), boxes)
        return Answer(logits, deltas, boxes)

    @torch.no_grad()
    def moved(self, found: Found, answer: Answer, stage: int = 0) -> Tensor:
        """Returns the boxes (N, P, 4) that a stage's answer leads to, from which the next one starts."""
        if answer.starts.is_meta:
            return answer.starts
        boxes = decode(answer.deltas, answer.starts, self.readings[1 + stage].weights)
        return at_least_a_pixel(boxes, found["image_size"]).nan_to_num()

    def answer(self, found: Found) -> Answer:
        """Returns the last stage's boxes, and the mean of what all stages say of their classes."""
        boxes, logits = found["proposals"], []
        for stage in range(len(self.stages)):
            answer = self.look(found, boxes, stage)
            logits.append(answer.logits)
            if stage + 1 < len(self.stages):
                boxes = self.moved(found, answer, stage)
        return answer._replace(logits=torch.stack(logits).mean(0) if len(logits) > 1 else logits[0])


class BoxStage(nn.Module):
    """What is cut out of the pyramid, linear layers, and classes and boxes."""

    def __init__(self, spec: RegionHead, inputs: Pyramid, outputs: int) -> None:
        super().__init__()
        self.pooling = spec.pooling.build(inputs)
        numbers = [spec.pooling.channels(inputs) * spec.pooling.size**2, *[spec.hidden] * spec.layers]
        self.fc = nn.ModuleList([nn.Linear(a, b) for a, b in zip(numbers, numbers[1:], strict=False)])
        self.relu = nn.ReLU(inplace=True)
        relations = 0 if spec.relation is None else spec.layers
        self.relations = nn.ModuleList([spec.relation.build(spec.hidden) for _ in range(relations) if spec.relation])
        self.classes = nn.Linear(spec.hidden, outputs + 1)
        self.boxes = nn.Linear(spec.hidden, 4)
        small_weights(self.classes, 0.01)
        small_weights(self.boxes, 0.001)

    def forward(self, regions: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits (N, P, K + 1) and deltas (N, P, 4) for regions (N, P, C, size, size) of boxes (N, P, 4)."""
        x = regions.flatten(2)
        for i, layer in enumerate(self.fc):
            x = self.relu(layer(x))
            if len(self.relations):
                x = self.relations[i](x, boxes)
        return self.classes(x), self.boxes(x)


class VotingStage(nn.Module):
    """Position-sensitive maps for every class, the background and the box, whose cells vote.

    Paper: Dai et al., 2016, arXiv 1605.06409, section 2.2.
    """

    def __init__(self, spec: RegionHead, inputs: Pyramid, outputs: int) -> None:
        super().__init__()
        self.logits = outputs + 1
        self.pooling = spec.pooling.model_copy(update={"width": self.logits + 4}).build(inputs)
        small_weights(self.pooling, 0.01)

    @property
    def classes(self) -> nn.Module:
        """The convolution that makes the maps."""
        return self.pooling.get_submodule("maps")

    def forward(self, regions: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits (N, P, K + 1) and deltas (N, P, 4) for regions (N, P, K + 5, size, size)."""
        votes = regions.mean((3, 4))
        return votes[..., : self.logits], votes[..., self.logits :]
