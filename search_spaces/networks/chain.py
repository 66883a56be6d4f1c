"""The network of a `Chain`: convolution layers, each reading some earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.layers import Concatenate, DropPath, GlobalAverage

if TYPE_CHECKING:
    from search_spaces.architectures.chain import Chain, LayerPlan


class ChainLayer(nn.Module):
    """Concatenated inputs, convolution, norm, ReLU, attention and, where asked for, a 2x2 max pooling of stride 2.

    Deviation: padding is that of stride 1 for every stride, where TensorFlow's SAME depends on the input size; the
    output size is the same.
    """

    folds = (("conv", "norm"),)

    def __init__(self, plan: LayerPlan, depth: float) -> None:
        super().__init__()
        layer = plan.layer
        self.drop_path = DropPath(depth) if len(layer.inputs) > 1 else nn.Identity()
        self.concatenate = Concatenate()
        # An even kernel needs one zero more at the end than at the start, which a convolution cannot be told.
        self.extra = (0, (layer.width + 1) % 2, 0, (layer.height + 1) % 2)
        self.conv = layer.conv.build(plan.conv)
        self.norm = nn.Identity() if layer.norm is None else layer.norm.build(layer.filters)
        self.relu = nn.ReLU(inplace=True)
        self.attention = nn.Identity() if layer.attention is None else layer.attention.build((plan.map,))
        self.pool = nn.MaxPool2d(2, ceil_mode=True) if plan.pooled else nn.Identity()

    def forward(self, *inputs: Tensor) -> Tensor:
        """Returns the layer's map for its inputs, each (N, C_i, H_i, W_i)."""
        x = self.concatenate(*[self.drop_path(x) for x in inputs])
        if any(self.extra):
            x = F.pad(x, self.extra)
        out: Tensor = self.pool(self.attention(self.relu(self.norm(self.conv(x)))))
        return out


class ChainNetwork(nn.Module):
    """Layers in order, then the average of the loose ends and a linear classifier.

    Where several paths meet, at a layer or at the classifier, each of them is subject to drop path; a layer's only
    input is never dropped, for nothing would be left.
    """

    def __init__(self, spec: Chain, plans: tuple[LayerPlan, ...], outputs: int) -> None:
        super().__init__()
        self.sources = tuple(layer.inputs for layer in spec.layers)
        self.ends = spec.loose_ends()
        depths = [(i + 1) / len(plans) for i in range(len(plans))]
        self.layers = nn.ModuleList(map(ChainLayer, plans, depths))
        self.drop_path = DropPath() if len(self.ends) > 1 else nn.Identity()
        self.average = GlobalAverage()
        self.classifier = nn.Linear(sum(spec.layers[i].filters for i in self.ends), outputs)

    @property
    def classifier_layer(self) -> nn.Module:
        """The layer that scores the classes."""
        return self.classifier

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        """Returns the logits (N, outputs) of images (N, C, H, W); in train mode as `out` of a dict."""
        maps: list[Tensor] = []
        for layer, sources in zip(self.layers, self.sources, strict=True):
            maps.append(layer(*[maps[i] for i in sources] or [image]))
        out: Tensor = self.classifier(self.average(*[self.drop_path(maps[i]) for i in self.ends]))
        return {"out": out} if self.training else out
