"""The modules of `search_spaces.blocks.relation`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from search_spaces.networks.layers import DotProductAttention
from search_spaces.networks.positions import sinusoid

if TYPE_CHECKING:
    from search_spaces.blocks.relation import ObjectRelation

# Of the paper's embedding, from the authors' code: length for each of the four numbers, their unit, the wavelength.
EMBEDDING = 16
UNIT = 100.0
WAVELENGTH = 1000.0
NEAREST = 1e-3  # distance of two boxes, in sizes of one, below which the logarithm does not go
LEAST = 1e-6
SMALLEST = 1.0  # pixels: a proposal cut at the image's border may be empty


class ObjectRelationModule(nn.Module):
    """Dot-product attention of boxes to boxes, with the logarithm of a geometric weight added to the logits."""

    def __init__(self, spec: ObjectRelation, channels: int) -> None:
        super().__init__()
        self.relations = spec.relations
        self.query = nn.Linear(channels, spec.relations * spec.key, bias=False)
        self.key = nn.Linear(channels, spec.relations * spec.key, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.geometry = nn.Linear(4 * EMBEDDING, spec.relations, bias=False)
        self.attend = DotProductAttention()
        for layer in (self.query, self.key, self.value, self.geometry):
            nn.init.normal_(layer.weight, std=0.01)

    def forward(self, features: Tensor, boxes: Tensor) -> Tensor:
        """Returns features (N, P, C) of features of the same shape and boxes (N, P, 4) in pixels."""
        query, key, value = (self.heads(x) for x in (self.query(features), self.key(features), self.value(features)))
        found = self.attend(query, key, value, self.mask(boxes).to(query.dtype))
        out: Tensor = features + found.transpose(1, 2).flatten(2)
        return out

    def heads(self, x: Tensor) -> Tensor:
        """Returns (N, P, relations k) as (N, relations, P, k)."""
        return x.view(x.shape[0], x.shape[1], self.relations, -1).transpose(1, 2)

    def mask(self, boxes: Tensor) -> Tensor:
        """Returns the logarithm of the geometric weights of boxes (N, P, 4), (N, relations, P, P)."""
        embedded = sinusoid(UNIT * relative_geometry(boxes), EMBEDDING, WAVELENGTH).flatten(3)
        weights: Tensor = self.geometry(embedded).permute(0, 3, 1, 2)
        return weights.float().relu().clamp(min=LEAST).log()


def relative_geometry(boxes: Tensor) -> Tensor:
    """Returns how each box lies to each, (N, P, P, 4), in float32: the same wherever all lie and however large all are.

    Box n, of box m: log(|x_m - x_n| / w_m), log(|y_m - y_n| / h_m), log(w_n / w_m), log(h_n / h_m).

    Args:
        boxes: Boxes (N, P, 4) in pixels; sides below one count as one.

    Paper: Hu et al., 2017, arXiv 1711.11575, section 3.1, in front of equation 5.
    """
    low, high = boxes[..., :2].float(), boxes[..., 2:].float()
    centre, size = (low + high) / 2, (high - low).clamp(min=SMALLEST)
    distance = (centre[:, None] - centre[:, :, None]).abs() / size[:, None]
    ratio = size[:, :, None] / size[:, None]
    return torch.cat([distance.clamp(min=NEAREST).log(), ratio.log()], dim=-1)
