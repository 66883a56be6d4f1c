"""Changes of colour, an affine map of the channels an image; draws come from torch's global generator."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from search_spaces.recipe import Color, PcaColor
from trainers.tricks.augment import channels
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implements

_LUMA = (0.299, 0.587, 0.114)
# From RGB to luma and the two axes of colour, about which hue turns.
_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


@implements(Color)
def color(spec: Color, batch: Batch) -> Batch:
    """Shifts brightness, contrast, saturation and hue, in this order.

    Deviation: All four are affine, so that they are one map an image, and colours are cut to the range of pixels once,
    after the last; hue is turned in the plane of the two colour axes of YIQ.
    """
    if not (spec.brightness or spec.contrast or spec.saturation or spec.hue):
        return batch
    n, count = batch.images.shape[:2]
    like = batch.images
    mean, std = channels(batch)
    bright, contrast, saturation = (
        1 + x * (2 * torch.rand(n, device=like.device) - 1) for x in (spec.brightness, spec.contrast, spec.saturation)
    )
    grey = like.new_tensor(_LUMA if count == 3 else [1 / count] * count)
    # Mean grey of each image once it is brighter, towards which contrast leads.
    level = bright * ((like.mean((2, 3)) * std.flatten() + mean.flatten()) @ grey)
    matrix = (bright * contrast).view(n, 1, 1) * torch.eye(count, device=like.device)
    offset = ((1 - contrast) * level).view(n, 1, 1).expand(n, count, 1)
    if count == 3:
        tint = _saturate(saturation, grey)
        if spec.hue:
            tint = _turn_hue(spec.hue * (2 * torch.rand(n, device=like.device) - 1), like) @ tint
        matrix, offset = tint @ matrix, tint @ offset
    return _mapped(batch, matrix, offset)


@implements(PcaColor)
def pca_color(spec: PcaColor, batch: Batch) -> Batch:
    """Shifts the colour of every image along the principal components of the pixels.

    Paper: Krizhevsky et al., 2012, section 4.1.
    Deviation: Components are those of the batch, so that nothing has to be measured beforehand; colours stay within
    the range of pixels.
    """
    if spec.sigma == 0:
        return batch
    images = batch.images
    n, count = images.shape[:2]
    mean, std = channels(batch)
    pixels = images.transpose(0, 1).reshape(count, -1) * std.view(-1, 1)
    # On the CPU: the matrix is tiny, and every device then takes the same signs.
    values, vectors = torch.linalg.eigh(torch.cov(pixels).reshape(count, count).double().cpu())
    components = (vectors * values.clamp(min=0).sqrt()).to(images)
    draws = spec.sigma * torch.randn(n, count, device=images.device)
    shift = (draws @ components.T).unsqueeze(2)
    return _mapped(batch, torch.eye(count, device=images.device).expand(n, count, count), shift)


def _saturate(factor: Tensor, grey: Tensor) -> Tensor:
    """(N, 3, 3) maps between grey (0) and the colour itself (1)."""
    same = torch.eye(3, device=grey.device)
    return grey.expand(3, 3) + factor.view(-1, 1, 1) * (same - grey.expand(3, 3))


def _turn_hue(turns: Tensor, like: Tensor) -> Tensor:
    """(N, 3, 3) maps that turn colours about the grey axis."""
    angle = 2 * torch.pi * turns
    zero, one = torch.zeros_like(angle), torch.ones_like(angle)
    rows = [one, zero, zero, zero, angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos()]
    basis = like.new_tensor(_YIQ)
    found: Tensor = torch.linalg.inv_ex(basis).inverse @ torch.stack(rows, 1).view(-1, 3, 3) @ basis
    return found


def _mapped(batch: Batch, matrix: Tensor, offset: Tensor) -> Batch:
    """Maps the colours of images in [0, 1] by (N, C, C) and (N, C, 1), and cuts them to that range."""
    mean, std = (item.view(-1, 1) for item in channels(batch))
    matrix = matrix * (std.view(1, 1, -1) / std)
    offset = (matrix @ (mean / std)) + (offset - mean) / std
    low, high = (-mean / std).unsqueeze(2), ((1 - mean) / std).unsqueeze(2)
    images = torch.baddbmm(offset, matrix, batch.images.flatten(2)).view_as(batch.images)
    return replace(batch, images=images.clamp(low, high))
