"""The module of guided anchoring: where objects may be, which shape they have there, and features adapted to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.detection import Answer, DenseModule, Found, Maps, expect, small_weights, tower
from search_spaces.operators.boxes import LARGEST_GROWTH, anchor_boxes

if TYPE_CHECKING:
    from search_spaces.blocks.anchors import AnchorScheme
    from search_spaces.blocks.base import Pyramid
    from search_spaces.blocks.detection import Guided

# What is left of a logit where no object can be: far below all others, and finite.
NOWHERE = -1e4


class GuidedModule(DenseModule):
    """A location and a shape branch, adaption, and predictors of the one box of each position.

    `forward` returns, beside what every head returns:

    - `location`: logits of an object's centre, (N, A);
    - `shapes`: logarithms of width and height over those of the squares, (N, A, 2);
    - `squares`: the boxes of shape 0, (A, 4);
    - `levels`, `steps`: number of the level of each position, and pixels for a step on it, (A,);
    - `samples`: the boxes of the anchor scheme at every position, (A * n, 4), which tell what a position is for.
    """

    predicted = True

    def __init__(self, spec: Guided, inputs: Pyramid, outputs: int, anchors: AnchorScheme) -> None:
        super().__init__(spec, inputs, outputs, anchors)
        width = inputs[0].channels
        self.threshold, self.scale = spec.threshold, spec.scale
        self.counts = (1,) * len(self.counts)
        self.tower = tower(width, spec.depth, norm=True)
        self.location = nn.Conv2d(width, 1, 1)
        self.shapes = nn.Conv2d(width, 2, 1)
        small_weights(self, 0.01)
        self.adapt = AdaptedConv(width)
        self.relu = nn.ReLU(inplace=True)
        self.classes = nn.Conv2d(width, self.logits, 3, padding=1)
        self.boxes = nn.Conv2d(width, 4, 3, padding=1)
        small_weights(self.classes, 0.01)
        small_weights(self.boxes, 0.01)
        expect(self.location, spec.prior)
        expect(self.classes, spec.prior)

    def forward(self, maps: Maps, image_size: tuple[int, int]) -> Found:
        """Returns what the class says for maps (N, C, H_i, W_i)."""
        seen = [self.tower(x) for x in maps]
        location, shapes = [self.location(x) for x in seen], [self.shapes(x) for x in seen]
        hidden = [self.relu(self.adapt(x, shape.detach())) for x, shape in zip(seen, shapes, strict=True)]
        logits = self.by_anchor([self.classes(x) for x in hidden], self.logits)
        deltas = self.by_anchor([self.boxes(x) for x in hidden], 4)
        square = [((self.scale * stride, self.scale * stride),) for stride in self.strides]
        squares = anchor_boxes(image_size, self.strides, square, logits.device)
        growth = self.by_anchor(shapes, 2).float()
        found: Found = {"out": (logits, deltas), "starts": grown(squares, growth.detach()), "hidden": hidden}
        found |= {"location": self.by_anchor(location, 1).squeeze(-1), "shapes": growth, "squares": squares}
        places = [x.shape[2] * x.shape[3] for x in maps]
        for name, values in (("levels", list(range(len(maps)))), ("steps", list(map(float, self.strides)))):
            each = [torch.full((n,), value, device=logits.device) for n, value in zip(places, values, strict=True)]
            found[name] = torch.cat(each)
        # As many samples on every level: where there are fewer, the last one stands for the rest.
        sampled = [[*level, *[level[-1]] * (self.most - len(level))] for level in self.shapes_of(image_size)]
        return found | {"samples": anchor_boxes(image_size, self.strides, sampled, logits.device)}

    def answer(self, found: Found) -> Answer:
        """Returns the boxes and classes, outside of training with nothing where no object can be."""
        (logits, deltas), starts = found["out"], found["starts"]
        if not self.training:
            nowhere = found["location"].float().sigmoid() < self.threshold
            logits = logits.masked_fill(nowhere.unsqueeze(-1), NOWHERE)
        return Answer(logits, deltas, starts)


def grown(squares: Tensor, shapes: Tensor) -> Tensor:
    """Returns boxes (N, A, 4) around the middles of squares (A, 4), sides times exp(shapes), shapes (N, A, 2).

    Paper: Wang et al., 2019, arXiv 1901.03278, equation 2.
    """
    middle, half = (squares[:, :2] + squares[:, 2:]) / 2, (squares[:, 2:] - squares[:, :2]) / 2
    sides = half * shapes.clamp(-LARGEST_GROWTH, LARGEST_GROWTH).exp()
    return torch.cat([middle - sides, middle + sides], dim=-1)


class AdaptedConv(nn.Module):
    """A 3x3 convolution whose taps lie where a 1x1 convolution of the shapes says: a deformable one.

    What the taps read stands side by side, so that the weights are those of a 1x1 convolution.

    Args:
        width: Channels that go in, and come out.

    Paper: Wang et al., 2019, arXiv 1901.03278, section 3.4; Dai et al., 2017, arXiv 1703.06211, equation 2.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.offsets = nn.Conv2d(2, 18, 1, bias=False)
        self.weight = nn.Conv2d(9 * width, width, 1, bias=False)
        nn.init.normal_(self.offsets.weight, std=0.1)
        nn.init.normal_(self.weight.weight, std=0.01)

    def forward(self, x: Tensor, shapes: Tensor) -> Tensor:
        """Returns a map (N, C, H, W) of a map of the same shape and shapes (N, 2, H, W)."""
        read = taps(x, self.offsets(shapes).float().unflatten(1, (9, 2)))
        out: Tensor = self.weight(read.to(x.dtype))
        return out


def taps(x: Tensor, moved: Tensor) -> Tensor:
    """Returns what the nine taps of a 3x3 kernel read that are moved, by bilinear interpolation; zeros lie around.

    Args:
        x: A map (N, C, H, W).
        moved: Down and to the right, in pixels of the map, for each tap, row by row, (N, 9, 2, H, W).

    Returns:
        The taps of each channel side by side, (N, 9 C, H, W), in float32.
    """
    images, channels, height, width = x.shape
    if x.is_meta:
        return x.new_empty(images, 9 * channels, height, width, dtype=torch.float32)
    tap = torch.arange(9, device=x.device).view(9, 1, 1)
    down = moved[:, :, 0] + tap // 3 - 1 + torch.arange(height, device=x.device)[:, None]
    right = moved[:, :, 1] + tap % 3 - 1 + torch.arange(width, device=x.device)
    # From -1 to 1 across the map, as grids are; the taps lie one below the other.
    grid = torch.stack([(2 * right + 1) / width - 1, (2 * down + 1) / height - 1], dim=-1).flatten(1, 2)
    read = F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return read.view(images, 9 * channels, height, width)
