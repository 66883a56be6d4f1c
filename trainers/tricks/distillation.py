"""Distillation: what frozen teachers say becomes a part of the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.recipe import (
    Distillation,
    HolisticDistillation,
    PairwiseDistillation,
    SoftDistillation,
)
from trainers.ensembles import Average, combined
from trainers.tricks.critic import Critic
from trainers.tricks.loss import missing
from trainers.tricks.registry import implements
from trainers.tricks.teacher import Learn, made_teacher

_TINY = 1e-8


@implements(SoftDistillation)
class Distiller(nn.Module):
    """Adds the divergence from the teachers to a loss. A part of its learner, so that checkpoints hold it.

    Args:
        spec: Teachers and weights.
        input_shape: (C, H, W) of the data, or what the architectures take.
        outputs: Classes of the data.
        device: A torch device.
        learn: Trains an architecture for some epochs, for teachers that are not there yet.

    Raises:
        ValueError: A teacher cannot be read.
    """

    def __init__(
        self, spec: Distillation, input_shape: tuple[int, ...], outputs: int, device: str, learn: Learn
    ) -> None:
        super().__init__()
        self.spec = spec
        found = [made_teacher(teacher, input_shape, outputs, device, learn) for teacher in spec.teachers]
        self._asked = tuple(found)
        self.teachers = nn.ModuleList(found)

    def forward(self, outputs: Mapping[str, Any], inputs: Tensor, loss: Tensor) -> Tensor:
        """Returns the loss with the teachers' part.

        Args:
            outputs: The student's, in train mode.
            inputs: What it saw.
            loss: The task's, a scalar.
        """
        said = self.ask(inputs)
        with torch.autocast(inputs.device.type, enabled=False):
            return self.join(outputs, said, inputs, loss)

    def join(
        self, outputs: Mapping[str, Any], said: Sequence[Mapping[str, Any]], inputs: Tensor, loss: Tensor
    ) -> Tensor:
        """Returns the loss with what follows from the teachers' outputs `said`."""
        spec, logits = self.spec, [teacher["out"].float() for teacher in said]
        log_student, log_teacher = softened(outputs["out"].float(), logits, spec.temperature, spec.average)
        return (1 - spec.weight) * loss + spec.weight * spec.temperature**2 * divergence(log_student, log_teacher)

    @torch.no_grad()
    def ask(self, inputs: Tensor) -> list[dict[str, Any]]:
        """Returns what each teacher says in eval mode, with its features."""
        said = []
        for teacher in self._asked:
            network = teacher.network()
            # The root alone is in train mode, for what it returns; no layer below is.
            network.training = True
            said.append(network(inputs))
            network.training = False
        return said


def softened(
    student: Tensor, teachers: Sequence[Tensor], temperature: float, average: Average
) -> tuple[Tensor, Tensor]:
    """Returns the log-probabilities at a temperature of the student and of the teachers together.

    Args:
        student: (N, K, ...) logits.
        teachers: The same of each teacher.
        temperature: T.
        average: `mean` of probabilities, of `logits`, or of `rank`s.
    """
    joint = combined(torch.stack([logits / temperature for logits in teachers]), average)
    if average == "rank":
        # Ranks do not see the temperature of the logits.
        joint = F.log_softmax(joint / temperature, dim=1)
    return F.log_softmax(student / temperature, dim=1), joint


def divergence(log_student: Tensor, log_teacher: Tensor) -> Tensor:
    """Returns the mean Kullback-Leibler divergence of the student from the teacher over all places.

    Args:
        log_student: (N, K, ...) log-probabilities.
        log_teacher: Likewise.

    Paper: Hinton et al., 2015, 1503.02531, section 2; of pixels: Liu et al., 2019, 1903.04197, equation 1.
    """
    return F.kl_div(log_student, log_teacher, reduction="none", log_target=True).sum(1).mean()


@implements(PairwiseDistillation)
class PairwiseDistiller(Distiller):
    """Adds the similarity of places as well."""

    spec: PairwiseDistillation | HolisticDistillation

    def join(
        self, outputs: Mapping[str, Any], said: Sequence[Mapping[str, Any]], inputs: Tensor, loss: Tensor
    ) -> Tensor:
        """Returns the loss with what follows from the teachers' outputs `said`.

        Raises:
            ValueError: A network has no feature maps.
        """
        total = super().join(outputs, said, inputs, loss)
        student = _features(outputs)
        gaps = [similarity_gap(student, _features(teacher), self.spec.patch) for teacher in said]
        return total + self.spec.similarity * torch.stack(gaps).mean()


def _features(outputs: Mapping[str, Any]) -> Tensor:
    """Returns the map that decides: of the decoder, the context or the last stage, (N, C, H, W)."""
    maps = {name: value for name, value in outputs.items() if name.startswith("features/")}
    for name in ("features/decoder", "features/context", *reversed(maps)):
        if name in maps and maps[name].dim() == 4:
            found: Tensor = maps[name].float()
            return found
    raise missing("distillation", "'features/...' maps, for pairs of places")


def similarity_gap(student: Tensor, teacher: Tensor, patch: int) -> Tensor:
    """Returns the mean squared difference of the similarities of all pairs of places.

    Args:
        student: (N, C, H, W).
        teacher: (N, D, h, w).
        patch: Side of a place on the smaller of the two maps.

    Paper: Liu et al., 2019, 1903.04197, equation 2.
    """
    sides = [max(1, min(a, b) // patch) for a, b in zip(student.shape[2:], teacher.shape[2:], strict=True)]
    return (similarities(student, sides) - similarities(teacher, sides)).square().mean()


def similarities(features: Tensor, sides: Sequence[int]) -> Tensor:
    """Returns the cosine of every pair of places, (N, P, P).

    Args:
        features: (N, C, H, W).
        sides: Number of places along height and width; P is their product.

    Paper: Liu et al., 2019, 1903.04197, equation 3; places are averages, as in section 3.2.
    """
    places = F.adaptive_avg_pool2d(features, (sides[0], sides[1])).flatten(2)
    places = F.normalize(places, dim=1, eps=_TINY)
    return places.transpose(1, 2) @ places


@implements(HolisticDistillation)
class HolisticDistiller(PairwiseDistiller):
    """Adds a critic of whole score maps as well, which learns by itself."""

    spec: HolisticDistillation

    def __init__(
        self, spec: HolisticDistillation, input_shape: tuple[int, ...], outputs: int, device: str, learn: Learn
    ) -> None:
        super().__init__(spec, input_shape, outputs, device, learn)
        self.critic = Critic(outputs + input_shape[0], device)

    def join(
        self, outputs: Mapping[str, Any], said: Sequence[Mapping[str, Any]], inputs: Tensor, loss: Tensor
    ) -> Tensor:
        """Returns the loss with what follows from the teachers' outputs `said`."""
        total = super().join(outputs, said, inputs, loss)
        student = outputs["out"].float().softmax(1)
        teacher = torch.stack([each["out"].float().softmax(1) for each in said]).mean(0)
        self.critic.learn(teacher, student.detach(), inputs)
        return total + self.spec.critic * self.critic.gap(teacher, student, inputs)
