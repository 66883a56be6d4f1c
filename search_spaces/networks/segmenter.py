"""The network of a `Segmenter`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from search_spaces.blocks.heads import Head1x1, Head3x3Then1x1
from search_spaces.networks.convolution import resized
from search_spaces.networks.decoders import parts_of

if TYPE_CHECKING:
    from search_spaces.architectures.segmenter import Segmenter


class SegmenterNetwork(nn.Module):
    """Backbone, context, decoder and head, and what only training needs, all of it below the child `aux`.

    In eval mode it returns the logits (N, outputs, H, W). In train mode it returns a dict:

    - `out`: the logits (N, outputs, H, W);
    - `aux` (where there are auxiliary heads): a tuple of their logits (N, outputs, H, W), those of the decoder before
      those of the backbone's maps, which are in the order of the spec;
    - `edges` (where there is a head for them): logits (N, 1, H, W);
    - `features/backbone`, `features/context` (where there is one), `features/decoder`: the maps behind these parts.
    """

    def __init__(self, spec: Segmenter, channels: int, outputs: int) -> None:
        super().__init__()
        features = spec.backbone.pyramid()
        self.stages = spec.aux_maps()
        self.backbone = spec.backbone.build_features(channels)
        self.context = None if spec.context is None else spec.context.build(features[-1:])
        self.decoder = spec.decoder.build(spec.informed())
        self.head = spec.head.build(spec.decoded().channels, outputs)
        self.aux = nn.ModuleDict()
        supervised = spec.decoder.supervised(spec.informed())
        self.supervised = [f"decoder{i}" for i in range(len(supervised))]
        for name, feature in zip(self.supervised, supervised, strict=True):
            self.aux[name] = Head1x1().build(feature.channels, outputs)
        for i in self.stages:
            width = features[i].channels
            self.aux[f"map{i}"] = Head3x3Then1x1(hidden=max(1, width // 4)).build(width, outputs)
        if spec.edges:
            width = spec.decoded().channels
            self.aux["edges"] = Head3x3Then1x1(hidden=max(1, width // 4)).build(width, 1)

    @property
    def classifier_layer(self) -> nn.Module:
        """The layer that scores the classes: the head's last."""
        return [module for module in self.head.modules() if isinstance(module, nn.Conv2d)][-1]

    def forward(self, image: Tensor) -> Tensor | dict[str, Any]:
        """Returns what the class says for images (N, C, H, W)."""
        size = (image.shape[2], image.shape[3])
        maps = self.backbone(image)
        last = maps[-1] if self.context is None else self.context(maps[-1])
        decoded, aux = parts_of(self.decoder((*maps[:-1], last)))
        out = resized(self.head(decoded), size)
        if not self.training:
            return out
        found: dict[str, Any] = {"out": out, "features/backbone": maps[-1], "features/decoder": decoded}
        if self.context is not None:
            found["features/context"] = last
        heads = [*zip(self.supervised, aux, strict=True), *((f"map{i}", maps[i]) for i in self.stages)]
        if heads:
            found["aux"] = tuple(resized(self.aux[name](x), size) for name, x in heads)
        if "edges" in self.aux:
            found["edges"] = resized(self.aux["edges"](decoded), size)
        return found
