"""The network of a `Detector`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from search_spaces.networks.heads import TwoStageModule

if TYPE_CHECKING:
    from search_spaces.architectures.detector import Detector


class DetectorNetwork(nn.Module):
    """Backbone, neck and head. A is the number of anchors, K that of classes, P that of proposals.

    In eval mode it returns a tuple of undecoded tensors:

    - one stage: class logits (N, A, K), deltas (N, A, 4) from the anchors;
    - two stages: proposals (N, P, 4) in pixels, class logits (N, P, K + 1) with the background last, deltas (N, P, 4)
      from the proposals.

    In train mode it returns a dict:

    - `out`: one stage: as in eval mode; two stages: objectness logits (N, A), deltas (N, A, 4) from the anchors;
    - `pyramid`: the maps (N, C, H_i, W_i) of the neck, for `roi_outputs`;
    - `proposals` (two stages): (N, P, 4) in pixels, without gradients;
    - `features/backbone`: the coarsest map of the backbone; `features/neck0`, `features/neck1`, ...: the pyramid.
    """

    def __init__(self, spec: Detector, channels: int, outputs: int) -> None:
        super().__init__()
        pyramid = spec.backbone.pyramid()
        self.backbone = spec.backbone.build_features(channels)
        self.neck = spec.neck.build(pyramid)
        self.head = spec.head.build(spec.neck.outputs(pyramid), outputs, spec.anchors)

    @property
    def classifier_layer(self) -> nn.Module | None:
        """The layer that scores the classes, if the head calls one `classes`."""
        found: nn.Module | None = getattr(self.head, "classes", None)
        return found

    def forward(self, image: Tensor) -> tuple[Tensor, ...] | dict[str, Any]:
        """Returns what the class says for images (N, C, H, W)."""
        inner = self.backbone(image)
        pyramid = self.neck(inner)
        out = self.head(pyramid)
        found: dict[str, Any] = {"out": out, "pyramid": pyramid}
        if isinstance(self.head, TwoStageModule):
            found["proposals"] = self.head.propose(out[0], out[1], (image.shape[2], image.shape[3]))
        if self.training:
            maps = {f"features/neck{i}": x for i, x in enumerate(pyramid)}
            return found | {"features/backbone": inner[-1]} | maps
        if isinstance(self.head, TwoStageModule):
            return (found["proposals"], *self.roi_outputs(pyramid, found["proposals"]))
        return tuple(out)

    def roi_outputs(self, pyramid: Sequence[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what the second stage says of boxes: class logits (N, P, K + 1) and deltas (N, P, 4) from the boxes.

        Args:
            pyramid: The maps that `forward` returned as `pyramid`.
            boxes: Any boxes (N, P, 4) in pixels, as many for each image.

        Raises:
            TypeError: The head has no second stage.
        """
        if not isinstance(self.head, TwoStageModule):
            raise TypeError("a one-stage head has no second stage; use a two_stage head")
        return self.head.roi_outputs(pyramid, boxes)
