"""What a recipe asks for that no choice of a space can give, refused by name before the first trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.build import Architecture, classifier_of, set_drop_path
from search_spaces.domains import Domain
from search_spaces.errors import SpecError, join
from search_spaces.recipe import (
    BatchNorm,
    ConstantWarmup,
    DeepSupervision,
    Distillation,
    Dropout,
    DropPath,
    DualTask,
    EarlyStopping,
    EdgeLoss,
    GateLoss,
    HolisticDistillation,
    LayerTransfer,
    Margin,
    PairwiseDistillation,
    Plateau,
    RunTeacher,
    TrainedTeacher,
)
from search_spaces.spec import Spec, first_hole, specs

if TYPE_CHECKING:
    from torch import nn

    from trainers.tasks.base import Task

Shape = tuple[tuple[int, ...], int]
_ACCURACY = "train/accuracy"
_MAPS = "pair-wise distillation needs a network that returns feature maps"
# What a trick asks of the outputs that a network has in training.
_OUTPUTS: dict[type[Spec], tuple[str, str]] = {
    DeepSupervision: ("aux", "deep supervision needs auxiliary heads: set architecture.aux"),
    EdgeLoss: ("edges", "edge loss needs a network with edges: set architecture.edges"),
    DualTask: ("edges", "the dual-task loss needs a network with edges: set architecture.edges"),
    GateLoss: ("gates", "the price of gates needs a network with gates: set architecture.gate"),
    PairwiseDistillation: ("maps", _MAPS),
    HolisticDistillation: ("maps", _MAPS),
}
_FILES = ("architecture.json", "weights.safetensors")
_LAYERS = (Dropout, Margin, DropPath, BatchNorm)


def refuse(task: Task, template: Any, shape: Shape) -> None:
    """Refuses tricks that cannot be used whatever is chosen, those among the options of a hole included.

    Args:
        task: Whose metrics recipes may watch.
        template: Has `architecture` and `recipe`; both may hold holes.
        shape: Of one input, without the batch, and the number of outputs.

    Raises:
        SpecError: A trick watches a metric that the task does not report, needs an output or a layer that the network
            does not have, or an earlier run that is not there or does not fit; or the network, where nothing of it is
            searched, cannot take inputs of this shape.
    """
    for path, spec in _tricks(template):
        _refuse_metric(task, path, spec)
    refuse_outputs(template)
    _refuse_absent_runs(template)
    _refuse_layers(template, shape)
    _refuse_runs(template, shape)


def refuse_outputs(template: Any) -> None:
    """Refuses tricks that need outputs which the network does not have, as far as its spec says so.

    Args:
        template: Has `architecture` and `recipe`; both may hold holes.

    Raises:
        SpecError: The network, or a teacher, has no such output.
    """
    for path, trick in _tricks(template):
        output, rule = next((_OUTPUTS[kind] for kind in type(trick).__mro__ if kind in _OUTPUTS), ("", ""))
        if output and _lacks(template.architecture, output):
            raise SpecError(rule, f"a network without {output}", path=path)
        if output and isinstance(trick, Distillation):
            for place, teacher in specs(trick.teachers, join(path, "teachers")):
                if isinstance(teacher, TrainedTeacher) and _lacks(teacher.architecture, output):
                    raise SpecError(rule, f"a teacher without {output}", path=join(place, "architecture"))


def _tricks(template: Any) -> Iterator[tuple[str, Spec]]:
    return specs(getattr(template, "recipe", None), "recipe")


def _lacks(architecture: Any, output: str) -> bool:
    """Whether no choice of an architecture has an output."""
    if isinstance(architecture, Domain):
        options = architecture.branches().values()
        return bool(options) and all(_lacks(option, output) for option in options)
    return isinstance(architecture, Architecture) and architecture.gives(output) is False


def _refuse_metric(task: Task, path: str, trick: Spec) -> None:
    known = task.metrics()
    if isinstance(trick, EarlyStopping | Plateau):
        classes = task.per_class
        if trick.metric not in known and not (classes and trick.metric.startswith(classes)):
            watched = [name for name in known if name.startswith(("train/", "val/"))]
            raise SpecError("this task does not report it", trick.metric, ", ".join(watched), join(path, "metric"))
    if isinstance(trick, ConstantWarmup) and _ACCURACY not in known:
        error: Any = trick.error
        options = error.branches().values() or (error,) if isinstance(error, Domain) else (error,)
        if any(option is not None for option in options):
            rule = f"a warmup that ends at an error needs {_ACCURACY}, which this task does not report"
            raise SpecError(rule, allowed="null", path=join(path, "error"))


def _refuse_layers(template: Any, shape: Shape) -> None:
    wanted = [(path, trick) for path, trick in _tricks(template) if isinstance(trick, _LAYERS)]
    architecture = getattr(template, "architecture", None)
    if not isinstance(architecture, Architecture) or first_hole(architecture) is not None:
        return
    try:
        network = _built(architecture, shape)
    except SpecError as error:
        raise error.at("architecture") from None
    for path, trick in wanted:
        if (rule := _missing_layer(trick, network)) is not None:
            raise SpecError(rule, str(architecture.to_data()["kind"]), "null, or another network", path)


def _built(architecture: Architecture, shape: Shape, device: str = "meta") -> nn.Module:
    import torch

    from search_spaces.meta import ShapesOnly

    quick = ShapesOnly() if device == "meta" else nullcontext()
    with torch.random.fork_rng(devices=[]), torch.device(device), quick:
        return architecture.build(*shape)


def _missing_layer(trick: Spec, network: nn.Module) -> str | None:
    from torch import nn
    from torch.nn.modules.batchnorm import _BatchNorm

    if isinstance(trick, Dropout) and classifier_of(network) is None:
        return "dropout needs a network that names its classifier or has a linear layer"
    if isinstance(trick, Margin) and not isinstance(classifier_of(network), nn.Linear):
        return "a margin needs a network whose classifier is a linear layer"
    if isinstance(trick, DropPath) and not set_drop_path(network, 0.0):
        return "drop path needs a network with paths to drop"
    if isinstance(trick, BatchNorm) and not any(isinstance(module, _BatchNorm) for module in network.modules()):
        return "settings of batch norms need a network with batch norms"
    return None


def _refuse_absent_runs(template: Any) -> None:
    """Without torch, whose import takes longer than a user waits for a word about a path."""
    for path, spec in _tricks(template):
        if isinstance(spec, RunTeacher | LayerTransfer):
            if not all((Path(spec.path) / name).is_file() for name in _FILES):
                rule = f"is no folder best/ of an earlier search, with {' and '.join(_FILES)}"
                raise SpecError(rule, spec.path, path=join(path, "path"))


def _refuse_runs(template: Any, shape: Shape) -> None:
    for path, spec in _tricks(template):
        if isinstance(spec, RunTeacher | LayerTransfer):
            try:
                _read(spec, getattr(template, "architecture", None), shape)
            except ValueError as error:
                rule = str(error).removeprefix(f"{spec.path}: ")
                raise SpecError(rule, spec.path, path=join(path, "path")) from None


def _read(spec: RunTeacher | LayerTransfer, architecture: Any, shape: Shape) -> None:
    """Does with an earlier run what a trial would do.

    Raises:
        ValueError: It is not there or does not fit.
    """
    from trainers.tricks.registry import implementation
    from trainers.tricks.teacher import RunNetwork, read_run

    if isinstance(spec, RunTeacher):
        RunNetwork(spec, *shape, "cpu")
        return
    read_run(spec.path)
    if isinstance(architecture, Architecture) and first_hole(architecture) is None:
        implementation(spec.model_copy(update={"noise": 0.0}))(_built(architecture, shape, "cpu"))
