import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from search_spaces.build import Architecture
from search_spaces.recipe import RunTeacher, TrainedTeacher
from tests.trainers.examples import NETWORK, same
from trainers.determinism import Generators
from trainers.tricks.teacher import made_teacher, read_run


def _never(architecture: Architecture, epochs: int) -> dict[str, torch.Tensor]:
    raise AssertionError("it is trained already")


def _best(folder: Path) -> nn.Module:
    with Generators(4):
        network = NETWORK.build((1, 8, 8), 4)
    (folder / "architecture.json").write_text(json.dumps(NETWORK.to_data()))
    save_file(dict(network.state_dict()), folder / "weights.safetensors")
    return network.eval()


def test_l01_the_winner_of_a_run_is_read_and_frozen(tmp_path: Path) -> None:
    expected = _best(tmp_path)
    with Generators(0):
        before = torch.get_rng_state()
        teacher = made_teacher(RunTeacher(path=str(tmp_path)), (1, 8, 8), 4, "cpu", _never)
        assert torch.equal(torch.get_rng_state(), before)
    network, x = teacher.network(), torch.rand(2, 1, 8, 8)
    assert torch.equal(network(x), expected(x))
    assert not any(module.training for module in network.modules())
    assert not any(weight.requires_grad for weight in network.parameters())
    assert teacher.state_dict() == {}


def test_runs_that_cannot_teach_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder best/ of an earlier search"):
        read_run(str(tmp_path))
    _best(tmp_path)
    with pytest.raises(ValueError, match=r"was trained on other data than \[1, 8, 8\] with 5 classes"):
        made_teacher(RunTeacher(path=str(tmp_path)), (1, 8, 8), 5, "cpu", _never)


def test_l01_a_trained_teacher_is_trained_once_and_kept() -> None:
    asked: list[int] = []

    def learn(architecture: Architecture, epochs: int) -> dict[str, torch.Tensor]:
        assert torch.is_grad_enabled()
        asked.append(epochs)
        with Generators(0):
            return dict(architecture.build((1, 8, 8), 4).state_dict())

    spec = TrainedTeacher(architecture=NETWORK, epochs=3)
    teacher = made_teacher(spec, (1, 8, 8), 4, "cpu", learn)
    untrained = made_teacher(spec, (1, 8, 8), 4, "cpu", _never)
    untrained.load_state_dict(teacher.state_dict())
    with torch.no_grad():
        first = teacher.network()
    assert teacher.network() is first and asked == [3]
    assert not any(weight.requires_grad for weight in first.parameters())
    again = made_teacher(spec, (1, 8, 8), 4, "cpu", _never)
    again.load_state_dict(teacher.state_dict())
    assert same(dict(again.network().state_dict()), dict(first.state_dict()))
    again.load_state_dict(untrained.state_dict())
    with pytest.raises(AssertionError, match="trained already"):
        again.network()
