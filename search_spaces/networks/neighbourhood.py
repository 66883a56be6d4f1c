"""The modules of `search_spaces.blocks.neighbourhood`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.convolution import BatchNorm
from search_spaces.networks.layers import MatMul

if TYPE_CHECKING:
    from search_spaces.blocks.neighbourhood import PairwiseAttention, PatchwiseAttention


def neighbours(x: Tensor, footprint: int) -> Tensor:
    """Returns what lies around each position of a map (N, C, H, W), (N, C, footprint^2, H W); zeros around the map."""
    found = F.unfold(x, footprint, padding=footprint // 2)
    return found.view(x.shape[0], x.shape[1], footprint**2, -1)


def local_sum(values: Tensor, weights: Tensor, footprint: int) -> Tensor:
    """Returns weighed sums over the neighbourhood of each position, (N, C, H, W).

    Args:
        values: A map (N, C, H, W).
        weights: Weights (N, G, footprint^2, H W); each serves C / G channels that lie side by side.
        footprint: Rows, and columns, of the neighbourhood.
    """
    images, groups = weights.shape[:2]
    near = neighbours(values, footprint).view(images, groups, -1, *weights.shape[2:])
    return (near * weights[:, :, None]).sum(dim=3).view(values.shape)


class NeighbourhoodModule(nn.Module):
    """The residual block of the paper's networks.

    Args:
        spec: What it does.
        channels: Channels of the map.
        weights: Makes the module from maps of queries and keys to the weights of the neighbours.
    """

    def __init__(
        self,
        spec: PairwiseAttention | PatchwiseAttention,
        channels: int,
        weights: type[PairwiseWeights] | type[PatchwiseWeights],
    ) -> None:
        super().__init__()
        summed = max(1, channels // spec.reduction)
        related = max(1, summed // 4)
        self.footprint = spec.footprint
        self.norm1 = BatchNorm(channels)
        self.query = nn.Conv2d(channels, related, 1)
        self.key = nn.Conv2d(channels, related, 1)
        self.value = nn.Conv2d(channels, summed, 1)
        self.weights = weights(spec.relation, related, summed // spec.share, spec.footprint)
        self.norm2 = BatchNorm(summed)
        self.relu = nn.ReLU(inplace=True)
        self.out = nn.Conv2d(summed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the map (N, C, H, W) of a map of the same shape."""
        found = self.attended(self.relu(self.norm1(x)))
        out: Tensor = x + self.out(self.relu(self.norm2(found)))
        return out

    def attended(self, x: Tensor) -> Tensor:
        """Returns the weighed local sums (N, summed, H, W) of a map (N, C, H, W)."""
        weights = self.weights(self.query(x), self.key(x))
        return local_sum(self.value(x), weights, self.footprint)


class PairwiseWeights(nn.Module):
    """One weight a neighbour and group of channels, from the two values and the neighbour's place; a softmax of them.

    Args:
        relation: What is made of the two values.
        related: Channels of the values.
        groups: Weights a neighbour.
        footprint: Rows, and columns, of the neighbourhood.
    """

    def __init__(self, relation: str, related: int, groups: int, footprint: int) -> None:
        super().__init__()
        self.relation = relation
        self.footprint = footprint
        self.place = nn.Conv2d(2, 2, 1, bias=False)
        numbers = {"concat": 2 * related, "dot": 1}.get(relation, related) + 2
        self.mapping = nn.Sequential(
            BatchNorm(numbers),
            nn.ReLU(inplace=True),
            nn.Conv2d(numbers, related, 1, bias=False),
            BatchNorm(related),
            nn.ReLU(inplace=True),
            nn.Conv2d(related, groups, 1),
        )

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """Returns the weights (N, groups, footprint^2, H W) of maps (N, related, H, W)."""
        near = neighbours(key, self.footprint)
        related = self.related(query.flatten(2)[:, :, None], near)
        place = self.place(self.offsets(query)).to(related.dtype)
        place = place.expand(related.shape[0], -1, -1, related.shape[3])
        out: Tensor = self.mapping(torch.cat([related, place], dim=1))
        return out.softmax(dim=2)

    def related(self, middle: Tensor, near: Tensor) -> Tensor:
        """Returns the relation of values (N, related, 1, H W) and their neighbours (N, related, footprint^2, H W)."""
        if self.relation == "sub":
            return middle - near
        if self.relation == "sum":
            return middle + near
        if self.relation == "mul":
            return middle * near
        if self.relation == "concat":
            return torch.cat([middle.expand_as(near), near], dim=1)
        return (middle * near).sum(dim=1, keepdim=True)

    def offsets(self, like: Tensor) -> Tensor:
        """Returns right and down, in positions, of each neighbour, (1, 2, footprint^2, 1)."""
        half = self.footprint // 2
        steps = torch.arange(-half, half + 1, device=like.device, dtype=torch.float32)
        grid = torch.stack([steps.expand(self.footprint, -1), steps[:, None].expand(-1, self.footprint)])
        return grid.reshape(1, 2, -1, 1)


class PatchwiseWeights(nn.Module):
    """All weights of a neighbourhood from all that lies in it.

    Args:
        relation: What the weights are derived from.
        related: Channels of the values.
        groups: Weights a neighbour.
        footprint: Rows, and columns, of the neighbourhood.
    """

    def __init__(self, relation: str, related: int, groups: int, footprint: int) -> None:
        super().__init__()
        self.relation = relation
        self.footprint = footprint
        self.groups = groups
        taps = footprint**2
        numbers = {"star": taps, "clique": taps**2, "concat": related * (taps + 1)}[relation]
        self.product = MatMul() if relation == "clique" else None
        self.mapping = nn.Sequential(
            BatchNorm(numbers),
            nn.ReLU(inplace=True),
            nn.Conv2d(numbers, groups, 1, bias=False),
            BatchNorm(groups),
            nn.ReLU(inplace=True),
            nn.Conv2d(groups, taps * groups, 1),
        )

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """Returns the weights (N, groups, footprint^2, H W) of maps (N, related, H, W)."""
        out: Tensor = self.mapping(self.patches(query, key)[..., None])
        return out.reshape(query.shape[0], self.groups, self.footprint**2, -1)

    def patches(self, query: Tensor, key: Tensor) -> Tensor:
        """Returns the numbers (N, K, H W) that stand for the neighbourhood of each position of maps (N, related, H, W).

        Pairs of neighbours are ordered by the query's, then by the key's.
        """
        near = neighbours(key, self.footprint)
        if self.product is not None:
            rows = neighbours(query, self.footprint).permute(0, 3, 2, 1)
            products: Tensor = self.product(rows, near.permute(0, 3, 1, 2))
            return products.flatten(2).transpose(1, 2)
        middle = query.flatten(2)
        if self.relation == "star":
            return (middle[:, :, None] * near).sum(dim=1)
        return torch.cat([middle, near.flatten(1, 2)], dim=1)
