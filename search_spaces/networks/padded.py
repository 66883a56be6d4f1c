"""The network of a `Padded` backbone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from search_spaces.architectures.padded import Padded
    from search_spaces.build import Shape

_MODES = {"zeros": "constant", "reflect": "reflect"}


def _padded(spec: Padded, image: Tensor) -> Tensor:
    return F.pad(image, (spec.margin,) * 4, _MODES[spec.mode]) if spec.margin else image


class PaddedFeatures(nn.Module):
    """Padding, the backbone, and the cut."""

    def __init__(self, spec: Padded, channels: int) -> None:
        super().__init__()
        self.spec = spec
        self.strides = [feature.stride for feature in spec.pyramid()]
        self.backbone = spec.backbone.build_features(channels)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the maps of the image (N, C, H, W) without its margin."""
        height, width = image.shape[2:]
        maps = []
        for x, stride in zip(self.backbone(_padded(self.spec, image)), self.strides, strict=True):
            cut, rows, columns = self.spec.margin // stride, -(-height // stride), -(-width // stride)
            maps.append(x[:, :, cut : cut + rows, cut : cut + columns])
        return tuple(maps)


class PaddedClassifier(nn.Module):
    """Padding and the backbone's own classifier, which sees the margin as well."""

    def __init__(self, spec: Padded, input_shape: Shape, outputs: int) -> None:
        super().__init__()
        self.spec = spec
        size = tuple(side + 2 * spec.margin for side in input_shape[1:])
        self.backbone = spec.backbone.build((input_shape[0], *size), outputs)

    def forward(self, image: Tensor) -> Any:
        """Returns what the backbone returns for padded images (N, C, H, W)."""
        return self.backbone(_padded(self.spec, image))
