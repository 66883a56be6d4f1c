"""The one place that touches torch's global generators: a trial owns them while it runs."""

from __future__ import annotations

from types import TracebackType

import torch

_CPU = "cpu"


class Generators:
    """The state of torch's global generators for one trial, in force inside `with`.

    Outside, the surroundings have their own state back, so that trials of one process do not disturb one another.

    Args:
        seed: Of the first state, at least 0.
        device: A torch device; an accelerator's generator is owned beside the CPU's.
    """

    def __init__(self, seed: int, device: str = "cpu") -> None:
        self._devices = [_CPU] if torch.device(device).type == _CPU else [_CPU, device]
        self._states = {name: torch.Generator(name).manual_seed(seed).get_state() for name in self._devices}
        self._outer: dict[str, torch.Tensor] = {}
        self._outer_flags = (False, False)

    def __enter__(self) -> Generators:
        self._outer = {name: _get(name) for name in self._devices}
        for name, state in self._states.items():
            _set(name, state)
        self._outer_flags = (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._states = {name: _get(name) for name in self._devices}
        for name, state in self._outer.items():
            _set(name, state)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = self._outer_flags

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Returns the states by device type; called outside `with`."""
        return {torch.device(name).type: state for name, state in self._states.items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Puts saved states back; a device that they do not name keeps its own."""
        for name in self._devices:
            self._states[name] = state.get(torch.device(name).type, self._states[name])


def _get(device: str) -> torch.Tensor:
    return torch.get_rng_state() if device == _CPU else torch.get_device_module(device).get_rng_state(device)


def _set(device: str, state: torch.Tensor) -> None:
    if device == _CPU:
        torch.set_rng_state(state)
    else:
        torch.get_device_module(device).set_rng_state(state, device)
