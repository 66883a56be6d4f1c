"""How the spec of an architecture becomes a network, and what all networks have in common.

Importing this file does not import torch: specs are read, checked and refused without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from search_spaces.errors import SpecError
from search_spaces.spec import Spec, first_hole

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """One operation of an architecture, as it is drawn.

    Args:
        name: Names the node within its graph.
        kind: What sort of operation it is; nodes of one kind have one colour. `input` and `output` are the ends.
        label: What it does, in a few words.
        shape: Shape of its output, without the batch.
        params: Its trainable parameters.
    """

    name: str
    kind: str
    label: str
    shape: Shape
    params: int = 0


@dataclass(frozen=True)
class Graph:
    """The operations of an architecture and how data flows between them.

    Args:
        nodes: The operations, each after those it reads from.
        edges: Pairs of names: source, target.
    """

    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]


class Architecture(Spec):
    """The spec of a network. A subclass writes `_build` and, to be drawn in detail, `graph`.

    In eval mode the network's `forward` returns the main output alone; in train mode a dict with `out` and whatever
    else there is. An auxiliary head is a child of the network named `aux`, and its output is `aux` in that dict.
    """

    home: ClassVar[str | None] = "search_spaces.architectures"
    group: ClassVar[str | None] = "deepspace.spaces"
    input_rank: ClassVar[int] = 3  # dimensions of an input without the batch: (C, H, W)

    @final
    def build(self, input_shape: Sequence[int], outputs: int) -> nn.Module:
        """Returns the network, its weights drawn from torch's global generator.

        Args:
            input_shape: Shape of one input without the batch, (C, H, W) for images.
            outputs: Number of classes (size of the vocabulary for text).

        Raises:
            SpecError: A hole is unfilled, or the input shape or the number of outputs is impossible.
        """
        return self._build(self._checked(input_shape, outputs), outputs)

    @final
    def deploy(self, network: nn.Module) -> nn.Module:
        """Returns the smaller network that computes, in eval mode, what a trained one does.

        Args:
            network: One that `build` made; it stays as it is.
        """
        from search_spaces.deploy import deploy

        return deploy(network)

    @final
    def draw_graph(self, input_shape: Sequence[int], outputs: int) -> Graph:
        """Returns the graph to draw, after the same checks as `build`."""
        return self.graph(self._checked(input_shape, outputs), outputs)

    def graph(self, input_shape: Shape, outputs: int) -> Graph:
        """Returns the operations to draw; by default the network is one box."""
        from search_spaces.cost import cost

        whole = str(getattr(self, "kind", type(self).__name__))
        nodes = (
            Node("input", "input", "input", input_shape),
            Node("network", whole, whole, (outputs,), cost(self, input_shape, outputs).params),
        )
        return Graph(nodes, (("input", "network"),))

    def gated_macs(self, input_shape: Shape) -> tuple[int, ...]:
        """Returns the multiply-adds of each part that an example may leave out, in the order of the output `gates`.

        Args:
            input_shape: Shape of one input without the batch.
        """
        return ()

    def gives(self, output: str) -> bool | None:
        """Tells whether the network returns something in train mode that recipes ask for; holes are allowed.

        Args:
            output: `aux` (logits of auxiliary heads), `edges`, `gates` (which units were gone through), or `maps`
                (`features/...`, (N, C, H, W)).

        Returns:
            None: it depends on a hole, or the spec does not say.
        """
        return None

    def _build(self, input_shape: Shape, outputs: int) -> nn.Module:
        raise NotImplementedError(f"{type(self).__name__} does not say how it is built")

    def _checked(self, input_shape: Sequence[int], outputs: int) -> Shape:
        if (hole := first_hole(self)) is not None:
            raise SpecError(f"cannot build with an unfilled hole at {hole}", allowed="a spec without holes")
        return self._checked_sizes(input_shape, outputs)

    def _checked_sizes(self, input_shape: Sequence[int], outputs: int) -> Shape:
        shape = tuple(input_shape)
        if len(shape) != self.input_rank or not all(map(_positive, shape)):
            raise SpecError(
                "a network needs the shape of one input, without the batch",
                list(shape),
                f"{self.input_rank} whole numbers above 0",
                "input_shape",
            )
        if not _positive(outputs):
            raise SpecError("a network needs a number of outputs", outputs, "a whole number above 0", "outputs")
        return shape


def _positive(size: object) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size > 0


def classifier_of(network: nn.Module) -> nn.Module | None:
    """Returns the layer whose outputs are the scores of the classes, None where none is known.

    A network names it by a property `classifier_layer`, or an `nn.ModuleList` of such layers; of others it is the last
    linear layer.

    Args:
        network: A network made by `Architecture.build`.
    """
    from torch import nn

    if hasattr(type(network), "classifier_layer"):
        found = network.classifier_layer
        return found if isinstance(found, nn.Module) else None
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    return linear[-1] if linear else None


def set_drop_path(network: nn.Module, rate: float) -> int:
    """Sets the rate at which paths of a network are dropped while it trains.

    Args:
        network: A network made by `Architecture.build`.
        rate: Probability of dropping a path of the deepest layer at the end of training, in [0, 1); 0 drops nothing.

    Returns:
        The number of places where the network drops paths; 0 says that the rate has no effect on it.

    Raises:
        ValueError: The rate is outside [0, 1).
    """
    from search_spaces.networks.layers import DropPath

    if not 0 <= rate < 1:
        raise ValueError(f"drop path needs a rate of at least 0 and below 1; got {rate}")
    places = [module for module in network.modules() if isinstance(module, DropPath)]
    for place in places:
        place.rate = rate
    return len(places)


def set_progress(network: nn.Module, fraction: float) -> None:
    """Tells every module that changes over training how far training has come; called before every step.

    Args:
        network: Any network; modules without a `set_progress` method are left alone.
        fraction: Steps done over steps in all, in [0, 1].

    Raises:
        ValueError: The fraction is outside [0, 1].
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"progress is a fraction from 0 to 1; got {fraction}")
    for module in network.modules():
        # Asking the class avoids the slow failing lookup of `nn.Module.__getattr__`, on every step.
        if hasattr(type(module), "set_progress"):
            module.set_progress(fraction)  # type: ignore[operator]
