import copy

import pytest
import torch

from trainers.determinism import Generators
from trainers.tricks.critic import Critic


def _pair() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    teacher = torch.rand(4, 3, 12, 12, generator=generator)
    student = torch.rand(4, 3, 12, 12, generator=generator) * 0.5
    return teacher, student, torch.rand(4, 1, 12, 12, generator=generator)


def _critic() -> Critic:
    with Generators(0):
        return Critic(4)


def test_h09_equal_inputs_are_no_distance_apart() -> None:
    teacher, _, images = _pair()
    assert _critic().gap(teacher, teacher.clone(), images).item() == 0.0


def test_h09_it_learns_to_tell_them_apart_within_its_slope() -> None:
    teacher, student, images = _pair()
    critic = _critic()
    before = critic.gap(teacher, student, images).item()
    with Generators(0):
        for _ in range(40):
            critic.learn(teacher, student, images)
    after = critic.gap(teacher, student, images).item()
    distance = (teacher - student).flatten(1).norm(dim=1).mean().item()
    assert before + 0.05 < after < 1.5 * distance


def test_h09_the_student_alone_gets_a_gradient() -> None:
    teacher, student, images = _pair()
    critic = _critic()
    student.requires_grad_(True)
    critic.gap(teacher, student, images).backward()
    assert student.grad is not None and student.grad.any()
    assert all(weight.grad is None and weight.requires_grad for weight in critic._network[0].parameters())
    assert not list(critic.parameters())


def test_state_goes_on() -> None:
    teacher, student, images = _pair()
    one, two = _critic(), _critic()
    with Generators(0):
        one.learn(teacher, student, images)
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for critic in (one, two):
        with Generators(5):
            critic.learn(teacher, student, images)
    assert one.gap(teacher, student, images).item() == pytest.approx(two.gap(teacher, student, images).item(), abs=0)
