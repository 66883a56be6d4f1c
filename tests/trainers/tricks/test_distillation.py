from typing import Any

import pytest
import torch
from torch.nn import functional as F

from search_spaces.architectures.chain import Chain, ConvLayer
from search_spaces.architectures.resnet import Resnet
from search_spaces.build import Architecture
from search_spaces.errors import SpecError
from search_spaces.recipe import (
    ClassificationRecipe,
    Distillation,
    HolisticDistillation,
    PairwiseDistillation,
    SoftDistillation,
    TrainedTeacher,
)
from tests.trainers.examples_dense import SEGMENTER
from trainers.determinism import Generators
from trainers.tricks.distillation import divergence, similarities, similarity_gap, softened
from trainers.tricks.registry import implementation

TEACHER = TrainedTeacher(architecture=Chain(layers=(ConvLayer(filters=4),)), epochs=1)
MAPPED = TrainedTeacher(architecture=Resnet(depths=(1,), widths=(4,), stem="cifar"), epochs=1)


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _learn(architecture: Architecture, epochs: int) -> dict[str, torch.Tensor]:
    with Generators(0):
        return dict(architecture.build((1, 8, 8), 4).state_dict())


def _made(spec: Distillation) -> Any:
    return implementation(spec)((1, 8, 8), 4, "cpu", _learn)


def test_h07_the_numbers_of_the_catalogue() -> None:
    z, r = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[3.0, 1.0, 0.0]])
    student, teacher = softened(z, [r], 4.0, "mean")
    assert 16 * divergence(student, teacher).item() == pytest.approx(0.124105, abs=1e-5)
    assert 16 * -(teacher.exp() * student).sum().item() == pytest.approx(16.894190, abs=1e-4)


def test_h07_a_student_like_its_teacher_has_no_gradient() -> None:
    z = _random(6, 5).requires_grad_(True)
    divergence(*softened(z, [z.detach().clone()], 4.0, "mean")).backward()
    assert z.grad is not None and z.grad.abs().max().item() < 1e-7


def test_h07_pixels_are_averaged() -> None:
    z, r = _random(2, 3, 4, 4), _random(2, 3, 4, 4, seed=1)
    dense = divergence(*softened(z, [r], 2.0, "mean"))
    rows = [x.movedim(1, -1).reshape(-1, 3) for x in (z, r)]
    assert dense.item() == pytest.approx(divergence(*softened(rows[0], [rows[1]], 2.0, "mean")).item(), rel=1e-5)


@pytest.mark.parametrize("average", ["mean", "logits"])
def test_teachers_are_averaged(average: str) -> None:
    z, teachers = _random(4, 3), [_random(4, 3, seed=1), _random(4, 3, seed=2)]
    _, joint = softened(z, teachers, 3.0, average)
    if average == "mean":
        expected = (F.softmax(teachers[0] / 3, 1) + F.softmax(teachers[1] / 3, 1)) / 2
    else:
        expected = F.softmax((teachers[0] + teachers[1]) / 6, 1)
    assert torch.allclose(joint.exp(), expected, atol=1e-6)


def test_h08_rescaled_features_are_as_similar() -> None:
    x = _random(2, 5, 4, 6)
    scale = _random(2, 1, 4, 6, seed=1).exp()
    assert similarity_gap(x, x.clone(), 1).item() == 0.0
    assert similarity_gap(x, x * scale, 1).item() == pytest.approx(0.0, abs=1e-10)
    assert similarity_gap(x, _random(2, 5, 4, 6, seed=2), 1).item() > 0.05
    diagonal = similarities(x, (4, 6)).diagonal(dim1=1, dim2=2)
    assert torch.allclose(diagonal, torch.ones(2, 24), atol=1e-5)


def test_h08_maps_of_other_size_and_width_are_compared_by_patches() -> None:
    assert similarities(_random(1, 3, 8, 8), (4, 4)).shape == (1, 16, 16)
    x = _random(1, 3, 4, 4)
    large = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert similarity_gap(x, torch.cat((large, large), 1), 2).item() == pytest.approx(0.0, abs=1e-10)


