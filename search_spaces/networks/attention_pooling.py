"""The modules of `search_spaces.blocks.attention_pooling`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.networks.layers import MatMul, SoftmaxPool, as_map

if TYPE_CHECKING:
    from search_spaces.blocks.attention_pooling import LearnToPayAttention


class LtpaModule(nn.Module):
    """One weighed average a map, side by side."""

    def __init__(self, spec: LearnToPayAttention, channels: Sequence[int]) -> None:
        super().__init__()
        last = channels[-1]
        self.projects = nn.ModuleList(
            [nn.Identity() if count == last else nn.Conv2d(count, last, 1, bias=False) for count in channels]
        )
        score = DotScore if spec.score == "dot" else ParamScore
        self.scores = nn.ModuleList([score(last) for _ in channels])
        self.pool = SoftmaxPool()

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Returns the averages (N, layers C) of the last of the maps (N, C_i, H_i, W_i)."""
        whole = maps[-1].mean((2, 3), keepdim=True)
        found = []
        for x, project, score in zip(maps[-len(self.scores) :], self.projects, self.scores, strict=True):
            x = project(x)
            found.append(self.pool(x, score(x, whole)).flatten(1))
        return torch.cat(found, dim=1)


class DotScore(nn.Module):
    """The product of each position with a vector."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.product = MatMul()

    def forward(self, x: Tensor, whole: Tensor) -> Tensor:
        """Returns logits (N, 1, H, W) of a map (N, C, H, W) by a vector (N, C, 1, 1)."""
        logits = self.product(whole.flatten(2).transpose(1, 2), x.flatten(2))
        return as_map(logits.transpose(1, 2), x)


class ParamScore(nn.Module):
    """The product of each position's sum with a vector and a learned vector."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 1, 1, bias=False)

    def forward(self, x: Tensor, whole: Tensor) -> Tensor:
        """Returns logits (N, 1, H, W) of a map (N, C, H, W) by a vector (N, C, 1, 1)."""
        out: Tensor = self.conv(x + whole)
        return out
