"""The network of a `Shareable`: the weights of all architectures of a space, run as one of them.

Paper: Pham et al., 2018, arXiv 1802.03268, section 2.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from search_spaces.meta import ShapesOnly

if TYPE_CHECKING:
    from search_spaces.build import Shape
    from search_spaces.share import Place, Shareable

KEPT = 64
"""Architectures whose empty networks are kept: a policy that has learned draws the same ones again and again."""


class SharedNetwork(nn.Module):
    """Shared weights, and the architecture among them that is run.

    What runs is the architecture's own network, without weights of its own: a path through the shared weights gives
    what that network gives with equal weights.

    Deviation: the authors' code adds weights that only the shared network has, such as the convolution behind a cell;
        its path is another network than the one trained in the end.

    Args:
        template: With holes.
        input_shape: Shape of one input without the batch.
        outputs: Number of classes.
    """

    def __init__(self, template: Shareable, input_shape: Shape, outputs: int) -> None:
        super().__init__()
        self.input_shape, self.outputs = input_shape, outputs
        self._chosen: Shareable | None = None
        self._empty: dict[str, tuple[nn.Module, dict[str, Place]]] = {}
        for architecture in template.cover():
            self._take(architecture)

    def _take(self, architecture: Shareable) -> None:
        network = architecture.build(self.input_shape, self.outputs)
        places = architecture.places(self.input_shape)
        for name, weight in network.named_parameters():
            place = places(name)
            if not hasattr(self, key := _attribute(place)):
                if place.slots is not None and len(place.slots) != place.total:
                    raise ValueError(f"the first architecture with {place.key} uses {place.slots} of {place.total}")
                self.register_parameter(key, nn.Parameter(weight.detach().clone()))
        for name, value in network.named_buffers():
            if not hasattr(self, key := _attribute(places(name))):
                self.register_buffer(key, value.clone())

    def choose(self, architecture: Shareable) -> None:
        """Sets the architecture that is run from now on, one of the space, without holes."""
        self._chosen = architecture

    def forward(self, image: Tensor) -> Any:
        """Returns what the network of the chosen architecture returns for images (N, C, H, W)."""
        if self._chosen is None:
            raise RuntimeError("a shared network runs one architecture: `choose` it first")
        network, places = self._network(self._chosen)
        network.train(self.training)
        weights = {name: self._weight(place) for name, place in places.items()}
        return functional_call(network, weights, (image,))

    def weights_of(self, architecture: Shareable) -> dict[str, Tensor]:
        """Returns the `state_dict` that the network of an architecture has here."""
        _, places = self._network(architecture)
        return {name: self._weight(place).detach().clone() for name, place in places.items()}

    def _weight(self, place: Place) -> Tensor:
        found: Tensor = getattr(self, _attribute(place))
        if place.slots is None or place.slots == tuple(range(place.total)):
            return found
        parts = found.chunk(place.total, dim=1)
        return torch.cat([parts[slot] for slot in place.slots], dim=1)

    def _network(self, architecture: Shareable) -> tuple[nn.Module, dict[str, Place]]:
        text = architecture.to_json()
        if (made := self._empty.pop(text, None)) is None:
            with torch.random.fork_rng(devices=[]), torch.device("meta"), ShapesOnly():
                network = architecture.build(self.input_shape, self.outputs)
            places = architecture.places(self.input_shape)
            made = network, {name: places(name) for name in network.state_dict()}
        if len(self._empty) >= KEPT:
            del self._empty[next(iter(self._empty))]
        self._empty[text] = made
        return made


def _attribute(place: Place) -> str:
    return place.key.replace(".", "/")
