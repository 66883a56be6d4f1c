"""The modules of `search_spaces.blocks.necks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.convolution import resized

if TYPE_CHECKING:
    from search_spaces.blocks.base import Pyramid
    from search_spaces.blocks.necks import Cem, Fpn, Levelwise


class FpnModule(nn.Module):
    """Laterals, the way down, smoothing, and the extra levels."""

    def __init__(self, spec: Fpn, inputs: Pyramid) -> None:
        super().__init__()
        self.skip, self.extra_levels = spec.skip, spec.extra_levels
        joints = spec.joints(inputs)
        self.keeps_width = all(channels == spec.width for _, channels in joints)
        used = inputs[spec.skip :]
        self.laterals = nn.ModuleList([nn.Conv2d(feature.channels, spec.width, 1) for feature in used])
        # The coarsest maps have none above them to be joined with.
        joined = [channels for _, channels in joints] + [spec.width] * (len(used) - len(joints))
        self.smooth = nn.ModuleList([nn.Conv2d(c, spec.width, 3, padding=1) for c in joined])
        strided = spec.extra_levels if spec.extra == "conv" else 0
        self.extra = nn.ModuleList([nn.Conv2d(spec.width, spec.width, 3, 2, padding=1) for _ in range(strided)])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight, a=1)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.fusions = nn.ModuleList([spec.fusion.build(pair) for pair, _ in joints])
        gate = spec.gate
        self.gates = None if gate is None else nn.ModuleList([gate.build(spec.width, spec.width) for _ in joints])

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Returns the pyramid (N, width, H_i, W_i) of the maps (N, C_i, H_i, W_i), finest first."""
        laterals = [lateral(x) for lateral, x in zip(self.laterals, maps[self.skip :], strict=True)]
        above = laterals[-1]
        outputs: list[Tensor] = []
        for i in reversed(range(len(laterals))):
            x = laterals[i]
            if i < len(self.fusions):
                if self.gates is not None:
                    x = self.gates[i](x, above)
                x = self.fusions[i]([x, resized(above, (x.shape[2], x.shape[3]), "nearest")])
            outputs.insert(0, self.smooth[i](x))
            above = x if self.keeps_width else outputs[0]
        for i in range(self.extra_levels):
            last = outputs[-1]
            outputs.append(self.extra[i](F.relu(last) if i else last) if len(self.extra) else last[:, :, ::2, ::2])
        return tuple(outputs)


class CemModule(nn.Module):
    """Three maps of one width and their sum."""

    def __init__(self, spec: Cem, inputs: Pyramid) -> None:
        super().__init__()
        coarsest = inputs[-1].channels
        self.fine = nn.Conv2d(inputs[-2].channels, spec.width, 1)
        self.coarse = nn.Conv2d(coarsest, spec.width, 1)
        self.whole = nn.Linear(coarsest, spec.width)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Returns one map (N, width, H, W) of the size of the last but one of the maps (N, C_i, H_i, W_i)."""
        x = self.fine(maps[-2])
        coarse = resized(self.coarse(maps[-1]), (x.shape[2], x.shape[3]))
        whole = self.whole(maps[-1].mean((2, 3)))
        return (x + coarse + whole[:, :, None, None],)


class LevelwiseModule(nn.Module):
    """A neck, or none, and a context a map."""

    def __init__(self, spec: Levelwise, inputs: Pyramid) -> None:
        super().__init__()
        self.neck = None if spec.neck is None else spec.neck.build(inputs)
        self.contexts = nn.ModuleList([spec.context.build((feature,)) for feature in spec.before(inputs)])

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Returns what becomes of each of the maps (N, C_i, H_i, W_i), finest first."""
        before = maps if self.neck is None else self.neck(maps)
        return tuple(context(x) for context, x in zip(self.contexts, before, strict=True))
