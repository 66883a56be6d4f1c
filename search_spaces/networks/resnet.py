"""The network of a `Resnet`, as a classifier and as the backbone of other networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from search_spaces.networks.layers import DropPath

if TYPE_CHECKING:
    from search_spaces.architectures.resnet import BlockPlan, Resnet


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = kernel // 2 * dilation
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)


class Residual(nn.Module):
    """What both kinds of blocks share: the shortcut, and the sum with the residual, which drop path may drop."""

    def __init__(self, plan: BlockPlan, depth: float) -> None:
        super().__init__()
        self.downsample: nn.Module | None = None
        if plan.stride != 1 or plan.in_channels != plan.out_channels:
            conv = _conv(plan.in_channels, plan.out_channels, 1, plan.stride)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(plan.out_channels))
        self.relu = nn.ReLU(inplace=True)
        self.drop_path = DropPath(depth)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the block's map for its input (N, C, H, W)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(self.drop_path(self.residual(x)) + shortcut)
        return out

    def residual(self, x: Tensor) -> Tensor:
        """Returns what the block adds to its shortcut."""
        raise NotImplementedError


class Basic(Residual):
    """Two 3x3 convolutions."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"))

    def __init__(self, plan: BlockPlan, depth: float) -> None:
        super().__init__(plan, depth)
        self.conv1 = _conv(plan.in_channels, plan.width, 3, plan.stride, plan.before)
        self.bn1 = nn.BatchNorm2d(plan.width)
        self.conv2 = _conv(plan.width, plan.out_channels, 3, dilation=plan.after * plan.dilation)
        self.bn2 = nn.BatchNorm2d(plan.out_channels)

    def residual(self, x: Tensor) -> Tensor:
        """Returns what the block adds to its shortcut."""
        out: Tensor = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return out


class Bottleneck(Residual):
    """A 3x3 convolution between two 1x1 ones."""

    folds = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"))

    def __init__(self, plan: BlockPlan, depth: float) -> None:
        super().__init__(plan, depth)
        self.conv1 = _conv(plan.in_channels, plan.width, 1)
        self.bn1 = nn.BatchNorm2d(plan.width)
        self.conv2 = _conv(plan.width, plan.width, 3, plan.stride, plan.before * plan.dilation)
        self.bn2 = nn.BatchNorm2d(plan.width)
        self.conv3 = _conv(plan.width, plan.out_channels, 1)
        self.bn3 = nn.BatchNorm2d(plan.out_channels)

    def residual(self, x: Tensor) -> Tensor:
        """Returns what the block adds to its shortcut."""
        inner = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(inner)))))
        return out


BLOCKS: dict[str, type[Residual]] = {"basic": Basic, "bottleneck": Bottleneck}


class ResnetFeatures(nn.Module):
    """The stem and the stages."""

    folds = (("conv1", "bn1"),)

    def __init__(self, spec: Resnet, channels: int) -> None:
        super().__init__()
        width, kernel = spec.widths[0], 7 if spec.stem == "imagenet" else 3
        self.conv1 = _conv(channels, width, kernel, 1 if spec.stem == "cifar" else 2)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if spec.stem == "imagenet" else nn.Identity()
        self.stages = [f"layer{i}" for i in range(1, len(spec.depths) + 1)]
        blocks, done = sum(spec.depths), 0
        for name, stage in zip(self.stages, spec.plan(), strict=True):
            made = [BLOCKS[spec.block](plan, (done + i) / blocks) for i, plan in enumerate(stage, 1)]
            self.add_module(name, nn.Sequential(*made))
            done += len(stage)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns the output of each stage, (N, C_i, H_i, W_i) as `pyramid` says, for images (N, C, H, W)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        maps = []
        for name in self.stages:
            x = self.get_submodule(name)(x)
            maps.append(x)
        return tuple(maps)


class ResnetClassifier(ResnetFeatures):
    """The stages, the average over positions and a linear classifier.

    In train mode it returns a dict: `out`, the logits (N, outputs), and `features/stageI`, the output of stage I.
    """

    def __init__(self, spec: Resnet, channels: int, outputs: int) -> None:
        super().__init__(spec, channels)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(spec.pyramid()[-1].channels, outputs)

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:  # type: ignore[override]
        """Returns the logits (N, outputs) of images (N, C, H, W); in train mode as `out` of a dict."""
        maps = super().forward(image)
        out: Tensor = self.fc(self.avgpool(maps[-1]).flatten(1))
        if not self.training:
            return out
        return {"out": out, **{f"features/stage{i}": x for i, x in enumerate(maps, 1)}}
