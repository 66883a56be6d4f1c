"""What every task is: it says what may be searched, reads its data and runs trials."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from search_spaces.build import Architecture
from search_spaces.domains import Domain
from search_spaces.errors import SpecError
from search_spaces.spec import Spec, plain
from search_spaces.template import template, written
from trainers.trial import Report, TrialContext

COSTS = ("cost/params", "cost/macs", "cost/activation_bytes", "cost/deployed_params", "cost/deployed_macs")
TOTALS = ("epoch", "samples", "seconds", "time/train", "time/evaluate", "time/checkpoint")
"""What the training loop adds to every report."""


class Task(Spec):
    """What a candidate is worth; a report comes every `report_every` epochs, a checkpoint every so many reports."""

    home: ClassVar[str | None] = "trainers.tasks"
    group: ClassVar[str | None] = "deepspace.tasks"
    modes: ClassVar[tuple[str, ...]] = ("train", "retrain")
    """What `run` can do besides proxies."""
    pooled: ClassVar[tuple[str, ...]] = ()
    """The modes of trials that are so short that many are sent to plain actors in one go."""
    per_class: ClassVar[str | None] = None
    """What the names of figures of single classes begin with, which `metrics` does not list."""

    model: ClassVar[type[Spec] | None] = None
    """The spec that a space is read as; None: its mappings stay mappings."""

    report_every: Annotated[float, Field(gt=0)] = 1.0
    checkpoint_every: Annotated[int, Field(ge=1)] = 1

    def template(self, data: Mapping[str, Any] | Sequence[Any]) -> Any:
        """Returns the template that the `space` section of a search file describes.

        Args:
            data: The section.

        Raises:
            SpecError: Something in it breaks a rule.
        """
        return template(data, self.model)

    def section(self, template: Any) -> Any:
        """Returns the `space` section that describes a template.

        Args:
            template: A spec, mapping or tuple with holes.
        """
        return plain(template) if type(template) is self.model else written(template)

    def metrics(self) -> tuple[str, ...]:
        """Returns the names that objectives and constraints may use; none: they are not known beforehand."""
        return ()

    def open(self) -> Any:
        """Reads and decodes the data, once a node; an object store can share what it returns.

        Raises:
            DataError: Data is missing or cannot be used.
        """
        return None

    def fingerprint(self, data: Any) -> str:
        """Returns a hash of opened data."""
        return ""

    def parts(self, data: Any) -> NDArray[np.uint8] | None:
        """Returns the part of every row of opened data, (N,) values of `Part`; None: there are no rows."""
        return None

    def shape(self, data: Any) -> Any:
        """Returns what `static_metrics` needs to know of opened data."""
        return None

    def refuse(self, template: Any, shape: Any) -> None:
        """Refuses a space that cannot be used with the data, before the first trial.

        Args:
            template: What `template` returned.
            shape: What `shape` returned.

        Raises:
            SpecError: Some trick cannot be used, whatever is chosen.
        """
        refuse_compiling(template)

    def fits(self, template: Any, data: Any) -> None:
        """Refuses a space that says something else than opened data, before the first trial.

        Args:
            template: What `template` returned.
            data: What `open` returned.

        Raises:
            SpecError: They do not belong together.
        """

    def static_metrics(self, spec: Any, shape: Any) -> dict[str, float]:
        """Returns what is known of a candidate before it trains, `cost/*`.

        Args:
            spec: The realized candidate.
            shape: What `shape` returned.

        Raises:
            SpecError: The candidate cannot be built for this data.
        """
        return {}

    def run(self, spec: Any, trial: TrialContext, data: Any) -> Iterator[Report]:
        """Runs a trial, from its checkpoint where it has one, and yields its reports as they come due.

        Args:
            spec: The realized candidate; in mode `supernet` the template.
            trial: What to do with it.
            data: What `open` returned.

        Raises:
            TrialFailed: The trial itself cannot go on.
            CheckpointError: The checkpoint to start from cannot be read.
        """
        raise NotImplementedError

    def final_test(self, spec: Any, checkpoint: str, data: Any) -> dict[str, float]:
        """Returns figures on the test part, `test/*`; no other function reads it.

        Args:
            spec: The realized candidate.
            checkpoint: Path or URI of what its trial kept.
            data: What `open` returned.
        """
        return {}

    def picture(self, spec: Any, checkpoint: str, data: Any) -> bytes | None:
        """Returns a PNG of a few validation inputs with truth and prediction; None: the task has no picture.

        Args:
            spec: The realized candidate.
            checkpoint: Path or URI of what its trial kept.
            data: What `open` returned.

        Raises:
            CheckpointError: The checkpoint cannot be read.
        """
        return None

    def refuse_mode(self, trial: TrialContext) -> None:
        """Refuses a mode that is none of `modes`.

        Args:
            trial: What is asked for.

        Raises:
            SpecError: The trial asks for another one.
        """
        if trial.mode not in self.modes:
            kind = getattr(self, "kind", type(self).__name__)
            raise SpecError(f"task {kind} cannot run this mode", trial.mode, ", ".join(self.modes), "mode")


def compiler() -> str | None:
    """Returns the C++ compiler that torch would call; None: there is none."""
    return shutil.which(_compiler_name())


def _compiler_name() -> str:
    return os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")


def costs(architecture: Architecture, shape: tuple[tuple[int, ...], int]) -> dict[str, float]:
    """Returns parameters, multiply-adds and bytes of activations of one input, then what is left deployed, `COSTS`.

    Args:
        architecture: A spec without holes.
        shape: The shape of one input, and the number of outputs.
    """
    from search_spaces.cost import trained_and_deployed

    trained, *deployed = trained_and_deployed(architecture, *shape)
    counts = (trained.params, trained.macs, trained.activation_bytes, *deployed)
    return {name: float(count) for name, count in zip(COSTS, counts, strict=True)}


def refuse_smoothing(template: Any, classes: int) -> None:
    """Refuses label smoothing where there is one class alone.

    Args:
        template: A spec with a field `recipe`.
        classes: Their number.

    Raises:
        SpecError: Labels may be smoothed.
    """
    recipe = getattr(template, "recipe", None)
    if classes < 2 and getattr(recipe, "label_smoothing", None) is not None:
        rule = "label smoothing needs two classes; set it to null"
        raise SpecError(rule, f"{classes} class", path="recipe/label_smoothing")


def refuse_compiling(template: Any) -> None:
    """Refuses to compile where there is no compiler.

    Args:
        template: A spec; one with a field `recipe` is looked at.

    Raises:
        SpecError: A trial may compile, and cannot.
    """
    wanted = getattr(getattr(template, "recipe", None), "compile", False)
    if (wanted.contains(True) if isinstance(wanted, Domain) else wanted) and compiler() is None:
        allowed = "a compiler in PATH or CXX, or compile: false"
        raise SpecError("compiling needs a C++ compiler", f"no {_compiler_name()}", allowed, "recipe/compile")
