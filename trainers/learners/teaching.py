"""Networks that a trial asks beside its own, teachers and members of ensembles: each is trained once a search."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.build import Architecture
from search_spaces.recipe import Recipe, Trick
from trainers.checkpoint import CheckpointError, inside, load, save
from trainers.learners.base import Learner
from trainers.trial import Common, TrialContext
from trainers.tricks.registry import implementation
from trainers.tricks.teacher import Learn

_ENSEMBLE = "ensemble."
"""What the names of members begin with in the checkpoints of their learner."""
Predict = Callable[[Tensor], Tensor]

_log = logging.getLogger(__name__)


def teaching(make: Callable[..., Learner], spec: Any, data: Any, device: str, common: Common) -> Learn:
    """Returns what trains a teacher, or finds it where another trial of the search has left it.

    A teacher is a function of its architecture, its epochs, the data and the seed of the search. Of several trials
    that need it at once each may train it, to the same bits; the first to end leaves it for all later ones.

    Args:
        make: (spec, data, seed, device) -> learner.
        spec: Architecture and recipe of the student.
        data: What both learn from.
        device: A torch device.
        common: Where teachers are left, and the seed that they are trained with.
    """

    def learn(architecture: Architecture, epochs: int) -> dict[str, Tensor]:
        alone = spec.model_copy(update={"architecture": architecture, "recipe": own_recipe(spec.recipe)})
        content = [alone.to_data(), epochs, data.fingerprint(), common.seed]
        name = f"teacher-{hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]}.pt"
        weights = _found(common.folder, name)
        if weights is None:
            weights = _trained(make, alone, data, device, common.seed, epochs)
            _leave(common.folder, name, weights)
        return weights

    return learn


def own_recipe(student: Recipe) -> Recipe:
    """Returns the recipe of a teacher: the default of the task, on images that are normalised as the student's are.

    Nothing else of the student's recipe is taken over, so that a search of recipes has one teacher.
    """
    kept = {name: getattr(student, name) for name in ("normalize",) if name in type(student).model_fields}
    return type(student)(**kept)


def _trained(
    make: Callable[..., Learner], spec: Any, data: Any, device: str, seed: int, epochs: int
) -> dict[str, Tensor]:
    from trainers.loop import train

    learners: list[Learner] = []

    def made() -> Learner:
        learners.append(make(spec, data, seed, device))
        return learners[0]

    trial = TrialContext("teacher", seed, epochs, device=device, threads=torch.get_num_threads())
    for _ in train(made, spec.recipe, trial):
        pass
    return dict(learners[0].network.state_dict())


def _found(folder: str | None, name: str) -> dict[str, Tensor] | None:
    if folder is None:
        return None
    try:
        weights: dict[str, Tensor] = load(inside(folder, name))["network"]
        return weights
    except CheckpointError:
        return None


def _leave(folder: str | None, name: str, weights: dict[str, Tensor]) -> None:
    if folder is None:
        return
    try:
        save(folder, name, {"network": weights})
    except (CheckpointError, OSError) as error:
        # Another trial was first, or the place is full: this trial has what it needs.
        _log.info("the teacher is not left for others: %s", error)


def distiller(make: Callable[..., Learner], spec: Any, data: Any, device: str, common: Common) -> nn.Module | None:
    """Returns what adds teachers to the loss of a learner, where its recipe asks for it; arguments as above.

    Raises:
        ValueError: A teacher cannot be read.
    """
    return _asked(spec.recipe.distillation, data, device, teaching(make, spec, data, device, common))


def members(make: Callable[..., Learner], spec: Any, data: Any, device: str, common: Common) -> nn.Module | None:
    """Returns the other members of an ensemble, where the recipe asks for one; arguments as above.

    Raises:
        ValueError: A member cannot be read.
    """
    return _asked(spec.recipe.ensemble, data, device, teaching(make, spec, data, device, common))


def members_of_checkpoint(spec: Any, data: Any, checkpoint: str) -> nn.Module | None:
    """Returns the other members of an ensemble as a trial asked them last, where its recipe asks for one.

    Args:
        spec: What was trained.
        data: What it learned from.
        checkpoint: Path or URI of what its trial kept.

    Raises:
        CheckpointError: The checkpoint cannot be read, or holds no such member.
        ValueError: A member of an earlier search cannot be read.
    """

    def learn(architecture: Architecture, epochs: int) -> dict[str, Tensor]:
        kind = architecture.to_data()["kind"]
        raise CheckpointError(f"{checkpoint}: holds no trained {kind} of the ensemble")

    made = _asked(spec.recipe.ensemble, data, "cpu", learn)
    if made is not None:
        kept = load(checkpoint).get("learner", {}).get("extra", {})
        made.load_state_dict({name.removeprefix(_ENSEMBLE): kept[name] for name in kept if name.startswith(_ENSEMBLE)})
    return made


def _asked(wanted: Trick | None, data: Any, device: str, learn: Learn) -> nn.Module | None:
    if wanted is None:
        return None
    made: nn.Module = implementation(wanted)(tuple(data.input_shape), len(data.classes), device, learn)
    return made


def together(network: Predict, others: nn.Module | None) -> Predict:
    """Returns what gives the (N, K, ...) logits of images: the network, or all members of its ensemble.

    Args:
        network: The one that is trained.
        others: What `members` returned.
    """
    return network if others is None else functools.partial(others, network)


def joined(**parts: nn.Module | None) -> nn.Module | None:
    """Returns the parts that there are as one module, None without any."""
    there = {name: part for name, part in parts.items() if part is not None}
    return nn.ModuleDict(there) if there else None
