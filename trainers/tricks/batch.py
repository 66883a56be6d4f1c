"""What augmentations and mixes change."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """One batch on its way to the network; what a task has no use for is None.

    Args:
        images: (N, C, H, W), normalised.
        labels: (N,) classes, which stay as they are.
        targets: (N, K) probabilities, or the labels where nothing softens them.
        masks: (N, H, W) int64 classes of pixels, `IGNORE` (255) where there is none.
        boxes: (N, M, 4) float32, left, top, right and bottom edge in pixels; padding is 0.
        classes: (N, M) int64 classes of the boxes, -1 for padding. Objects need not come first.
        weights: (N, M) float32 weights of the boxes in the loss; None: 1 each.
        instances: (N, H, W) int64, 1 + place of the object that a pixel shows, or 0.
        rows: (N,) row numbers.
        mean: (C,) of the normalisation, of images in [0, 1]; None: 0.
        std: (C,) of the normalisation, of images in [0, 1]; None: 1.
        step: Batches before this one.
        progress: Share of training done, in [0, 1).
        seed: Of what depends on the step alone.
    """

    images: Tensor
    labels: Tensor | None = None
    targets: Tensor | None = None
    masks: Tensor | None = None
    boxes: Tensor | None = None
    classes: Tensor | None = None
    weights: Tensor | None = None
    instances: Tensor | None = None
    rows: Tensor | None = None
    mean: Tensor | None = None
    std: Tensor | None = None
    step: int = 0
    progress: float = 0.0
    seed: int = 0
