"""The recurrent policy of NAS-RL: an LSTM, a softmax a choice, attention over anchor points.

Shapes: m candidates, T steps, N queries, L layers, H hidden units, S rows of softmax options, V rows of the vocabulary.

Paper: Zoph & Le, 2017, arXiv 1611.01578, sections 3.1 and 3.3.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from controllers.rl.batch import Batch
from controllers.rl.queries import Anchor, Depths, Query, Script
from controllers.state import State, to_arrays
from search_spaces.candidate import Candidate
from search_spaces.domains import Choices
from search_spaces.space import Space

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Floats = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Sample:
    """A candidate that the policy drew.

    Args:
        candidate: The candidate.
        tokens: Its finite choices, as `views.to_tokens` writes them.
        log_probs: Natural log-probability of what each step decided, (T,).
    """

    candidate: Candidate
    tokens: tuple[int, ...]
    log_probs: tuple[float, ...]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Runs torch on one thread, so that results do not depend on how many the process has."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class Policy:
    """A distribution over the candidates of a space.

    Each step feeds the embedding of what was sampled before to the LSTM. A choice is a softmax over its options. A
    decision whose options are earlier items of a tuple attends to the hidden states of their anchor points:
    `sigmoid(v . tanh(W_prev h_j + W_curr h_i))` of each for a `Subset`, a softmax over the same for a `Categorical`.

    Deviation: the paper does not say what follows an anchor point; here its own embedding plus the mean of those of
        the chosen items.
    Deviation: an item without an anchor point of its own is represented by its last hidden state, zero if it has none.

    Args:
        space: What to draw from.
        generator: Draws the initial weights.
        hidden: Units of each layer, which is also the size of an embedding.
        layers: Layers of the LSTM.
        init_range: All weights start uniform between minus and plus this.
        bins: Number of bins of continuous domains.
        temperature: What logits are divided by.
        tanh: The greatest size of a logit, which is `tanh` times the hyperbolic tangent of what it was; None: no bound.
        reduction: How many times smaller that bound is for a choice among options than for one among earlier items.
    """

    def __init__(
        self,
        space: Space,
        generator: torch.Generator,
        *,
        hidden: int = 35,
        layers: int = 2,
        init_range: float = 0.08,
        bins: int | None = None,
        temperature: float = 1.0,
        tanh: float | None = None,
        reduction: float = 1.0,
    ) -> None:
        import torch

        self.temperature, self.tanh, self.reduction = temperature, tanh, reduction
        self.script = Script(space, bins)
        self.hidden = hidden
        self.layers = layers
        shapes: dict[str, tuple[int, ...]] = {"embedding": (self.script.rows, hidden)}
        for layer in range(layers):
            shapes[f"lstm.{layer}.input"] = shapes[f"lstm.{layer}.hidden"] = (4 * hidden, hidden)
            shapes[f"lstm.{layer}.input_bias"] = shapes[f"lstm.{layer}.hidden_bias"] = (4 * hidden,)
        shapes |= {"softmax": (self.script.options, hidden), "softmax_bias": (self.script.options,)}
        shapes |= {"anchor.previous": (hidden, hidden), "anchor.current": (hidden, hidden), "anchor.v": (hidden,)}
        self.parameters: dict[str, Tensor] = {
            name: torch.empty(shape).uniform_(-init_range, init_range, generator=generator).requires_grad_()
            for name, shape in shapes.items()
        }

    def sample(self, generator: torch.Generator, depths: Depths | None = None) -> Sample:
        """Draw a candidate.

        Args:
            generator: Where the randomness comes from.
            depths: The n that every `First` is held to.
        """
        import torch

        with torch.no_grad():
            drawer = _Drawer(self, generator)
            log_probs: list[float] = []
            walk = self.script.walk(depths)
            fed = [(self.script.start, 1.0)]
            try:
                query = next(walk)
                while True:
                    choices, log_prob = drawer.answer(query, fed)
                    log_probs.append(log_prob)
                    fed = query.feed(choices)
                    query = walk.send(choices)
            except StopIteration as stop:
                candidate, tokens = stop.value
        return Sample(candidate, tokens, tuple(log_probs))

    def evaluate(
        self, tokens: Sequence[Sequence[int]], depths: Sequence[Depths | None] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return `score` of candidates.

        Args:
            tokens: The tokens of m candidates.
            depths: What each was held to when it was drawn; None for nothing.
        """
        return self.score(Batch(self.script, tokens, depths))

    def score(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what the policy, as it is now, says of candidates; with gradients.

        Args:
            batch: The m candidates.

        Returns:
            The log-probability of what each step decided and the entropy of that step, both (m, T), zero after the
            last step of a shorter candidate.
        """
        import torch

        log_probs = entropies = torch.zeros(batch.size * batch.steps)
        if batch.steps:
            hidden = self._hidden(batch)
            for places, log_p, entropy in (*self._softmax_parts(batch, hidden), *self._anchor_parts(batch, hidden)):
                log_probs = log_probs.index_add(0, places, log_p)
                entropies = entropies.index_add(0, places, entropy)
        return log_probs.view(batch.size, batch.steps), entropies.view(batch.size, batch.steps)

    def attention(self, previous: Tensor, current: Tensor) -> Tensor:
        """Return one logit a pair of hidden states, (N,), given (N, H) or, for the current one, (1, H)."""
        import torch

        projected = previous @ self.parameters["anchor.previous"].T + current @ self.parameters["anchor.current"].T
        return self.shaped(torch.tanh(projected) @ self.parameters["anchor.v"])

    def shaped(self, logits: Tensor, reduction: float = 1.0) -> Tensor:
        """Return logits as temperature and bound make them, the bound divided by `reduction`.

        Paper: Bello et al., 2017, arXiv 1611.09940, appendices A.1 and A.2.
        """
        if self.temperature != 1.0:
            logits = logits / self.temperature
        return logits if self.tanh is None else self.tanh / reduction * logits.tanh()

    def chances(self, batch: Batch) -> tuple[Tensor, int]:
        """Return the probability of each earlier item that may be taken into a subset, and the number of subsets.

        Args:
            batch: The m candidates in which the subsets stand.
        """
        import torch

        if not batch.many.numel():
            return torch.zeros(0), 0
        places, pairs, _ = batch.many
        hidden = self._hidden(batch)
        logits = self.attention(hidden[batch.pairs[0][pairs]], hidden[batch.pairs[1][pairs]])
        return torch.sigmoid(logits), len(places.unique())

    def get_state(self) -> State:
        """Return the weights as a state tree."""
        return {name: to_arrays(weight) for name, weight in self.parameters.items()}

    def set_state(self, state: State) -> None:
        """Take on what `get_state` returned."""
        import torch

        with torch.no_grad():
            for name, weight in self.parameters.items():
                weight.copy_(torch.tensor(state[name]))

    def _hidden(self, batch: Batch) -> Tensor:
        """Return the hidden state of the top layer at each place, and a zero, (m T + 1, H)."""
        import torch

        inputs = batch.fed @ self.parameters["embedding"]
        zero = torch.zeros(self.layers, batch.size, self.hidden)
        weights = [self.parameters[f"lstm.{layer}.{name}"] for layer in range(self.layers) for name in _LSTM]
        top: Tensor = torch.lstm(inputs, (zero, zero), weights, True, self.layers, 0.0, False, False, True)[0]
        return torch.cat([top.flatten(0, 1), torch.zeros(1, self.hidden)])

    def _softmax_parts(self, batch: Batch, hidden: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield places, log-probabilities and entropies of the queries that choose from options, each (N,)."""
        import torch

        if not len(batch.places):
            return
        plain = hidden[batch.places] @ self.parameters["softmax"].T + self.parameters["softmax_bias"]
        logits = self.shaped(plain, self.reduction)
        log_p = torch.log_softmax(logits.masked_fill(batch.forbidden, -torch.inf), 1)
        entropy = -(log_p.exp() * log_p.masked_fill(batch.forbidden, 0.0)).sum(1)
        yield batch.places, log_p.gather(1, batch.picked[:, None])[:, 0], entropy

    def _anchor_parts(self, batch: Batch, hidden: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the same of what was asked of earlier items."""
        import torch

        if not batch.pairs.numel():
            return
        logits = self.attention(hidden[batch.pairs[0]], hidden[batch.pairs[1]])
        for place, pairs, taken in batch.one:
            log_p = torch.log_softmax(logits[pairs], 0)
            yield torch.tensor([place]), log_p[taken][None], -(log_p.exp() * log_p).sum()[None]
        if batch.many.numel():
            places, pairs, bits = batch.many
            asked = logits[pairs]
            log_p = torch.nn.functional.logsigmoid(asked * (bits * 2 - 1))
            yield places, log_p, torch.nn.functional.softplus(asked) - torch.sigmoid(asked) * asked


class _Drawer:
    """One walk of a policy, without gradients: the arrays of a step are small, and numpy is quicker with those.

    Products of matrices are torch's, which keeps to the threads that it is given.
    """

    def __init__(self, policy: Policy, generator: torch.Generator) -> None:
        import torch

        self._policy = policy
        self._generator = generator
        weights = {name: weight.detach() for name, weight in policy.parameters.items()}
        self._embedding: Floats = weights["embedding"].numpy()
        self._softmax: Floats = weights["softmax"].numpy()
        self._bias: Floats = weights["softmax_bias"].numpy()
        layers = [[weights[f"lstm.{layer}.{name}"] for name in _LSTM] for layer in range(policy.layers)]
        self._layers = [(torch.cat(part[:2], 1), part[2] + part[3]) for part in layers]
        self._h: list[Floats] = [np.zeros(policy.hidden, np.float32) for _ in layers]
        self._c: list[Floats] = list(self._h)
        self._anchors: dict[Anchor, Floats] = {}

    def answer(self, query: Query, fed: Sequence[tuple[int, float]]) -> tuple[Choices, float]:
        """Return what is drawn for `query` once the rows `fed` are taken in, and its log-probability."""
        self._step(fed)
        h, sources = self._h[-1], query.plan.sources
        if sources is None:
            answer = self._one_of(query, h)
        elif not sources:
            answer = (), 0.0
        else:
            answer = self._of_items(query, h)
        self._anchors.update(dict.fromkeys(query.plan.marks, h))
        return answer

    def _step(self, fed: Sequence[tuple[int, float]]) -> None:
        import torch

        x: Floats = self._embedding[fed[0][0]]
        for row, share in fed[1:]:
            x = x + self._embedding[row] * np.float32(share)
        n = len(x)
        for layer, (weight, bias) in enumerate(self._layers):
            both = torch.from_numpy(np.concatenate((x, self._h[layer])))
            gates: Floats = torch.addmv(bias, weight, both).numpy()
            new = np.tanh(gates[2 * n : 3 * n])
            opened = 0.5 + 0.5 * np.tanh(0.5 * gates)  # the sigmoid
            self._c[layer] = opened[n : 2 * n] * self._c[layer] + opened[:n] * new
            x = self._h[layer] = opened[3 * n :] * np.tanh(self._c[layer])

    def _one_of(self, query: Query, h: Floats) -> tuple[Choices, float]:
        import torch

        rows = slice(query.row, query.row + len(query.mask))
        plain = np.einsum("ij,j->i", self._softmax[rows], h) + self._bias[rows]
        logits = self._policy.shaped(torch.from_numpy(plain), self._policy.reduction).numpy()
        return self._picked(logits if all(query.mask) else np.where(query.mask, logits, -np.inf))

    def _picked(self, logits: Floats) -> tuple[Choices, float]:
        import torch

        relative = (logits - logits.max()).astype(np.float64)
        ends = np.cumsum(np.exp(relative))
        # The first whose share ends past the point drawn: what is forbidden has no share.
        point = torch.rand((), generator=self._generator).item() * ends[-1]
        pick = int(np.searchsorted(ends, point, side="right"))
        return (pick,), float(relative[pick] - np.log(ends[-1]))

    def _of_items(self, query: Query, h: Floats) -> tuple[Choices, float]:
        import torch

        zero = np.zeros_like(h)
        earlier = np.stack([self._anchors.get(source, zero) for source in query.plan.sources or ()])
        logits = self._policy.attention(torch.from_numpy(earlier), torch.from_numpy(h[None]))
        if not query.many:
            return self._picked(logits.numpy())
        drawn = (torch.rand(len(logits), generator=self._generator) < torch.sigmoid(logits)).tolist()
        log_p = torch.stack([torch.nn.functional.logsigmoid(-logits), torch.nn.functional.logsigmoid(logits)]).tolist()
        bits: Choices = ()
        total = 0.0
        for i, yes in enumerate(drawn):
            mask = query.bits(bits)
            bit = int(yes) if all(mask) else mask.index(True)
            total += log_p[bit][i] if all(mask) else 0.0
            bits = (*bits, bit)
        return bits, total


_LSTM = ("input", "hidden", "input_bias", "hidden_bias")
