"""The modules of `search_spaces.blocks.coordinates`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.layers import SoftmaxPool
from search_spaces.networks.non_local import zeroed
from search_spaces.networks.positions import GRID, coordinate_grid, one_hot_grid, sinusoid_grid

if TYPE_CHECKING:
    from search_spaces.blocks.coordinates import CoordinateEncodedAttention, InputChannels

NUMBERS = {"onehot": 2 * GRID, "sin": 2 * GRID, "coordconv": 2}
# Rows, and columns, of the mean mask, which is resized to its place.
MASK = 32


def encoded(encoding: str, height: int, width: int, device: torch.device) -> Tensor:
    """Returns what is known of each position, (1, K, height, width).

    Args:
        encoding: `onehot`, `sin` or `coordconv`.
        height: Rows.
        width: Columns.
        device: Where the result lies.
    """
    if encoding == "onehot":
        return one_hot_grid(height, width, device)[None]
    if encoding == "sin":
        return sinusoid_grid(height, width, NUMBERS["sin"], device)[None]
    return coordinate_grid(height, width, device)[None]


class CoordinateEncodedModule(nn.Module):
    """Logits a position from its value, the map's average and its place; the average by them, added to the map."""

    def __init__(self, spec: CoordinateEncodedAttention, channels: int) -> None:
        super().__init__()
        self.encoding = spec.encoding
        self.value = nn.Conv2d(channels, spec.hidden, 1)
        self.state = nn.Conv2d(channels, spec.hidden, 1, bias=False)
        self.place: nn.Module | None = None
        if spec.encoding != "none":
            self.place = nn.Conv2d(NUMBERS[spec.encoding], spec.hidden, 1, bias=False)
        self.score = nn.Conv2d(spec.hidden, 1, 1, bias=False)
        self.pool = SoftmaxPool()
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a map of the same shape."""
        out: Tensor = x + self.out(self.pool(x, self.logits(x)))
        return out

    def logits(self, x: Tensor) -> Tensor:
        """Returns how much each position is attended to, before the softmax, (N, 1, H, W)."""
        hidden = self.value(x) + self.state(x.mean((2, 3), keepdim=True))
        if self.place is not None:
            hidden = hidden + self.place(encoded(self.encoding, x.shape[2], x.shape[3], x.device))
        out: Tensor = self.score(hidden.tanh())
        return out


class InputChannelsModule(nn.Module):
    """An image and further channels, side by side."""

    def __init__(self, spec: InputChannels) -> None:
        super().__init__()
        self.added = spec.added
        self.extent = spec.extent
        self.mask = nn.Parameter(torch.zeros(1, 1, MASK, MASK)) if spec.added == "xy+shape" else None

    def forward(self, image: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Returns the image with more channels, (N, C + 1 to 3, H, W).

        Args:
            image: (N, C, H, W).
            boxes: What coordinates are relative to, (N, 4) in pixels of the image; None: the image.
        """
        if self.added == "edge":
            return torch.cat([image, edges(image)], dim=1)
        place = relative_coordinates(image, boxes)
        maps = [image, place.to(image.dtype)]
        if self.mask is not None:
            mask = self.mask.float().expand(image.shape[0], -1, -1, -1)
            grid = place.permute(0, 2, 3, 1) / self.extent
            maps.append(F.grid_sample(mask, grid, align_corners=False).to(image.dtype))
        return torch.cat(maps, dim=1)


def relative_coordinates(image: Tensor, boxes: Tensor | None = None) -> Tensor:
    """Returns (x, y) of each pixel of images (N, C, H, W), (N, 2, H, W) in float32.

    Args:
        image: The images.
        boxes: (x0, y0, x1, y1), (N, 4) in pixels; their borders lie at -1 and 1. None: the borders of the image do.
    """
    height, width = image.shape[2], image.shape[3]
    grid = coordinate_grid(height, width, image.device).expand(image.shape[0], -1, -1, -1)
    if boxes is None:
        return grid
    size = grid.new_tensor([width, height])
    low, high = boxes.to(grid)[:, :2], boxes.to(grid)[:, 2:]
    pixels = (grid + 1) / 2 * size[:, None, None]
    return (2 * pixels - (low + high)[..., None, None]) / (high - low)[..., None, None]


def edges(image: Tensor) -> Tensor:
    """Returns the greatest difference of each pixel from its four neighbours in any channel, (N, 1, H, W).

    Args:
        image: (N, C, H, W); a map of instances goes in as it is, one number an instance.
    """
    down = (image[:, :, 1:] - image[:, :, :-1]).abs().amax(1, keepdim=True)
    right = (image[..., 1:] - image[..., :-1]).abs().amax(1, keepdim=True)
    vertical = torch.maximum(F.pad(down, (0, 0, 1, 0)), F.pad(down, (0, 0, 0, 1)))
    horizontal = torch.maximum(F.pad(right, (1, 0)), F.pad(right, (0, 1)))
    return torch.maximum(vertical, horizontal)
