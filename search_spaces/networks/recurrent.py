"""The network of a `Recurrent`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.cells import State

if TYPE_CHECKING:
    from search_spaces.architectures.recurrent import Recurrent

States = tuple[State, ...]  # one a layer


class TiedLinear(nn.Linear):
    """A linear layer with the weights of an embedding; its own are the bias alone, so that none is stored twice."""

    def __init__(self, embedding: nn.Embedding) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = embedding.embedding_dim, embedding.num_embeddings
        self.bias = nn.Parameter(torch.zeros(self.out_features))
        # In a tuple, so that the embedding is no child of this layer, too.
        self._source = (embedding,)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The weights of the embedding, (vocabulary, width)."""
        return self._source[0].weight

    def forward(self, x: Tensor) -> Tensor:
        """Returns (..., vocabulary) for `x` (..., width)."""
        return F.linear(x, self.weight, self.bias)


class RecurrentNetwork(nn.Module):
    """Embedding, layers and decoder over tokens (N, T), whole numbers below the size V of the vocabulary.

    In eval mode `forward` returns the logits (N, T, V) alone; `advance` returns the state as well. In train mode
    `forward` returns a dict: `out`, the logits; `state`, to be given, detached, to the next call (truncated
    backpropagation through time); `features/embedding` and `features/layerI`, the outputs (N, T, C) of the embedding
    and of layer I, before dropout.

    A state is a tuple of tuples of tensors (N, C), one tuple a layer; None is a state of zeros.
    """

    input_dtype = torch.long

    def __init__(self, spec: Recurrent, vocabulary: int) -> None:
        super().__init__()
        widths = spec.widths()
        self.embedding = nn.Embedding(vocabulary, widths[0])
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        self.embedding_dropout = nn.Dropout(spec.embedding_dropout)
        self.layers = nn.ModuleList([spec.cell.build(*pair) for pair in zip(widths, widths[1:], strict=False)])
        self.layer_dropout = nn.Dropout(spec.layer_dropout)
        self.output_dropout = nn.Dropout(spec.output_dropout)
        self.decoder = TiedLinear(self.embedding) if spec.tied else nn.Linear(widths[-1], vocabulary)

    @property
    def classifier_layer(self) -> nn.Module:
        """The layer that scores the classes."""
        return self.decoder

    def forward(self, tokens: Tensor, state: States | None = None) -> Tensor | dict[str, Any]:
        """Returns what the class says.

        Args:
            tokens: (N, T).
            state: State before the first token.
        """
        out, after, features = self._run(tokens, state)
        return {"out": out, "state": after, **features} if self.training else out

    def advance(self, tokens: Tensor, state: States | None = None) -> tuple[Tensor, States]:
        """Returns the logits (N, T, V) and the state behind the last token, whatever the mode.

        Args:
            tokens: (N, T).
            state: State before the first token.
        """
        out, after, _ = self._run(tokens, state)
        return out, after

    def _run(self, tokens: Tensor, state: States | None) -> tuple[Tensor, States, dict[str, Tensor]]:
        x = self.embedding(tokens)
        features = {"features/embedding": x}
        x = self.embedding_dropout(x)
        after: list[State] = []
        for i, layer in enumerate(self.layers):
            x, new = layer(self.layer_dropout(x) if i else x, None if state is None else state[i])
            features[f"features/layer{i}"] = x
            after.append(new)
        return self.decoder(self.output_dropout(x)), tuple(after), features


def detached(state: States) -> States:
    """Returns a state that gradients do not flow through."""
    return tuple(tuple(tensor.detach() for tensor in layer) for layer in state)
