"""What no choice can use is refused before the first trial, by name and with its path."""

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from safetensors.torch import save_file
from torch import nn

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.architectures.segmenter import Segmenter
from search_spaces.build import Architecture, Shape
from search_spaces.errors import SpecError
from tests.trainers import detectors
from tests.trainers.examples import NETWORK
from tests.trainers.examples_dense import RECURRENT, SEGMENTER
from trainers.determinism import Generators
from trainers.tasks.base import Task
from trainers.tasks.classification import Classification, Classifier
from trainers.tasks.detection import Detection
from trainers.tasks.language import Language
from trainers.tasks.segmentation import Segmentation

PLAIN = Chain(layers=(ConvLayer(filters=4), ConvLayer(filters=4, inputs=(0,))))
BARE = Segmenter(**{**dict(SEGMENTER), "aux": (), "edges": False})
TASKS: dict[str, tuple[Task, Architecture, tuple[Shape, int]]] = {
    "classification": (Classification(), NETWORK, ((3, 8, 8), 4)),
    "segmentation": (Segmentation(), SEGMENTER, ((3, 32, 32), 5)),
    "detection": (Detection(), detectors.network(), ((3, 32, 32), 5)),
    "language": (Language(), RECURRENT, ((16,), 9)),
}


class Groups(Architecture):
    """Convolutions and group norms, and nothing that is linear."""

    kind: Literal["groups-for-tests"] = "groups-for-tests"

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(input_shape[0], 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, outputs, 1))


def _refuse(task: str, recipe: dict[str, Any], architecture: Any = None) -> None:
    made, network, shape = TASKS[task]
    spec = network if architecture is None else architecture
    data = spec.to_data() if isinstance(spec, Architecture) else spec
    made.refuse(made.template({"architecture": data, "recipe": recipe}), shape)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("field", ["early_stopping", "schedule"])
def test_a_metric_that_is_not_reported_is_refused_with_those_that_are(task: str, field: str) -> None:
    kind = "plateau" if field == "schedule" else field
    _refuse(task, {field: {"kind": kind, "metric": "val/loss"}})
    with pytest.raises(SpecError) as caught:
        _refuse(task, {field: {"kind": kind, "metric": "val/acuracy"}})
    assert str(caught.value).startswith(f"recipe/{field}/metric: this task does not report it; got 'val/acuracy'; allo")
    assert "val/loss" in str(caught.value) and "time/" not in str(caught.value)


def test_figures_of_single_classes_may_be_watched() -> None:
    _refuse("segmentation", {"early_stopping": {"kind": "early_stopping", "metric": "val/iou/road"}})
    _refuse("detection", {"early_stopping": {"kind": "early_stopping", "metric": "val/ap50/car"}})
    with pytest.raises(SpecError, match="recipe/early_stopping/metric"):
        _refuse("classification", {"early_stopping": {"kind": "early_stopping", "metric": "val/iou/road"}})


def test_options_of_a_hole_are_looked_at_too() -> None:
    options = [None, {"kind": "early_stopping", "metric": "val/nix"}]
    with pytest.raises(SpecError, match="^recipe/early_stopping/early_stopping/metric: this task does not report it"):
        _refuse("classification", {"early_stopping": {"categorical": options}})


@pytest.mark.parametrize("error", [0.8, {"categorical": [None, 0.8]}, {"float": [0.5, 0.9]}])
def test_a_warmup_that_waits_for_an_error_needs_a_training_accuracy(error: Any) -> None:
    recipe = {"warmup": {"kind": "constant_warmup", "error": error}}
    for task in ("classification", "language"):
        _refuse(task, recipe)
    for task in ("segmentation", "detection"):
        with pytest.raises(SpecError, match="^recipe/warmup/error: .* needs train/accuracy, .*; allowed null"):
            _refuse(task, recipe)
        _refuse(task, {"warmup": {"kind": "constant_warmup"}})


@pytest.mark.parametrize(
    ("task", "architecture", "field", "kind", "rule"),
    [
        ("classification", Groups(), "dropout", "dropout", "dropout needs a network that names its classifier"),
        ("classification", Groups(), "margin", "arcface", "a margin needs a network whose classifier is a linear"),
        ("classification", Groups(), "batch_norm", "batch_norm", "settings of batch norms need a network with batch"),
        ("classification", PLAIN, "drop_path", "drop_path", "drop path needs a network with paths to drop"),
        ("classification", PLAIN, "deep_supervision", "deep_supervision", "deep supervision needs auxiliary heads"),
        ("segmentation", BARE, "deep_supervision", "deep_supervision", "deep supervision needs auxiliary heads"),
        ("segmentation", BARE, "edge_loss", "edge_loss", "edge loss needs a network with edges"),
        ("segmentation", BARE, "dual_task", "dual_task", "the dual-task loss needs a network with edges"),
    ],
)
def test_what_the_network_does_not_have_is_named(
    task: str, architecture: Architecture, field: str, kind: str, rule: str
) -> None:
    with pytest.raises(SpecError, match=f"^recipe/{field}: {rule}"):
        _refuse(task, {field: {"kind": kind}}, architecture)
    with pytest.raises(SpecError, match=f"^recipe/{field}/{kind}: {rule}"):
        _refuse(task, {field: {"categorical": [None, {"kind": kind}]}}, architecture)
    _refuse(task, {field: None}, architecture)


