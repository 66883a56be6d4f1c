"""The network of an `Hourglass`, as a classifier and as the backbone of other networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from search_spaces.blocks.convolution import ConvPlan
from search_spaces.blocks.normalization import BatchNorm
from search_spaces.networks.convolution import conv, resized

if TYPE_CHECKING:
    from search_spaces.architectures.hourglass import Hourglass


class Glass(nn.Module):
    """One level of an hourglass: across, and down, through the next level, and up again; their sum."""

    def __init__(self, spec: Hourglass, depth: int) -> None:
        super().__init__()

        def unit() -> nn.Module:
            return spec.block.build(spec.plan())

        self.across, self.down, self.up = unit(), unit(), unit()
        self.inner = Glass(spec, depth - 1) if depth > 1 else unit()
        self.pool = nn.MaxPool2d(2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        """Returns a map of the shape of its input (N, C, H, W)."""
        low = self.up(self.inner(self.down(self.pool(x))))
        out: Tensor = self.across(x) + resized(low, (x.shape[2], x.shape[3]), "nearest")
        return out


class HourglassFeatures(nn.Module):
    """The stem and the hourglasses; each but the first reads the sum of the one before and of what that had read."""

    def __init__(self, spec: Hourglass, channels: int) -> None:
        super().__init__()
        self.stem = spec.stem.build(channels, spec.width, BatchNorm())
        self.glasses = nn.ModuleList(Glass(spec, spec.depth) for _ in range(spec.stacks))
        self.joins = nn.ModuleList(conv(ConvPlan(spec.width, spec.width, (1, 1))) for _ in range(spec.stacks - 1))

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the map of each hourglass, (N, width, H / stride, W / stride), for images (N, C, H, W)."""
        x, maps = self.stem(image), []
        for i, glass in enumerate(self.glasses):
            maps.append(glass(x))
            if i < len(self.joins):
                x = x + self.joins[i](maps[-1])
        return tuple(maps)


class HourglassClassifier(HourglassFeatures):
    """The hourglasses and a classifier.

    In train mode it returns a dict: `out`, the logits (N, outputs), and `features/stageI`, the map of hourglass I.
    """

    def __init__(self, spec: Hourglass, channels: int, outputs: int) -> None:
        super().__init__(spec, channels)
        self.classifier = spec.classifier.build(spec.pyramid(), outputs)

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:  # type: ignore[override]
        """Returns the logits (N, outputs) of images (N, C, H, W); in train mode as `out` of a dict."""
        maps = super().forward(image)
        out: Tensor = self.classifier(maps)
        if not self.training:
            return out
        return {"out": out, **{f"features/stage{i}": x for i, x in enumerate(maps, 1)}}
