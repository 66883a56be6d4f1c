"""All changes of a batch in the order of the recipe; draws come from torch's global generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.recipe import Cutout, Erasing, ImageRecipe, Normalize
from trainers.data.base import ImageSet
from trainers.data.pictures import DetectionSet, SegmentationSet
from trainers.data.sampler import Sampler
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implementation, implements

_TRIES = 10
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Statistics = tuple[NDArray[np.float32], NDArray[np.float32]]
Data = TypeVar("Data", ImageSet, SegmentationSet, DetectionSet)


class Changes:
    """Changes a batch as a recipe says.

    Args:
        recipe: Its `ORDER` says what comes after what.
        sampler: Tells how far training has come.
        mean: (C,) of the normalisation of the images, on the scale 0 to 255.
        std: (C,) likewise.
    """

    def __init__(
        self, recipe: ImageRecipe, sampler: Sampler, mean: NDArray[np.float32], std: NDArray[np.float32]
    ) -> None:
        self._sampler = sampler
        self._mean, self._std = (torch.from_numpy(values / 255).to(sampler.device) for values in (mean, std))
        used = [getattr(recipe, name, None) for name in recipe.ORDER if name != "normalize"]
        self.used: tuple[Callable[[Batch], Batch], ...] = tuple(implementation(trick) for trick in used if trick)

    def __call__(self, batch: Batch) -> Batch:
        """Returns the changed batch.

        Args:
            batch: The rows that the sampler gave last, with normalised images.
        """
        step, progress = max(self._sampler.step - 1, 0), self._sampler.progress
        batch = replace(batch, mean=self._mean, std=self._std, step=step, progress=progress, seed=self._sampler.seed)
        for change in self.used:
            batch = change(batch)
        return batch


def normalized(recipe: ImageRecipe, data: Data) -> Data:
    """Returns the data with the statistics that the recipe normalises with; arrays are not copied."""
    mean, std = implementation(recipe.normalize)(data.mean, data.std)
    return replace(data, mean=mean, std=std)


@implements(Normalize)
def normalize(spec: Normalize, mean: NDArray[np.float32], std: NDArray[np.float32]) -> Statistics:
    """Returns the (C,) means and standard deviations to normalise with, on the scale 0 to 255.

    Args:
        spec: Whose.
        mean: (C,) of the training part, on the scale 0 to 255.
        std: (C,) likewise.
    """
    if spec.statistics == "dataset":
        return mean, std
    if spec.statistics == "none":
        return np.zeros_like(mean), np.full_like(std, 255)
    imagenet = np.array(_IMAGENET, dtype=np.float32) * np.float32(255)
    if len(mean) != 3:
        imagenet = imagenet.mean(1, keepdims=True).repeat(len(mean), 1)
    return imagenet[0], imagenet[1]


@implements(Cutout)
def cutout(spec: Cutout, batch: Batch) -> Batch:
    """Sets squares of every image to zero (the mean)."""
    height, width = batch.images.shape[2:]
    outside_y = _outside(batch.images, height, spec)
    outside_x = _outside(batch.images, width, spec)
    keep = (outside_y.unsqueeze(3) | outside_x.unsqueeze(2)).all(dim=1, keepdim=True)
    return replace(batch, images=batch.images * keep)


def _outside(images: Tensor, side: int, spec: Cutout) -> Tensor:
    """Whether each position along a side lies outside each hole, (N, holes, side)."""
    length = round(spec.length * side)
    centre = torch.randint(0, side, (len(images), spec.holes, 1), device=images.device)
    offset = torch.arange(side, device=images.device) - (centre - length // 2)
    return (offset < 0) | (offset >= length)


@implements(Erasing)
def erasing(spec: Erasing, batch: Batch) -> Batch:
    """Fills a rectangle of some images; of the draws of its shape the first that fits counts, at most 10 are made.

    Paper: Zhong et al., 2017, 1708.04896, algorithm 1.
    """
    if spec.p == 0:
        return batch
    n, channels, height, width = batch.images.shape
    device = batch.images.device
    chosen = torch.rand(n, device=device) < spec.p
    share = spec.smallest + (spec.largest - spec.smallest) * torch.rand(n, _TRIES, device=device)
    aspect = spec.aspect ** (2 * torch.rand(n, _TRIES, device=device) - 1)
    tall = (share * height * width * aspect).sqrt().round()
    wide = (share * height * width / aspect).sqrt().round()
    found = tall * wide / (height * width)
    fits = (tall >= 1) & (tall <= height) & (wide >= 1) & (wide <= width)
    fits &= (found >= spec.smallest) & (found <= spec.largest)
    first = fits.float().argmax(1, keepdim=True)
    inside = (chosen & fits.any(1)).view(n, 1, 1)
    for size, side, dim in ((tall, height, 2), (wide, width, 1)):
        length = size.gather(1, first)
        offset = torch.arange(side, device=device) - (torch.rand(n, 1, device=device) * (side - length + 1)).floor()
        inside = inside & ((offset >= 0) & (offset < length)).unsqueeze(dim)
    return replace(batch, images=torch.where(inside.unsqueeze(1), _filling(spec, batch), batch.images))


def _filling(spec: Erasing, batch: Batch) -> Tensor:
    if spec.fill == "mean":
        return batch.images.new_zeros(())
    mean, std = channels(batch)
    return ((torch.rand_like(batch.images) if spec.fill == "noise" else 0) - mean) / std


def channels(batch: Batch) -> tuple[Tensor, Tensor]:
    """Returns mean and standard deviation of a batch's normalisation, (C, 1, 1) each, of images in [0, 1]."""
    count = batch.images.shape[1]
    mean = batch.images.new_zeros(count) if batch.mean is None else batch.mean
    std = batch.images.new_ones(count) if batch.std is None else batch.std
    return mean.view(-1, 1, 1), std.view(-1, 1, 1)