@pytest.mark.parametrize("recipe", [{}, {"dropout": {"kind": "dropout"}}], ids=["plain", "dropout"])
def test_a_network_that_cannot_take_the_images_is_refused_by_its_path(recipe: dict[str, Any]) -> None:
    data = {"architecture": {"kind": "chain", "layers": [{"filters": 8, "conv": "octave"}]}, "recipe": recipe}
    task = Classification()
    task.refuse(task.template(data), ((3, 8, 8), 4))
    with pytest.raises(SpecError, match="^architecture/layers/0/conv: height and width of the map have to be mult"):
        task.refuse(task.template(data), ((3, 8, 9), 4))
    # Where another choice can, single candidates are refused.
    convs = {"categorical": ["dense", "octave"]}
    data["architecture"] = {"kind": "chain", "layers": [{"filters": 8, "conv": convs}]}
    task.refuse(task.template(data), ((3, 8, 9), 4))


@pytest.mark.parametrize("task", TASKS)
def test_what_the_network_has_is_let_through(task: str) -> None:
    recipe: dict[str, Any] = {"dropout": {"kind": "dropout"}}
    if task != "language":
        recipe |= {"drop_path": {"kind": "drop_path"}, "batch_norm": {"kind": "batch_norm"}}
    if task == "classification":
        recipe |= {"margin": {"kind": "arcface"}}
    if task == "segmentation":
        recipe |= {kind: {"kind": kind} for kind in ("deep_supervision", "edge_loss", "dual_task")}
    _refuse(task, recipe)


def test_no_choice_of_architectures_has_an_output_or_one_has() -> None:
    recipe = {"deep_supervision": {"kind": "deep_supervision"}}
    with pytest.raises(SpecError, match="^recipe/deep_supervision: deep supervision needs auxiliary heads"):
        _refuse("classification", recipe, {"preset": "chain", "layers": 2})
    chains = {"categorical": {"a": PLAIN.to_data(), "b": NETWORK.to_data()}}
    with pytest.raises(SpecError, match="^recipe/deep_supervision"):
        _refuse("classification", recipe, chains)
    # What a plug-in returns is not known before it runs.
    _refuse("classification", recipe, {"categorical": {"a": PLAIN.to_data(), "b": Groups().to_data()}})
    # Some chains of this space have paths to drop.
    _refuse("classification", {"drop_path": {"kind": "drop_path"}}, {"preset": "chain", "layers": 2})


def test_a_candidate_is_refused_as_its_space_would_be() -> None:
    with pytest.raises(SpecError, match="deep supervision needs auxiliary heads"):
        recipe = {"deep_supervision": {"kind": "deep_supervision"}}
        Classifier.from_data({"architecture": PLAIN.to_data(), "recipe": recipe})


def test_pairs_of_places_need_maps_of_network_and_teacher() -> None:
    resnet = {"kind": "resnet", "depths": [1], "widths": [4], "stem": "cifar"}

    def distilled(teacher: dict[str, Any]) -> dict[str, Any]:
        trained = {"kind": "trained", "architecture": teacher}
        return {"distillation": {"kind": "pairwise_distillation", "teachers": [trained]}}

    with pytest.raises(SpecError, match="^recipe/distillation: pair-wise distillation needs a network that returns fe"):
        _refuse("classification", distilled(resnet), PLAIN)
    with pytest.raises(SpecError, match="^recipe/distillation/teachers/0/architecture: pair-wise distillation needs"):
        _refuse("classification", distilled(PLAIN.to_data()), resnet)
    _refuse("classification", distilled(resnet), resnet)


def _run(folder: Path, architecture: Architecture, shape: Shape, outputs: int) -> str:
    """A folder as an earlier search leaves it."""
    folder.mkdir()
    with Generators(0):
        network = architecture.build(shape, outputs)
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    (folder / "architecture.json").write_text(architecture.to_json())
    return str(folder)


def _starts(path: str) -> list[tuple[str, dict[str, Any]]]:
    teacher = {"kind": "soft_distillation", "teachers": [{"kind": "run", "path": path}]}
    transfer = {"categorical": [None, {"kind": "layer_transfer", "path": path, "noise": {"float": [0, 0.01]}}]}
    return [
        ("distillation/teachers/0/path", {"distillation": teacher}),
        ("init/layer_transfer/path", {"init": transfer}),
    ]


@pytest.mark.parametrize("case", [0, 1], ids=["teacher", "transfer"])
def test_a_run_that_is_not_there_is_refused_at_its_path(case: int, tmp_path: Path) -> None:
    path, recipe = _starts(str(tmp_path / "nix"))[case]
    for architecture in (None, {"preset": "chain", "layers": 2}):
        with pytest.raises(SpecError) as caught:
            _refuse("classification", recipe, architecture)
        assert str(caught.value).startswith(
            f"recipe/{path}: is no folder best/ of an earlier search, with architecture"
        )
        assert caught.value.got == str(tmp_path / "nix")


@pytest.mark.parametrize("case", [0, 1], ids=["teacher", "transfer"])
def test_a_run_that_does_not_fit_is_refused_too(case: int, tmp_path: Path) -> None:
    shape = TASKS["classification"][2]
    _, fitting = _starts(_run(tmp_path / "fits", NETWORK, *shape))[case]
    _refuse("classification", fitting)
    wide = Chain(layers=(ConvLayer(filters=64), ConvLayer(filters=64, inputs=(0,))))
    path, recipe = _starts(_run(tmp_path / "wide", wide, (1, 8, 8), 2))[case]
    with pytest.raises(
        SpecError, match=f"^recipe/{path}: .*({'was trained on other data' if not case else 'widened'})"
    ):
        _refuse("classification", recipe)


def test_a_teacher_of_language_is_looked_at_alike(tmp_path: Path) -> None:
    _, recipe = _starts(_run(tmp_path / "best", RECURRENT, (16,), 9))[0]
    _refuse("language", recipe)
    (tmp_path / "best" / "architecture.json").write_text(json.dumps({"kind": "nix"}))
    with pytest.raises(SpecError, match="^recipe/distillation/teachers/0/path: is no folder best/"):
        _refuse("language", recipe)
