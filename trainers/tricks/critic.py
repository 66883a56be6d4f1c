"""A Wasserstein critic of score maps together with the images that they are of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_WIDTHS = (32, 64)
_RATE, _BETAS = 4e-4, (0.0, 0.9)
_PENALTY = 10.0


class Critic(nn.Module):
    """Scores pairs of a score map and an image; learns apart from the network, with an optimizer of its own.

    Args:
        channels: Of score map and image together.
        device: A torch device.

    Paper: Liu et al., 2019, 1903.04197, section 3.3; gradient penalty: Gulrajani et al., 2017, 1704.00028, algorithm 1.
    Deviation: Two strided convolutions without the paper's self-attention, so that any size of image will do.
    """

    def __init__(self, channels: int, device: str = "cpu") -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in _WIDTHS:
            layers += [nn.Conv2d(channels, width, 4, stride=2, padding=2), nn.LeakyReLU(0.2)]
            channels = width
        network = nn.Sequential(*layers, nn.Conv2d(channels, 1, 1)).to(device)
        # In a tuple, so that the optimizer of the trial does not find its weights.
        self._network = (network,)
        self._optimizer = torch.optim.Adam(network.parameters(), lr=_RATE, betas=_BETAS)

    def score(self, maps: Tensor, images: Tensor) -> Tensor:
        """Returns one score an example, (N,).

        Args:
            maps: (N, K, H, W).
            images: (N, C, H, W).
        """
        found: Tensor = self._network[0](torch.cat((maps, images.float()), 1)).mean((1, 2, 3))
        return found

    def gap(self, teacher: Tensor, student: Tensor, images: Tensor) -> Tensor:
        """Returns by how much the teacher's maps score higher: an estimate of the Wasserstein distance.

        The critic's own weights get no gradient from it.

        Args:
            teacher: (N, K, H, W) probabilities.
            student: Likewise.
            images: (N, C, H, W).
        """
        self._network[0].requires_grad_(False)
        found = self.score(teacher, images).mean() - self.score(student, images).mean()
        self._network[0].requires_grad_(True)
        return found

    def learn(self, teacher: Tensor, student: Tensor, images: Tensor) -> None:
        """Takes one step towards telling the two apart; arguments as those of `gap`, without gradients."""
        with torch.enable_grad():
            distance = self.score(teacher, images).mean() - self.score(student, images).mean()
            share = torch.rand(len(teacher), 1, 1, 1, device=teacher.device)
            between = torch.lerp(teacher, student, share).requires_grad_(True)
            (slope,) = torch.autograd.grad(self.score(between, images).sum(), between, create_graph=True)
            penalty = (slope.flatten(1).norm(dim=1) - 1).square().mean()
            self._optimizer.zero_grad(set_to_none=True)
            (_PENALTY * penalty - distance).backward()
        self._optimizer.step()

    def get_extra_state(self) -> dict[str, Any]:
        """Returns its weights and those of its optimizer."""
        return {"network": dict(self._network[0].state_dict()), "optimizer": self._optimizer.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Puts them back."""
        self._network[0].load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
