"""Predictions that are joined over views of an image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.recipe import MultiScaleTest
from trainers.tricks.registry import implements


@implements(MultiScaleTest)
def multi_scale(spec: MultiScaleTest, network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Returns the logarithm of the mean probability over all views, or the logits themselves of one view.

    Args:
        spec: Which views.
        network: Returns (N, K) or (N, K, h, w) logits of (N, C, h, w) images, in eval mode.
        images: (N, C, H, W), normalised.

    Returns:
        (N, K) or (N, K, H, W), as for `images`.
    """
    found = []
    for view, flipped in views(spec, images):
        logits = network(view)
        if logits.dim() == 4:
            logits = resized(logits.flip(3) if flipped else logits, (images.shape[2], images.shape[3]))
        found.append(logits)
    if len(found) == 1:
        return found[0]
    return torch.stack([logits.float().log_softmax(1) for logits in found]).logsumexp(0) - math.log(len(found))


def views(spec: MultiScaleTest, images: Tensor) -> Iterator[tuple[Tensor, bool]]:
    """Yields the images as the network is to see them, and whether they are mirrored.

    Args:
        spec: Which views.
        images: (N, C, H, W), normalised.
    """
    height, width = images.shape[2:]
    for scale in spec.scales:
        view = resized(images, (max(1, round(height * scale)), max(1, round(width * scale))))
        yield view, False
        if spec.flip:
            yield view.flip(3), True


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns (N, C, H, W) images or logits at another size, the very same where it is theirs.

    Args:
        images: Of any size.
        size: Height and width wanted.
    """
    if images.shape[2:] == size:
        return images
    return F.interpolate(images.float(), size, mode="bilinear", antialias=True)
