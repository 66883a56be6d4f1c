"""Losses on where classes meet."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.recipe import DualTask, EdgeLoss
from trainers.data.pictures import IGNORE
from trainers.tricks.loss import cross_entropy, edges_of
from trainers.tricks.registry import implements

_KERNEL = 5  # pixels, of a Gaussian with a standard deviation of 1
_BOUNDARY = 1e-8  # a gradient above this is a boundary, as in the authors' code


@implements(EdgeLoss)
def edge_loss(spec: EdgeLoss, logits: Tensor, masks: Tensor) -> Tensor:
    """Returns the weighted binary cross-entropy of edges.

    Args:
        spec: Weight and width.
        logits: (N, 1, H, W) of an edge.
        masks: (N, H, W) classes or `IGNORE`.

    Paper: Takikawa et al., 2019, 1907.05740, equation 3; balance: Xie and Tu, 2015, 1504.06375, equation 2.
    """
    valid, edges = masks != IGNORE, edges_of(masks, spec.width).float()
    loss = F.binary_cross_entropy_with_logits(logits.squeeze(1).float(), edges, reduction="none")
    number = valid.sum().clamp(min=1)
    if spec.balanced:
        share = edges.sum() / number
        loss = loss * (edges * (1 - share) + (1 - edges) * share)
    return spec.weight * (loss * valid).sum() / number


@implements(DualTask)
def dual_task(spec: DualTask, logits: Tensor, edges: Tensor, masks: Tensor) -> Tensor:
    """Returns both terms.

    Args:
        spec: Their weights.
        logits: (N, K, H, W) of classes.
        edges: (N, 1, H, W) logits of an edge.
        masks: (N, H, W) classes or `IGNORE`.
    """
    logits = logits.float()
    there = (edges.squeeze(1).detach().float().sigmoid() > spec.threshold) & (masks != IGNORE)
    right = cross_entropy(logits, torch.where(there, masks, IGNORE))
    return spec.boundary * boundary_gap(logits, masks, spec.temperature) + spec.edge * right


def boundary_gap(logits: Tensor, masks: Tensor, temperature: float) -> Tensor:
    """Returns the mean difference of predicted and true boundaries over the pixels where either is, 0 without any.

    Args:
        logits: (N, K, H, W).
        masks: (N, H, W) classes or `IGNORE`.
        temperature: Of the Gumbel softmax that stands for the choice of a class.

    Paper: Takikawa et al., 2019, 1907.05740, equations 4 to 6.
    Deviation: One boundary map a class, as in the authors' code, not one of the argmax over classes.
    """
    valid = masks != IGNORE
    classes = torch.where(valid, masks, 0)
    true = F.one_hot(classes, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    # Without gradient at what is ignored, where the prediction counts as right.
    chosen = torch.where(valid.unsqueeze(1), F.gumbel_softmax(logits, tau=temperature, hard=True, dim=1), true)
    found, wanted = boundary(chosen), boundary(true)
    total = torch.zeros((), device=logits.device)
    for where in (wanted.detach() > _BOUNDARY, found.detach() > _BOUNDARY):
        total = total + ((found - wanted).abs() * where).sum() / where.sum().clamp(min=1)
    return total


def boundary(classes: Tensor) -> Tensor:
    """Returns the length of the gradient of smoothed class maps, over the square root of 2, (N, K, H, W).

    Args:
        classes: (N, K, H, W), one-hot.

    Paper: Takikawa et al., 2019, 1907.05740, equation 4.
    """
    channels = classes.shape[1]
    offsets = torch.arange(_KERNEL, device=classes.device, dtype=classes.dtype) - _KERNEL // 2
    line = torch.exp(-0.5 * offsets.square())
    kernel = torch.outer(line, line) / line.sum() ** 2
    margin = _KERNEL // 2
    padded = F.pad(classes, (margin,) * 4, mode="replicate")
    smooth = F.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)
    grown = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
    across = (grown[..., 1:-1, 2:] - grown[..., 1:-1, :-2]) / 2
    down = (grown[..., 2:, 1:-1] - grown[..., :-2, 1:-1]) / 2
    # The root has no gradient at 0, so that it is taken where there is a boundary alone.
    squared = across.square() + down.square()
    there = squared > _BOUNDARY**2
    return torch.where(there, squared.clamp(min=_BOUNDARY**2).sqrt(), 0.0) / math.sqrt(2)
