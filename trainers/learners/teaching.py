"""How a learner trains a teacher for itself, once, before it learns from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from search_spaces.build import Architecture
from trainers.learners.base import Learner
from trainers.trial import TrialContext
from trainers.tricks.registry import implementation

_ALONE = {"distillation": None, "early_stopping": None, "ema": None}


def teaching(make: Callable[..., Learner], spec: Any, data: Any, seed: int, device: str) -> Callable[..., nn.Module]:
    """Returns what trains a teacher: the task's own training, of another architecture, without distillation.

    Args:
        make: (spec, data, seed, device) -> learner.
        spec: Architecture and recipe of the student.
        data: What both learn from.
        seed: Of the trial.
        device: A torch device.
    """

    def learn(architecture: Architecture, epochs: int) -> nn.Module:
        from trainers.loop import train

        recipe = spec.recipe.model_copy(update=_ALONE)
        alone = spec.model_copy(update={"architecture": architecture, "recipe": recipe})
        learners: list[Learner] = []

        def made() -> Learner:
            learners.append(make(alone, data, seed, device))
            return learners[0]

        trial = TrialContext("teacher", seed, epochs, device=device, threads=torch.get_num_threads())
        for _ in train(made, recipe, trial):
            pass
        return learners[0].network

    return learn


def distiller(make: Callable[..., Learner], spec: Any, data: Any, seed: int, device: str) -> nn.Module | None:
    """Returns what adds teachers to the loss of a learner, where its recipe asks for it; arguments as above.

    Raises:
        ValueError: A teacher cannot be read.
    """
    wanted = spec.recipe.distillation
    if wanted is None:
        return None
    learn = teaching(make, spec, data, seed, device)
    made: nn.Module = implementation(wanted)(tuple(data.input_shape), len(data.classes), device, learn)
    return made


def joined(**parts: nn.Module | None) -> nn.Module | None:
    """Returns the parts that there are as one module, None without any."""
    there = {name: part for name, part in parts.items() if part is not None}
    return nn.ModuleDict(there) if there else None
