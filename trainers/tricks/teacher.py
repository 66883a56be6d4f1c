"""Networks to learn from: read from an earlier run, or trained first; frozen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.build import Architecture
from search_spaces.recipe import RunTeacher, Teacher, TrainedTeacher
from trainers.determinism import Generators

Learn = Callable[[Architecture, int], Mapping[str, Tensor]]
"""Trains an architecture for some epochs, or finds it trained, and returns the weights."""


def read_run(path: str) -> tuple[Architecture, dict[str, Tensor]]:
    """Returns architecture and weights of an earlier search.

    Args:
        path: Its folder `best/`.

    Raises:
        ValueError: Something is missing or cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(path)
    try:
        architecture = Architecture.from_data(json.loads((folder / "architecture.json").read_text(encoding="utf-8")))
        return architecture, load_file(folder / "weights.safetensors")
    except (OSError, SafetensorError, ValueError) as error:
        rule = "is no folder best/ of an earlier search, with architecture.json and weights.safetensors"
        raise ValueError(f"{path}: {rule}: {error}") from error


def frozen(network: nn.Module) -> nn.Module:
    """Returns the network in eval mode, without gradients."""
    return network.eval().requires_grad_(False)


class RunNetwork(nn.Module):
    """The winner of an earlier search; what a checkpoint keeps of it is nothing, for it is read again.

    Args:
        spec: Where it is.
        input_shape: (C, H, W) of the data, or what the architecture takes.
        outputs: Classes of the data.
        device: A torch device.

    Raises:
        ValueError: It cannot be read, or was trained on data of other shape.
    """

    def __init__(self, spec: RunTeacher, input_shape: tuple[int, ...], outputs: int, device: str) -> None:
        super().__init__()
        architecture, weights = read_run(spec.path)
        with Generators(0):
            network = architecture.build(input_shape, outputs)
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            rule = f"was trained on other data than {list(input_shape)} with {outputs} classes"
            raise ValueError(f"{spec.path}: the teacher {rule}: {reason}") from error
        # In a tuple, so that it is no child, and its weights are in no checkpoint.
        self._network = (frozen(network.to(device)),)

    def network(self) -> nn.Module:
        """Returns it."""
        return self._network[0]


class TrainedNetwork(nn.Module):
    """A network that is trained, or found, when it is first asked for; its trial's checkpoints keep it from then on.

    Args:
        spec: What it is.
        input_shape: (C, H, W) of the data, or what the architecture takes.
        outputs: Classes of the data.
        device: A torch device.
        learn: Trains it.
    """

    def __init__(
        self, spec: TrainedTeacher, input_shape: tuple[int, ...], outputs: int, device: str, learn: Learn
    ) -> None:
        super().__init__()
        self._spec, self._shape, self._device, self._learn = spec, (input_shape, outputs), device, learn
        self._network: tuple[nn.Module, ...] = ()

    def network(self) -> nn.Module:
        """Returns it, trained."""
        if not self._network:
            # It is first asked for in the middle of a step or an evaluation: neither the lack of gradients there nor
            # the cache of cast weights, which lasts until a step ends, may reach into this training.
            device = torch.device(self._device).type
            with (
                torch.inference_mode(False),
                torch.enable_grad(),
                torch.autocast(device, enabled=False, cache_enabled=False),
            ):
                self._take(self._learn(self._spec.architecture, self._spec.epochs))
        return self._network[0]

    def get_extra_state(self) -> dict[str, Any]:
        """Returns its weights, none before it is trained."""
        return {"weights": dict(self._network[0].state_dict()) if self._network else {}}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Puts its weights back."""
        self._network = ()
        if state["weights"]:
            self._take(state["weights"])

    def _take(self, weights: Mapping[str, Tensor]) -> None:
        with Generators(0):
            network = self._spec.architecture.build(*self._shape)
        # Assigned, so that the layout in memory, and with it the order of sums, is what it was.
        network.load_state_dict(weights, assign=True)
        self._network = (frozen(network.to(self._device)),)


def made_teacher(
    spec: Teacher, input_shape: tuple[int, ...], outputs: int, device: str, learn: Learn
) -> RunNetwork | TrainedNetwork:
    """Returns what holds the network of a teacher; arguments as those of the two.

    Raises:
        ValueError: It cannot be read.
    """
    if isinstance(spec, RunTeacher):
        return RunNetwork(spec, input_shape, outputs, device)
    assert isinstance(spec, TrainedTeacher)
    return TrainedNetwork(spec, input_shape, outputs, device, learn)
