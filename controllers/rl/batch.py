"""Candidates replayed together: what their score needs beside the weights, so that many steps may use it.

Shapes: m candidates, T steps, N queries, V rows of the vocabulary, S rows of softmax options.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from controllers.rl.queries import Anchor, Depths, Query, Script
from search_spaces.domains import Choices

if TYPE_CHECKING:
    from torch import Tensor


class Batch:
    """The queries of m candidates and their answers, as indexes; step t of candidate k is place k T + t.

    Args:
        script: The space as queries.
        tokens: The tokens of each candidate.
        depths: What each was held to when it was drawn.

    Attributes:
        size: m.
        steps: T.
        fed: What each step is fed, as weights of the rows of the vocabulary, (m, T, V).
        places: Of the softmax queries, (N,).
        picked: Row of the option that each took, (N,).
        forbidden: The rows that each could not take, (N, S).
        pairs: Place of the anchor of an earlier item, m T where it has none, and of the query that asks for it, (2, P).
        one: The queries that take one of the earlier items: place, their pairs, which was taken.
        many: Of each yes or no that was free: its place, its pair, and the answer, (3, B).

    Raises:
        SpecError: Tokens break a mask, or are too few or too many.
    """

    def __init__(
        self, script: Script, tokens: Sequence[Sequence[int]], depths: Sequence[Depths | None] | None = None
    ) -> None:
        held = depths if depths is not None else [None] * len(tokens)
        scripts = [script.replay(given, limit) for given, limit in zip(tokens, held, strict=True)]
        self.size = len(scripts)
        self.steps = max((len(asked) for asked in scripts), default=0)
        self._read_feeds(script, scripts)
        self._read_softmaxes(script, scripts)
        self._read_anchors(scripts)

    def _read_feeds(self, script: Script, scripts: Sequence[Sequence[tuple[Query, Choices]]]) -> None:
        import torch

        fed = np.zeros((self.size, self.steps, script.rows), np.float32)
        fed[:, :1, script.start] = 1.0
        for k, asked in enumerate(scripts):
            for t, (query, choices) in enumerate(asked[:-1]):
                for row, weight in query.feed(choices):
                    fed[k, t + 1, row] += weight
        self.fed = torch.from_numpy(fed)

    def _read_softmaxes(self, script: Script, scripts: Sequence[Sequence[tuple[Query, Choices]]]) -> None:
        import torch

        found = [
            (k * self.steps + t, query, query.row + choices[0])
            for k, asked in enumerate(scripts)
            for t, (query, choices) in enumerate(asked)
            if query.plan.sources is None
        ]
        forbidden = np.ones((len(found), script.options), bool)
        for i, (_, query, _) in enumerate(found):
            forbidden[i, query.row : query.row + len(query.mask)] = ~np.array(query.mask)
        self.places = torch.tensor([place for place, _, _ in found], dtype=torch.int64)
        self.picked = torch.tensor([row for _, _, row in found], dtype=torch.int64)
        self.forbidden = torch.from_numpy(forbidden)

    def _read_anchors(self, scripts: Sequence[Sequence[tuple[Query, Choices]]]) -> None:
        import torch

        pairs: list[tuple[int, int]] = []
        many: list[tuple[int, int, int]] = []
        self.one: list[tuple[int, slice, int]] = []
        for k, asked in enumerate(scripts):
            anchors: dict[Anchor, int] = {}
            for t, (query, choices) in enumerate(asked):
                place, at = k * self.steps + t, len(pairs)
                sources = query.plan.sources or ()
                pairs += [(anchors.get(source, self.size * self.steps), place) for source in sources]
                if sources and query.many:
                    many += [(place, at + i, bit) for i, bit in enumerate(choices) if all(query.bits(choices[:i]))]
                elif sources:
                    self.one.append((place, slice(at, at + len(sources)), choices[0]))
                anchors.update(dict.fromkeys(query.plan.marks, place))
        self.pairs: Tensor = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
        self.many: Tensor = torch.tensor(many, dtype=torch.int64).reshape(-1, 3).T
