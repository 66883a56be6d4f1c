"""Figures that tell how good predictions are."""

from __future__ import annotations

import torch
from torch import Tensor


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the share of rows whose largest logit is that of their label, a scalar on the same device.

    Args:
        logits: (N, K).
        labels: (N,).
    """
    return (logits.argmax(1) == labels).float().mean()


def confusion(predictions: Tensor, masks: Tensor, classes: int) -> Tensor:
    """Counts the pixels of each image by class; those whose mask is no class are left out.

    Args:
        predictions: (N, H, W) classes.
        masks: (N, H, W) classes, or a value outside of them to ignore.
        classes: K, their number.

    Returns:
        (N, K, K) int64: in image n, pixels of class i that were predicted as class j.
    """
    images = torch.arange(len(masks), device=masks.device).view(-1, 1, 1)
    places = (images * classes + masks) * classes + predictions
    counted = places[(masks >= 0) & (masks < classes)]
    counts = torch.bincount(counted, minlength=len(masks) * classes**2)
    return counts.view(len(masks), classes, classes)


def class_iou(counts: Tensor) -> Tensor:
    """Returns intersection over union of each class, NaN where it is neither there nor predicted.

    Args:
        counts: (..., K, K), of `confusion`; summed over images for the IoU of a data set.

    Returns:
        (..., K) float64.
    """
    found = counts.double()
    right = found.diagonal(dim1=-2, dim2=-1)
    return right / (found.sum(-1) + found.sum(-2) - right)


def mean_iou(counts: Tensor) -> Tensor:
    """Returns the mean over the classes that are there or predicted, (...,); 0 where there is none.

    Args:
        counts: (..., K, K).
    """
    return class_iou(counts).nanmean(-1).nan_to_num(0.0)
