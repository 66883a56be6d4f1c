import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from search_spaces.build import Architecture
from search_spaces.recipe import Ensemble, RunTeacher, TrainedTeacher
from tests.contracts.small_tasks import SMALL
from tests.trainers.examples import NETWORK, classifier, run, squares, timeless
from trainers.checkpoint import CheckpointError
from trainers.determinism import Generators
from trainers.learners.teaching import members_of_checkpoint
from trainers.tasks.classification import Classification
from trainers.trial import Common
from trainers.tricks.registry import implementation


def _best(folder: Path, seed: int) -> RunTeacher:
    folder.mkdir()
    with Generators(seed):
        network = NETWORK.build((1, 8, 8), 4)
    (folder / "architecture.json").write_text(json.dumps(NETWORK.to_data()))
    save_file(dict(network.state_dict()), folder / "weights.safetensors")
    return RunTeacher(path=str(folder))


def _never(architecture: Architecture, epochs: int) -> dict[str, torch.Tensor]:
    raise AssertionError


@pytest.mark.parametrize("average", ["mean", "logits", "rank"])
def test_l14_all_members_are_asked(average: Any, tmp_path: Path) -> None:
    spec = Ensemble(members=tuple(_best(tmp_path / str(i), i) for i in range(2)), average=average)
    others = implementation(spec)((1, 8, 8), 4, "cpu", _never)
    with Generators(7):
        network, x = NETWORK.build((1, 8, 8), 4).eval(), torch.rand(30, 1, 8, 8)
    said = torch.stack([network(x), *(member.network()(x) for member in others.members)])
    found = others(network, x)
    if average == "mean":
        assert torch.allclose(found.exp(), F.softmax(said, 2).mean(0), atol=1e-6)
        labels = torch.arange(30) % 4
        each = torch.stack([F.cross_entropy(logits, labels) for logits in said])
        assert F.nll_loss(found, labels).item() <= each.mean().item()  # Jensen
    elif average == "logits":
        assert torch.allclose(found.exp(), F.softmax(said.mean(0), 1), atol=1e-6)
    else:
        places = said.argsort(2).argsort(2).float().mean(0)
        assert torch.allclose(found, F.log_softmax(places, 1), atol=1e-6)
    assert not found.requires_grad and others.state_dict() == {}


def test_l14_an_ensemble_is_judged_and_tested_together(tmp_path: Path) -> None:
    member = TrainedTeacher(architecture=NETWORK, epochs=2)
    spec, folder = classifier(ensemble=Ensemble(members=(member,))), tmp_path / "t000001"
    common = Common(str(tmp_path / "common"), 3)
    together = run(spec, fidelity=2, folder=str(folder), common=common)
    alone = run(classifier(), fidelity=2)
    for one, other in zip(together, alone, strict=True):
        assert one.metrics["train/loss"] == other.metrics["train/loss"]
        assert one.metrics["val/loss"] != other.metrics["val/loss"]
    # The test asks the same networks, from the checkpoint alone, as does the picture.
    checkpoint, task = str(tmp_path / str(together[-1].checkpoint)), Classification()
    data = squares()
    data.parts[data.parts == 2], data.parts[data.parts == 1] = 3, 2
    found = task.final_test(spec, checkpoint, data)
    assert found["test/loss"] == pytest.approx(together[-1].metrics["val/loss"], rel=1e-5)
    assert task.picture(spec, checkpoint, squares())[:4] == b"\x89PNG"
    rest = run(spec, fidelity=2, folder=str(folder), attempt=2, resume_from=str(folder / "1-1.pt"))
    assert timeless(rest[-1].metrics) == timeless(together[-1].metrics)


def test_l14_a_checkpoint_without_its_members_is_refused(tmp_path: Path) -> None:
    run(classifier(), fidelity=1, folder=str(tmp_path / "t000001"))
    spec = classifier(ensemble=Ensemble(members=(TrainedTeacher(architecture=NETWORK, epochs=2),)))
    checkpoint = str(tmp_path / "t000001" / "1-1.pt")
    with pytest.raises((CheckpointError, RuntimeError), match="ensemble|extra_state"):
        members_of_checkpoint(spec, squares(), checkpoint)


def test_l14_pixels_have_ensembles_too(tmp_path: Path) -> None:
    small = SMALL["segmentation"]
    member = TrainedTeacher(architecture=small.architecture, epochs=1)
    spec = small.spec(ensemble=Ensemble(members=(member,), average="logits"))
    found = small.run(spec, 1, folder=str(tmp_path / "t000001"))[-1]
    alone = small.run(small.spec(), 1)[-1]
    assert found.metrics["train/loss"] == alone.metrics["train/loss"]
    assert found.metrics["val/loss"] != alone.metrics["val/loss"] and math.isfinite(found.metrics["val/loss"])
    tested = small.task.final_test(spec, str(tmp_path / str(found.checkpoint)), small.open())
    assert math.isfinite(tested["test/loss"])
