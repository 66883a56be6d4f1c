"""The modules of `search_spaces.blocks.necks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.convolution import resized

if TYPE_CHECKING:
    from search_spaces.blocks.necks import Fpn


class FpnModule(nn.Module):
    """Laterals, the way down, smoothing, and the extra levels."""

    def __init__(self, spec: Fpn, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.skip, self.extra_levels = spec.skip, spec.extra_levels
        self.concat = spec.fusion == "concat"
        used = channels[spec.skip :]
        self.laterals = nn.ModuleList([nn.Conv2d(c, spec.width, 1) for c in used])
        # The coarsest map has none above it to be concatenated with.
        joined = [2 if self.concat and i + 1 < len(used) else 1 for i in range(len(used))]
        self.smooth = nn.ModuleList([nn.Conv2d(n * spec.width, spec.width, 3, padding=1) for n in joined])
        strided = spec.extra_levels if spec.extra == "conv" else 0
        self.extra = nn.ModuleList([nn.Conv2d(spec.width, spec.width, 3, 2, padding=1) for _ in range(strided)])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Returns the pyramid (N, width, H_i, W_i) of the maps (N, C_i, H_i, W_i), finest first."""
        laterals = [lateral(x) for lateral, x in zip(self.laterals, maps[self.skip :], strict=True)]
        above: Tensor | None = None
        outputs: list[Tensor] = []
        for x, smooth in zip(reversed(laterals), reversed(self.smooth), strict=True):
            if above is not None:
                above = resized(above, (x.shape[2], x.shape[3]), "nearest")
                x = torch.cat([x, above], dim=1) if self.concat else x + above
            outputs.insert(0, smooth(x))
            above = outputs[0] if self.concat else x
        for i in range(self.extra_levels):
            last = outputs[-1]
            outputs.append(self.extra[i](F.relu(last) if i else last) if len(self.extra) else last[:, :, ::2, ::2])
        return tuple(outputs)
