"""The network of a `Resnet`, as a classifier and as the backbone of other networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from search_spaces.blocks.base import Feature

if TYPE_CHECKING:
    from search_spaces.architectures.resnet import Resnet


class ResnetFeatures(nn.Module):
    """The stem and the stages, with the gates that leave out units where there are any."""

    folds = (("conv1", "bn1"),)

    def __init__(self, spec: Resnet, channels: int) -> None:
        super().__init__()
        stem = spec.stem.build(channels, spec.widths[0], spec.norm)
        self.stem = self._adopted(stem)
        self.stages: list[str] = []
        before = spec.widths[0]
        for i, stage in enumerate(spec.plan()):
            units = [spec.block.build(plan) for plan in stage]
            if spec.reduction is not None and spec.reduced(i):
                units.insert(0, spec.reduction.build(before, spec.norm))
            self.stages.append(f"layer{i + 1}")
            self.add_module(self.stages[-1], nn.Sequential(*units))
            before = stage[-1].out_channels
        found = [(i, spec.context_of(i), feature) for i, feature in enumerate(spec.pyramid())]
        self.contexts = nn.ModuleDict(
            {
                f"stage{i + 1}": context.build((Feature(f.channels, 1),))
                for i, context, f in found
                if context is not None
            }
        )
        gated = spec.gated() if spec.gate is not None else ()
        plans = spec.plan()
        self.gates = None if spec.gate is None else spec.gate.build([plans[i][j].in_channels for i, j in gated])
        # Place of a unit within its stage's modules, a reduction before it counted, to the number of its gate.
        self.gated = {(i, j + int(spec.reduced(i))): number for number, (i, j) in enumerate(gated)}

    def _adopted(self, layers: nn.Sequential) -> tuple[str, ...]:
        """Makes named layers children of this module and returns their names, in order."""
        for name, layer in layers.named_children():
            self.add_module(name, layer)
        return tuple(name for name, _ in layers.named_children())

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the output of each stage, (N, C_i, H_i, W_i) as `pyramid` says, for images (N, C, H, W)."""
        return self.explored(image)[0]

    def explored(self, image: Tensor) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """Returns the output of each stage, and which gates were open, (N, gates); None without gates."""
        x = image
        for name in self.stem:
            x = self.get_submodule(name)(x)
        maps, opened, state = [], [], None
        for i, name in enumerate(self.stages):
            stage: Any = self.get_submodule(name)
            for j, unit in enumerate(stage):
                if self.gates is not None and (i, j) in self.gated:
                    keep, state = self.gates(x, self.gated[i, j], state)
                    opened.append(keep)
                    x = unit(x, keep)
                else:
                    x = unit(x)
            if f"stage{i + 1}" in self.contexts:
                x = self.contexts[f"stage{i + 1}"](x)
            maps.append(x)
        return tuple(maps), torch.stack(opened, dim=1) if opened else None


class ResnetClassifier(ResnetFeatures):
    """The stages and a classifier, and one for training alone, the child `aux`.

    In train mode it returns a dict: `out`, the logits (N, outputs); `features/stageI`, the output of stage I; `gates`
    (where there are any): which were open, (N, gates); `aux` (where there is one): logits (N, outputs) of an inner
    stage.
    """

    def __init__(self, spec: Resnet, channels: int, outputs: int) -> None:
        super().__init__(spec, channels)
        self.classifier = self._adopted(spec.classifier.build(spec.pyramid(), outputs))
        self.inner = spec.aux_stage + 1
        self.aux = None if spec.aux is None else spec.aux.build(spec.pyramid()[: self.inner], outputs)

    @property
    def classifier_layer(self) -> nn.Module:
        """The layer that scores the classes."""
        return self.get_submodule(self.classifier[-1])

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:  # type: ignore[override]
        """Returns the logits (N, outputs) of images (N, C, H, W); in train mode as `out` of a dict."""
        maps, opened = self.explored(image)
        out: Any = maps
        for name in self.classifier:
            out = self.get_submodule(name)(out)
        if not self.training:
            return out  # type: ignore[no-any-return]
        found = {"out": out, **{f"features/stage{i}": x for i, x in enumerate(maps, 1)}}
        if self.aux is not None:
            found["aux"] = self.aux(maps[: self.inner])
        return found if opened is None else found | {"gates": opened}
