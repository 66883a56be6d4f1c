"""The modules of `search_spaces.blocks.non_local`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.layers import DotProductAttention, MatMul, SoftmaxPool, as_map, tokens

if TYPE_CHECKING:
    from search_spaces.blocks.non_local import GlobalContext, NonLocal


class NonLocalModule(nn.Module):
    """What positions read from all positions, behind a 1x1 convolution that starts at zero, added to the map."""

    def __init__(self, spec: NonLocal, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // spec.reduction)
        self.pool = nn.MaxPool2d(2, ceil_mode=True) if spec.subsample else nn.Identity()
        self.reads = READS[spec.form](channels, inner)
        self.out = zeroed(nn.Conv2d(inner, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a map of the same shape."""
        out: Tensor = x + self.out(self.reads(x, self.pool(x)))
        return out


def zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    """Returns a convolution after its weights and biases have been set to zero."""
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv


def one_head(x: Tensor) -> Tensor:
    """Returns the positions of a map (N, C, H, W) as (N, 1, H W, C), laid out so that attention need not hold pairs."""
    return tokens(x)[:, None].contiguous()


class GaussianReads(nn.Module):
    """Reads by the softmax of the products of the values themselves."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.attend = DotProductAttention(scale=1.0)
        self.value = nn.Conv2d(channels, inner, 1)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Returns what each position of `x` (N, C, H, W) reads from `source` (N, C, h, w), (N, inner, H, W)."""
        # Weights that add up to 1 may be applied before the linear function of what they weigh.
        query, key = one_head(x), one_head(source)
        out: Tensor = self.value(as_map(self.attend(query, key, key)[:, 0], x))
        return out


class EmbeddedReads(nn.Module):
    """Reads by the softmax of the products of linear functions of the values."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.attend = DotProductAttention(scale=1.0)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Returns what each position of `x` (N, C, H, W) reads from `source` (N, C, h, w), (N, inner, H, W)."""
        query, key, value = (one_head(y) for y in (self.query(x), self.key(source), self.value(source)))
        return as_map(self.attend(query, key, value)[:, 0], x)


class DotReads(nn.Module):
    """Reads by the products of linear functions of the values, over the number of positions read."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.gather = MatMul()
        self.read = MatMul()

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Returns what each position of `x` (N, C, H, W) reads from `source` (N, C, h, w), (N, inner, H, W)."""
        query, key, value = (tokens(y) for y in (self.query(x), self.key(source), self.value(source)))
        # (Q K^T) V = Q (K^T V), without a matrix of all pairs of positions.
        table = self.gather(key.transpose(1, 2), value / key.shape[1])
        return as_map(self.read(query, table), x)


class ConcatReads(nn.Module):
    """Reads by the ReLU of a linear function of both values, over the number of positions read."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        # The two halves of the vector that the concatenation of query and key is multiplied by.
        self.query_score = nn.Conv2d(inner, 1, 1, bias=False)
        self.key_score = nn.Conv2d(inner, 1, 1, bias=False)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Returns what each position of `x` (N, C, H, W) reads from `source` (N, C, h, w), (N, inner, H, W)."""
        value = tokens(self.value(source))
        a, b = self.query_score(self.query(x)).flatten(1), self.key_score(self.key(source)).flatten(1)
        found = sum_of_relu(a, b, value / value.shape[1])
        return as_map(found.to(value.dtype), x)


def sum_of_relu(a: Tensor, b: Tensor, values: Tensor) -> Tensor:
    """Returns the sums over j of ReLU(a_i + b_j) v_j, in float32.

    What is above zero comes first when j is sorted by falling b, so that all sums are found among running ones: time
    grows with S log S and memory with S, not with T x S.

    Args:
        a: (N, T).
        b: (N, S).
        values: (N, S, d).

    Returns:
        Sums (N, T, d).
    """
    a, b, values = a.float(), b.float(), values.float()
    b, order = b.sort(dim=1, descending=True)
    values = values.gather(1, order[..., None].expand_as(values))
    running = F.pad(torch.cat([values, b[..., None] * values], dim=2).cumsum(1), (0, 0, 1, 0))
    positive = torch.searchsorted(-b.detach(), a.detach().contiguous())
    found = running.gather(1, positive[..., None].expand(-1, -1, running.shape[2]))
    plain, weighed = found.chunk(2, dim=2)
    return a[..., None] * plain + weighed


READS: dict[str, type[nn.Module]] = {
    "gaussian": GaussianReads,
    "embedded": EmbeddedReads,
    "dot": DotReads,
    "concat": ConcatReads,
}


class SimplifiedModule(nn.Module):
    """A weighed average of the map, behind a 1x1 convolution, added to every position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = nn.Conv2d(channels, 1, 1)
        self.pool = SoftmaxPool()
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a map of the same shape."""
        out: Tensor = x + self.out(self.pool(x, self.score(x)))
        return out


class GlobalContextModule(nn.Module):
    """A weighed average of the map, behind two layers, added to every position or weighing its channels."""

    def __init__(self, spec: GlobalContext, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // spec.reduction)
        self.fuse = spec.fuse
        self.score = nn.Conv2d(channels, 1, 1)
        self.pool = SoftmaxPool()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.norm = nn.LayerNorm([hidden, 1, 1])
        self.relu = nn.ReLU(inplace=True)
        self.expand = zeroed(nn.Conv2d(hidden, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a map of the same shape."""
        context: Tensor = self.pool(x, self.score(x))
        context = self.expand(self.relu(self.norm(self.reduce(context))))
        return x + context if self.fuse == "add" else x * context.sigmoid()
