"""The recurrent policy of NAS-RL: an LSTM, a softmax a choice, attention over anchor points.

Shapes: m candidates, T steps, N queries, H hidden units, S rows of softmax options, V rows of the vocabulary.

Paper: Zoph & Le, 2017, arXiv 1611.01578, sections 3.1 and 3.3.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from controllers.rl.queries import Anchor, Depths, Query, Script
from controllers.state import State, to_arrays
from search_spaces.candidate import Candidate
from search_spaces.domains import Choices
from search_spaces.space import Space

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LayerState = tuple["Tensor", "Tensor"]


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
    ) -> None:
        import torch

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
            weights = self.parameters["embedding"]
            state = self._zero_state(1)
            anchors: dict[Anchor, Tensor] = {}
            log_probs: list[float] = []
            x = weights[self.script.start : self.script.start + 1]
            walk = self.script.walk(depths)
            try:
                query = next(walk)
                while True:
                    h, state = self._step(x, state)
                    choices, log_prob = self._draw(query, h, anchors, generator)
                    log_probs.append(log_prob)
                    anchors.update(dict.fromkeys(query.plan.marks, h))
                    fed = query.feed(choices)
                    x = sum((weights[row : row + 1] * weight for row, weight in fed[1:]), weights[fed[0][0]][None])
                    query = walk.send(choices)
            except StopIteration as stop:
                candidate, tokens = stop.value
        return Sample(candidate, tokens, tuple(log_probs))

    def evaluate(
        self, tokens: Sequence[Sequence[int]], depths: Sequence[Depths | None] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what the policy, as it is now, says of candidates; with gradients.

        Args:
            tokens: The tokens of m candidates.
            depths: What each was held to when it was drawn; None for nothing.

        Returns:
            The log-probability of what each step decided and the entropy of that step, both (m, T), zero after the
            last step of a shorter candidate.
        """
        import torch

        held = depths if depths is not None else [None] * len(tokens)
        scripts = [self.script.replay(given, limit) for given, limit in zip(tokens, held, strict=True)]
        steps = max((len(script) for script in scripts), default=0)
        if steps == 0:
            return torch.zeros(len(scripts), 0), torch.zeros(len(scripts), 0)
        hidden = self._hidden(scripts, steps)
        places, parts = self._softmax_parts(scripts, steps, hidden)
        for found in self._anchor_parts(scripts, steps, hidden):
            places.append(found[0])
            parts.append(found[1])
        if not places:  # anchors without an item before them leave nothing to choose
            return torch.zeros(len(scripts), steps), torch.zeros(len(scripts), steps)
        index = torch.from_numpy(np.concatenate(places))
        log_probs, entropies = (
            torch.zeros(len(scripts) * steps).index_add(0, index, torch.cat([part[i] for part in parts]))
            for i in (0, 1)
        )
        return log_probs.view(len(scripts), steps), entropies.view(len(scripts), steps)

    def get_state(self) -> State:
        """Return the weights as a state tree."""
        return {name: to_arrays(weight) for name, weight in self.parameters.items()}

    def set_state(self, state: State) -> None:
        """Take on what `get_state` returned."""
        import torch

        with torch.no_grad():
            for name, weight in self.parameters.items():
                weight.copy_(torch.from_numpy(state[name]))

    def _zero_state(self, m: int) -> list[LayerState]:
        import torch

        return [(torch.zeros(m, self.hidden), torch.zeros(m, self.hidden)) for _ in range(self.layers)]

    def _step(self, x: Tensor, state: list[LayerState]) -> tuple[Tensor, list[LayerState]]:
        """Return the hidden state of the top layer, (m, H), and the state of all, for an input (m, H)."""
        import torch

        after: list[LayerState] = []
        for layer, before in enumerate(state):
            weights = [self.parameters[f"lstm.{layer}.{name}"] for name in _LSTM]
            after.append(torch.lstm_cell(x, before, *weights))
            x = after[-1][0]
        return x, after

    def _attention(self, previous: Tensor, current: Tensor) -> Tensor:
        """Return one logit a pair of hidden states, (N,), given (N, H) or, for the current one, (1, H)."""
        import torch

        projected = previous @ self.parameters["anchor.previous"].T + current @ self.parameters["anchor.current"].T
        return torch.tanh(projected) @ self.parameters["anchor.v"]

    def _draw(
        self, query: Query, h: Tensor, anchors: dict[Anchor, Tensor], generator: torch.Generator
    ) -> tuple[Choices, float]:
        import torch

        sources = query.plan.sources
        if sources is None:
            rows = slice(query.row, query.row + len(query.mask))
            logits = torch.addmv(self.parameters["softmax_bias"][rows], self.parameters["softmax"][rows], h[0])
            if not all(query.mask):
                logits = logits.masked_fill(~torch.tensor(query.mask), -torch.inf)
        elif not sources:
            return (), 0.0
        else:
            zero = torch.zeros(1, self.hidden)
            logits = self._attention(torch.cat([anchors.get(source, zero) for source in sources]), h)
            if query.many:
                return self._draw_many(query, logits, generator)
        log_p = torch.log_softmax(logits, 0)
        pick = int(torch.multinomial(log_p.exp(), 1, generator=generator))
        return (pick,), float(log_p[pick])

    def _draw_many(self, query: Query, logits: Tensor, generator: torch.Generator) -> tuple[Choices, float]:
        import torch

        drawn = (torch.rand(len(logits), generator=generator) < torch.sigmoid(logits)).tolist()
        log_p = torch.stack([torch.nn.functional.logsigmoid(-logits), torch.nn.functional.logsigmoid(logits)]).tolist()
        bits: Choices = ()
        total = 0.0
        for i, yes in enumerate(drawn):
            mask = _mask(query, bits)
            bit = int(yes) if all(mask) else mask.index(True)
            total += log_p[bit][i] if all(mask) else 0.0
            bits = (*bits, bit)
        return bits, total

    def _hidden(self, scripts: Sequence[Sequence[tuple[Query, Choices]]], steps: int) -> Tensor:
        """Return hidden states and a zero, (m T + 1, H): step t of candidate k stands in row k T + t."""
        import torch

        fed = np.zeros((len(scripts), steps, self.script.rows), np.float32)
        fed[:, 0, self.script.start] = 1.0
        for k, script in enumerate(scripts):
            for t, (query, choices) in enumerate(script[:-1]):
                for row, weight in query.feed(choices):
                    fed[k, t + 1, row] += weight
        inputs = torch.from_numpy(fed) @ self.parameters["embedding"]
        state = self._zero_state(len(scripts))
        tops = []
        for t in range(steps):
            h, state = self._step(inputs[:, t], state)
            tops.append(h)
        return torch.cat([torch.stack(tops, 1).flatten(0, 1), torch.zeros(1, self.hidden)])

    def _softmax_parts(
        self, scripts: Sequence[Sequence[tuple[Query, Choices]]], steps: int, hidden: Tensor
    ) -> tuple[list[Any], list[tuple[Tensor, Tensor]]]:
        import torch

        found = [
            (k * steps + t, query, query.row + choices[0])
            for k, script in enumerate(scripts)
            for t, (query, choices) in enumerate(script)
            if query.plan.sources is None
        ]
        if not found:
            return [], []
        allowed = np.zeros((len(found), self.script.options), bool)
        for i, (_, query, _) in enumerate(found):
            allowed[i, query.row : query.row + len(query.mask)] = query.mask
        places = np.array([place for place, _, _ in found])
        picked = torch.tensor([row for _, _, row in found])
        logits = hidden[torch.from_numpy(places)] @ self.parameters["softmax"].T + self.parameters["softmax_bias"]
        forbidden = torch.from_numpy(~allowed)
        log_p = torch.log_softmax(logits.masked_fill(forbidden, -torch.inf), 1)
        entropy = -(log_p.exp() * log_p.masked_fill(forbidden, 0.0)).sum(1)
        return [places], [(log_p.gather(1, picked[:, None])[:, 0], entropy)]

    def _anchor_parts(
        self, scripts: Sequence[Sequence[tuple[Query, Choices]]], steps: int, hidden: Tensor
    ) -> Iterator[tuple[Any, tuple[Tensor, Tensor]]]:
        import torch

        zero = len(scripts) * steps
        pairs: list[tuple[int, int]] = []
        asked: list[tuple[int, Query, Choices]] = []
        for k, script in enumerate(scripts):
            anchors: dict[Anchor, int] = {}
            for t, (query, choices) in enumerate(script):
                place = k * steps + t
                if query.plan.sources:
                    pairs += [(anchors.get(source, zero), place) for source in query.plan.sources]
                    asked.append((place, query, choices))
                anchors.update(dict.fromkeys(query.plan.marks, place))
        if not pairs:
            return
        previous, current = torch.tensor(pairs).T
        logits = self._attention(hidden[previous], hidden[current])
        many_places: list[int] = []
        many_rows: list[int] = []
        many_bits: list[int] = []
        at = 0
        for place, query, choices in asked:
            n = len(query.plan.sources or ())
            if query.many:
                free = [i for i in range(n) if all(_mask(query, choices[:i]))]
                many_places += [place] * len(free)
                many_rows += [at + i for i in free]
                many_bits += [choices[i] for i in free]
            else:
                log_p = torch.log_softmax(logits[at : at + n], 0)
                entropy = -(log_p.exp() * log_p).sum()
                yield np.array([place]), (log_p[choices[0]][None], entropy[None])
            at += n
        if many_rows:
            asked_logits = logits[torch.tensor(many_rows)]
            signs = torch.tensor(many_bits) * 2 - 1
            log_p = torch.nn.functional.logsigmoid(asked_logits * signs)
            p = torch.sigmoid(asked_logits)
            softplus = torch.nn.functional.softplus(asked_logits)
            yield np.array(many_places), (log_p, softplus - p * asked_logits)


_LSTM = ("input", "hidden", "input_bias", "hidden_bias")


def _mask(query: Query, bits: Choices) -> tuple[bool, ...]:
    step = query.plan.domain.choices(bits)
    assert step is not None
    return step[1]
