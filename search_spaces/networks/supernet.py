"""What all supernets have in common: logits that weigh the choices, and what takes their place for a while."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from search_spaces.relax import Layout

LOGITS = "logits_"
INIT = 1e-3


class Supernet(nn.Module):
    """A network that holds every choice of a space at once. A subclass writes `forward`, and asks `mixture` there.

    Logits are buffers, not parameters: who trains the network's weights leaves them alone.

    Args:
        layout: Name -> shape of the logits, (places, options).

    Paper: Liu et al., 2019, arXiv 1806.09055, section 2.2, equation 2; logits begin as in the authors' code.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = dict(layout)
        for name, shape in self.layout.items():
            self.register_buffer(f"{LOGITS}{name}", INIT * torch.randn(shape))
        self._chosen: dict[str, Tensor] | None = None

    @property
    def logits(self) -> dict[str, Tensor]:
        """The logits by name, (places, options)."""
        return {name: self.get_buffer(f"{LOGITS}{name}") for name in self.layout}

    def choose(self, mixture: Mapping[str, Tensor] | None) -> None:
        """Sets the weights that options have from now on.

        Args:
            mixture: Name -> (places, options); a row with a single number that is not 0 has that option computed alone.
                None: the softmax of the logits.
        """
        self._chosen = None if mixture is None else dict(mixture)

    def mixture(self) -> dict[str, Tensor]:
        """Returns the weights of the options, (places, options) for each name."""
        if self._chosen is not None:
            return self._chosen
        return {name: logits.softmax(dim=-1) for name, logits in self.logits.items()}
