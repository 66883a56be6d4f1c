"""A user's own code as a task."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from search_spaces.errors import SpecError
from trainers.tasks.base import Task
from trainers.trial import Report, TrialContext

Target = Callable[[Any, TrialContext], Iterable[Mapping[str, float]]]


class Function(Task):
    """Runs `fn(spec, trial)`, which yields a dict of numbers a step.

    `target` is `package.module:name`; in Python it may be the function itself, which no file can hold.
    The function may call `trial.checkpoint(state)` before it yields, and finds that state in `trial.restored` when it
    is started again; steps are then counted on. Torch's global generators are the trial's own where the module of the
    function has imported torch.
    """

    kind: Literal["function"] = "function"
    target: str | Callable[..., Any]

    def check(self) -> None:
        """Checks the form of a written target."""
        if isinstance(self.target, str):
            module, colon, name = self.target.partition(":")
            if not (module and colon and name):
                raise SpecError("a target is package.module:name", self.target, path="target")

    def to_data(self) -> dict[str, Any]:
        """Returns the task as plain data; a function given in Python has none."""
        if not isinstance(self.target, str):
            name = getattr(self.target, "__qualname__", repr(self.target))
            raise SpecError("a function given in Python cannot be written down", name, "package.module:name", "target")
        return super().to_data()

    def open(self) -> None:
        """Reads nothing, but finds the function, so that a wrong target is refused before the first trial."""
        self.function()

    def function(self) -> Target:
        """Returns the function.

        Raises:
            SpecError: There is no such module or function.
        """
        return _found(self.target) if isinstance(self.target, str) else self.target

    def run(self, spec: Any, trial: TrialContext, data: Any) -> Iterator[Report]:
        """Runs the function for as many steps as the trial's fidelity."""
        self.refuse_mode(trial)
        function = self.function()
        saved = (trial.load() if trial.continues else None) or {}
        step = int(saved.get("step", 0))
        generators = _generators(trial, saved)
        figures: Iterator[Mapping[str, float]] | None = None
        while step < trial.fidelity:
            with generators:
                figures = iter(function(spec, trial)) if figures is None else figures
                found = next(figures, None)
            if found is None:
                return
            step += 1
            attached = trial.take_attached()
            checkpoint = None if attached is None else trial.save(step, attached | _state(generators))
            metrics = {name: float(value) for name, value in found.items()}
            yield Report(step, metrics, checkpoint, done=step == trial.fidelity)


@functools.cache
def _found(target: str) -> Target:
    module, _, name = target.partition(":")
    try:
        found = functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may do anything while it is imported
        rule = f"the target cannot be imported ({type(error).__name__}: {error})"
        raise SpecError(rule, target, "package.module:name", "target") from error
    if not callable(found):
        raise SpecError("the target is no function", target, path="target")
    function: Target = found
    return function


def _generators(trial: TrialContext, saved: Mapping[str, Any]) -> AbstractContextManager[Any]:
    if "torch" not in sys.modules:
        return nullcontext()
    from trainers.determinism import Generators

    generators = Generators(trial.seed, trial.device)
    generators.load_state_dict(saved.get("generators", {}))
    return generators


def _state(generators: AbstractContextManager[Any]) -> dict[str, Any]:
    return {} if isinstance(generators, nullcontext) else {"generators": generators.state_dict()}  # type: ignore[attr-defined]
