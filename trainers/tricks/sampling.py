"""Which training rows come, how often and when; and which weights learn from them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from search_spaces.recipe import BalanceClasses, EasyFirst, ImageRecipe, OversampleSmall, Recipe, Staged
from trainers.data.base import ImageSet
from trainers.data.pictures import IGNORE, PADDED, DetectionSet, SegmentationSet
from trainers.data.sampler import Arrange, Sampler
from trainers.optim import AnyOptimizer, optimizers
from trainers.tricks.registry import implementation, implements

_AT_ONCE = 256
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """What sampling wants to know of training rows.

    Args:
        classes: (N, K) bool, which classes each shows.
        difficulty: (N,) how hard each is, on any scale.
        smallest: (N,) root of the area of the smallest object, as a share of the image's; infinite without objects.
    """

    classes: NDArray[np.bool_]
    difficulty: Numbers
    smallest: Numbers


def rows_of(data: ImageSet | SegmentationSet | DetectionSet, rows: NDArray[np.int64]) -> Rows:
    """Looks at training rows.

    Args:
        data: The data set.
        rows: (N,) rows of it.
    """
    count, none = len(data.classes), np.full(len(rows), np.inf)
    if isinstance(data, DetectionSet):
        return _objects(data, rows)
    if isinstance(data, SegmentationSet):
        shown = _in_blocks(functools.partial(_classes, count=count), data.masks, rows)
        return Rows(shown, _in_blocks(_edges, data.masks, rows), none)
    return Rows(data.labels[rows, None] == np.arange(count), _in_blocks(_detail, data.images, rows), none)


def make_sampler(recipe: Recipe, rows: Callable[[], Rows], count: int, seed: int, device: str = "cpu") -> Sampler:
    """Returns the sampler of a recipe, whose rows are 0 to count - 1.

    Args:
        recipe: Its `balance` and `curriculum` say what comes how often and when.
        rows: Looks at the rows; called if one of these is on.
        count: Of the rows.
        seed: At least 0.
        device: Where row numbers are put.
    """
    balance = recipe.balance if isinstance(recipe, ImageRecipe) else None
    pace = recipe.curriculum if isinstance(recipe.curriculum, EasyFirst) else None
    arrange: Arrange | None = None
    if balance is not None or pace is not None:
        known = rows()
        weights = np.ones(count) if balance is None else implementation(balance)(known)
        arrange = _arrange(weights, None if pace is None else implementation(pace), known.difficulty)
    return Sampler(np.arange(count), recipe.batch_size, seed, device, arrange)


def _arrange(weights: Numbers, pace: Callable[[float], float] | None, difficulty: Numbers) -> Arrange:
    count = len(weights)
    easiest = np.argsort(difficulty, kind="stable")
    even = bool((weights == weights[0]).all())

    def arrange(rng: np.random.Generator, epoch: int) -> NDArray[np.int64]:
        share = 1.0 if pace is None else pace(epoch)
        eligible = easiest[: max(1, round(share * count))] if share < 1 else np.arange(count)
        if even:
            # Every eligible row once before any comes again.
            rounds = [rng.permutation(eligible) for _ in range(-(-count // len(eligible)))]
            return np.concatenate(rounds)[:count]
        chances = weights[eligible]
        return rng.choice(eligible, count, p=chances / chances.sum())

    return arrange


@implements(BalanceClasses)
def balance_classes(spec: BalanceClasses, rows: Rows) -> Numbers:
    """Returns the (N,) weights of rows: that of the rarest class that each shows; 0 classes weigh as the commonest.

    Paper: Shen et al., 2016, 1512.05830, section 4.
    """
    frequency = rows.classes.mean(0)
    weight = np.where(frequency > 0, np.maximum(frequency, 1e-12) ** -spec.power, 0.0)
    found: Numbers = np.where(rows.classes, weight, 0.0).max(1, initial=0.0)
    return np.maximum(found, weight[weight > 0].min(initial=np.inf) if (weight > 0).any() else 1.0)


@implements(OversampleSmall)
def oversample_small(spec: OversampleSmall, rows: Rows) -> Numbers:
    """Returns the (N,) weights of rows: more for those with a small object.

    Paper: Kisantal et al., 2019, 1902.07296, section 4.1.
    """
    return np.where(rows.smallest < spec.small, spec.ratio, 1.0)


@implements(EasyFirst)
def easy_first(spec: EasyFirst, epoch: float) -> float:
    """Returns the share of the rows, the easiest first, that an epoch learns from.

    Paper: Hacohen and Weinshall, 2019, 1904.03626, section 2.3 (there exponential; here linear).
    """
    return 1.0 if epoch >= spec.epochs else spec.start + (1 - spec.start) * epoch / spec.epochs


@implements(Staged)
class Stages:
    """Freezes weights at the input side of a network in the first epochs; nothing has to be saved.

    Args:
        spec: How many, and how long.
        network: Whose weights, in the order in which it declares them.
        optimizer: Of the network.
    """

    def __init__(self, spec: Staged, network: nn.Module, optimizer: AnyOptimizer) -> None:
        self.spec = spec
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        # What does not learn by itself is left alone; one weight at least learns.
        self._frozen = weights[: min(int(spec.frozen * len(weights)), len(weights) - 1)]
        for each in optimizers(optimizer):
            for group in each.param_groups:
                for weight in group["params"] if group.get("momentum") else ():
                    # PyTorch's fused SGD refuses weights without momentum beside others that have it; from 0 the
                    # first step is the same to the bit.
                    each.state[weight]["momentum_buffer"] = torch.zeros_like(weight)

    def update(self, epoch: float) -> None:
        """Freezes or frees the weights.

        Args:
            epoch: Epochs taken, a fraction too.
        """
        for weight in self._frozen:
            weight.requires_grad_(epoch >= self.spec.epochs)


def _objects(data: DetectionSet, rows: NDArray[np.int64]) -> Rows:
    boxes, labels = data.boxes[rows].astype(np.float64), data.labels[rows]
    there = labels != PADDED
    _, height, width = data.input_shape
    sides: Numbers = np.sqrt((boxes[..., 2:] - boxes[..., :2]).prod(2) / (height * width))
    shown = (labels[..., None] == np.arange(len(data.classes))).any(1)
    # An object of a quarter of the image's side counts as two of half of it.
    difficulty = np.where(there, 1 / np.maximum(sides, 1e-3), 0).sum(1)
    return Rows(shown, difficulty, np.where(there, sides, np.inf).min(1))


def _in_blocks(
    measure: Callable[[NDArray[np.int16]], NDArray[Any]], maps: NDArray[np.uint8], rows: NDArray[np.int64]
) -> NDArray[Any]:
    """What is measured of every row, of a few at a time, so that no copy of all is made."""
    blocks = [measure(maps[rows[i : i + _AT_ONCE]].astype(np.int16)) for i in range(0, len(rows), _AT_ONCE)]
    return np.concatenate(blocks)


def _classes(masks: NDArray[np.int16], count: int) -> NDArray[np.bool_]:
    """Which classes (N, H, W) masks show, (N, K)."""
    return np.stack([(masks == label).any((1, 2)) for label in range(count)], 1)


def _detail(images: NDArray[np.int16]) -> Numbers:
    """Mean difference between neighbouring pixels of (N, C, H, W) images, (N,)."""
    steps = [np.abs(np.diff(images, axis=axis)).mean((1, 2, 3)) for axis in (2, 3) if images.shape[axis] > 1]
    found: Numbers = np.sum([np.zeros(len(images)), *steps], axis=0)
    return found


def _edges(masks: NDArray[np.int16]) -> Numbers:
    """Share of neighbouring pixels of (N, H, W) masks with different classes, (N,)."""
    found = np.zeros(len(masks))
    for before, after in ((masks[:, 1:], masks[:, :-1]), (masks[:, :, 1:], masks[:, :, :-1])):
        found += ((before != after) & (before != IGNORE) & (after != IGNORE)).mean((1, 2))
    return found