def test_l01_teachers_are_in_eval_mode_and_get_no_gradient() -> None:
    distiller = _made(SoftDistillation(teachers=(TEACHER,), weight=1.0))
    z = _random(3, 4).requires_grad_(True)
    with Generators(0):
        first = distiller({"out": z}, torch.rand(3, 1, 8, 8), torch.zeros(()))
    first.backward()
    network = distiller.teachers[0].network()
    assert not any(module.training for module in network.modules())
    assert all(weight.grad is None and not weight.requires_grad for weight in network.parameters())
    assert not list(distiller.parameters())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    distiller({"out": z}, torch.rand(3, 1, 8, 8), torch.zeros(()))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_weight_lies_between_the_task_and_the_teachers() -> None:
    z, images, loss = _random(3, 4), torch.rand(3, 1, 8, 8), torch.tensor(2.0)
    found = [
        _made(SoftDistillation(teachers=(TEACHER,), weight=w))({"out": z}, images, loss).item() for w in (0, 0.25, 1)
    ]
    assert found[0] == 2.0
    assert found[1] == pytest.approx(0.75 * found[0] + 0.25 * found[2], rel=1e-5)


def test_pairs_need_feature_maps() -> None:
    distiller = _made(PairwiseDistillation(teachers=(TEACHER,)))
    with pytest.raises(ValueError, match="distillation needs a network with 'features/...' maps"):
        distiller({"out": _random(3, 4)}, torch.rand(3, 1, 8, 8), torch.zeros(()))


def test_pairs_add_their_part() -> None:
    images, z = torch.rand(3, 1, 8, 8), _random(3, 4)
    outputs = {"out": z, "features/stage1": _random(3, 6, 4, 4, seed=4).requires_grad_(True)}
    values = []
    for similarity in (0.0, 10.0, 20.0):
        distiller = _made(PairwiseDistillation(teachers=(MAPPED,), similarity=similarity))
        values.append(distiller(outputs, images, torch.zeros(())).item())
    assert values[1] > values[0] + 0.01
    assert values[2] - values[0] == pytest.approx(2 * (values[1] - values[0]), rel=1e-4)


def test_h09_the_critic_is_part_of_the_loss_and_of_the_checkpoint() -> None:
    teachers = (TrainedTeacher(architecture=SEGMENTER, epochs=1),)
    spec = HolisticDistillation(teachers=teachers, weight=0.0, similarity=0.0, critic=1.0)

    def learn(architecture: Architecture, epochs: int) -> dict[str, torch.Tensor]:
        return dict(architecture.build((3, 16, 16), 4).state_dict())

    with Generators(0):
        distiller = implementation(spec)((3, 16, 16), 4, "cpu", learn)
        images, maps = torch.rand(3, 3, 16, 16), torch.rand(3, 4, 16, 16)
        before = {name: value.clone() for name, value in distiller.critic.get_extra_state()["network"].items()}
        outputs = {"out": maps.requires_grad_(True), "features/decoder": maps}
        distiller(outputs, images, torch.zeros(())).backward()
    assert maps.grad is not None and maps.grad.any()
    after = distiller.state_dict()["critic._extra_state"]["network"]
    assert not torch.equal(before["0.weight"], after["0.weight"])
    assert not list(distiller.parameters())


def test_tasks_that_cannot_use_it_refuse_it_by_name() -> None:
    with pytest.raises(SpecError, match="holistic_distillation is for segmentation; got it in classification"):
        ClassificationRecipe.from_data({"distillation": HolisticDistillation(teachers=(TEACHER,)).to_data()})


def test_l14_ranks_of_teachers_are_softened_by_the_temperature() -> None:
    loud, quiet = torch.tensor([[90.0, 1.0, 0.0]]), torch.tensor([[0.1, 0.2, 0.0]])
    _, teacher = softened(torch.zeros(1, 3), [loud, quiet], 2.0, "rank")
    # Places 2, 1, 0 and 1, 2, 0: their means over the temperature are the logits.
    assert torch.allclose(teacher, F.log_softmax(torch.tensor([[1.5, 1.5, 0.0]]) / 2.0, 1))
