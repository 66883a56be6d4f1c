"""The network of a `Detector`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from search_spaces.networks.detection import Answer, Found, HeadModule

if TYPE_CHECKING:
    from search_spaces.architectures.detector import Detector


class DetectorNetwork(nn.Module):
    """Backbone, neck, context and head. A is the number of anchors, P that of proposals, L that of logits.

    In eval mode it returns a tuple of undecoded tensors:

    - logits (N, A, L) and deltas (N, A, 4) from the anchors, where boxes start from anchors;
    - where the network says from where they start, these boxes (N, P, 4) in pixels, logits (N, P, L) and deltas
      (N, P, 4) from them; heads with masks add their logits (N, P, K, h, w).

    In train mode it returns a dict:

    - what the head returns, see `search_spaces.networks.detection.HeadModule`: `out`, `starts`, and more;
    - `features/backbone`: the coarsest map of the backbone; `features/neck0`, `features/neck1`, ...: the pyramid.
    """

    def __init__(self, spec: Detector, channels: int, outputs: int) -> None:
        super().__init__()
        inner = spec.backbone.pyramid()
        self.backbone = spec.backbone.build_features(channels)
        self.neck = spec.neck.build(inner)
        self.context: nn.ModuleList | None = None
        if spec.context is not None:
            self.context = nn.ModuleList([spec.context.build((feature,)) for feature in spec.neck.outputs(inner)])
        head: HeadModule = spec.head.build(spec.pyramid(), outputs, spec.anchors)  # type: ignore[assignment]
        self.head = head

    @property
    def classifier_layer(self) -> nn.Module:
        """The layer that scores the classes in the end, or a list of such layers, one a level."""
        return self.head.classifier

    def forward(self, image: Tensor) -> tuple[Tensor, ...] | Found:
        """Returns what the class says for images (N, C, H, W)."""
        inner = self.backbone(image)
        pyramid = self.neck(inner)
        if self.context is not None:
            pyramid = tuple(context(x) for context, x in zip(self.context, pyramid, strict=True))
        found: Found = self.head(pyramid, (image.shape[2], image.shape[3]))
        if not self.training:
            return self.head.final(found)
        del found["hidden"]
        maps = {f"features/neck{i}": x for i, x in enumerate(pyramid)}
        return found | {"features/backbone": inner[-1]} | maps

    def answer(self, found: Found) -> Answer:
        """Returns what the head says in the end of images for which `forward` returned `found` in train mode."""
        return self.head.answer(found)
