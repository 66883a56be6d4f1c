"""Networks that are asked beside the one that is trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from search_spaces.recipe import Ensemble
from trainers.ensembles import combined
from trainers.tricks.registry import implements
from trainers.tricks.teacher import Learn, made_teacher


@implements(Ensemble)
class Members(nn.Module):
    """The other members of an ensemble. A part of their learner, so that checkpoints hold those that were trained.

    Args:
        spec: Who they are, and how their predictions become one.
        input_shape: (C, H, W) of the data.
        outputs: Classes of the data.
        device: A torch device.
        learn: Trains an architecture for some epochs, for members that are not there yet.

    Raises:
        ValueError: A member cannot be read.
    """

    def __init__(self, spec: Ensemble, input_shape: tuple[int, ...], outputs: int, device: str, learn: Learn) -> None:
        super().__init__()
        self.spec = spec
        found = [made_teacher(member, input_shape, outputs, device, learn) for member in spec.members]
        self._asked = tuple(found)
        self.members = nn.ModuleList(found)

    @torch.no_grad()
    def forward(self, network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Returns the log-probabilities of all together, (N, K, ...); those of ranks only order the classes.

        Args:
            network: The one that is trained, in eval mode; it returns (N, K, ...) logits.
            images: (N, C, H, W), normalised.
        """
        said = [network(images), *(member.network()(images) for member in self._asked)]
        return combined(torch.stack([logits.float() for logits in said]), self.spec.average)
