"""The modules of `search_spaces.architectures.image_pyramid`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.blocks.pooling import LinearClassifier
from search_spaces.networks.convolution import resized

if TYPE_CHECKING:
    from search_spaces.architectures.image_pyramid import ImageCascade, ScaleAttention
    from search_spaces.blocks.base import Backbone


class CascadeFeatures(nn.Module):
    """One backbone for images of several sizes."""

    def __init__(self, spec: ImageCascade, channels: int) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = spec.backbone.build_features(channels)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the coarsest map (N, C, h / factor, w / factor) of each size, for images (N, channels, H, W)."""
        sizes = self.spec.sizes((image.shape[2], image.shape[3]))
        return tuple(self.backbone(resized(image, (height, width)))[-1] for height, width in sizes)


class ScaleFeatures(nn.Module):
    """One backbone for images of several sizes, and what weighs its maps."""

    def __init__(self, spec: ScaleAttention, channels: int) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = spec.backbone.build_features(channels)
        self.attention: nn.Module | None = None
        if len(spec.scales) > 1:
            read = len(spec.scales) * spec.pyramid()[-1].channels
            self.attention = nn.Sequential(
                nn.Conv2d(read, spec.hidden, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(spec.hidden, len(spec.scales), 1),
            )

    def weights(self, coarsest: list[Tensor]) -> Tensor:
        """Returns weights (N, scales, h, w) that sum to 1 at each position, for the coarsest map of each scale.

        Args:
            coarsest: (N, C, h, w), all of the size of the first scale's.
        """
        assert self.attention is not None
        logits: Tensor = self.attention(torch.cat(coarsest, dim=1))
        return logits.softmax(1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the weighed means of the backbone's maps over all scales, for images (N, channels, H, W)."""
        maps: tuple[Tensor, ...] = self.backbone(image)
        if self.attention is None:
            return maps
        # By level: the map of each scale, all of the size of the first.
        levels = [[x] for x in maps]
        for height, width in self.spec.sizes((image.shape[2], image.shape[3]))[1:]:
            for level, x in zip(levels, self.backbone(resized(image, (height, width))), strict=True):
                level.append(resized(x, (level[0].shape[2], level[0].shape[3])))
        weights = self.weights(levels[-1])
        means = []
        for level in levels:
            shares = resized(weights, (level[0].shape[2], level[0].shape[3]))
            means.append(torch.stack([x * shares[:, i : i + 1] for i, x in enumerate(level)]).sum(0))
        return tuple(means)


class PyramidClassifier(nn.Module):
    """Such a backbone, the average of its coarsest map and a linear classifier.

    In train mode it returns a dict: `out`, the logits (N, outputs), and `features/mapI`, map I of the backbone.
    """

    def __init__(self, spec: Backbone, channels: int, outputs: int) -> None:
        super().__init__()
        self.features = spec.build_features(channels)
        self.classifier = LinearClassifier().build(spec.pyramid(), outputs)

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        """Returns the logits (N, outputs) of images (N, C, H, W); in train mode as `out` of a dict."""
        maps = self.features(image)
        out: Tensor = self.classifier(maps)
        if not self.training:
            return out
        return {"out": out, **{f"features/map{i}": x for i, x in enumerate(maps)}}
