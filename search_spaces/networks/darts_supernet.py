"""The relaxed network of a `Darts`: every edge of a cell mixes all primitives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search_spaces.networks.convolution import BatchNorm
from search_spaces.networks.darts import CellInputs, operation, stem
from search_spaces.networks.mixing import joined, mixed, phases
from search_spaces.networks.supernet import Supernet

if TYPE_CHECKING:
    from search_spaces.architectures.darts import CellPlan, Darts

POOLS = ("max3", "avg3")
_EXACT = (torch.float32, torch.float64)


class RelaxedCell(nn.Module):
    """A cell whose nodes are sums over all edges from earlier maps, each a mixture of all primitives.

    Pools have no weights, so that what they make of a map, normalised, is the same on all edges from it: they belong to
    the map. Everything else belongs to an edge.
    """

    def __init__(self, plan: CellPlan, primitives: tuple[str, ...]) -> None:
        super().__init__()
        self.primitives = primitives
        self.inputs = CellInputs(plan, affine=False)
        self.count, channels = plan.nodes, plan.channels
        self.strides = [2 if plan.reduces and source < 2 else 1 for source in range(plan.nodes + 1)]
        self.pools = nn.ModuleList(
            nn.ModuleDict(
                {
                    name: nn.Sequential(operation(name, channels, stride), BatchNorm(channels, affine=False))
                    for name in POOLS
                }
            )
            for stride in self.strides
        )
        weighty = [name for name in primitives if name != "none" and name not in POOLS]
        self.edges = nn.ModuleList(
            nn.ModuleDict({name: operation(name, channels, self.strides[source], affine=False) for name in weighty})
            for node in range(plan.nodes)
            for source in range(node + 2)
        )

    def forward(self, before: Tensor, last: Tensor, mixture: Tensor, rows: list[list[float]]) -> Tensor:
        """Returns the cell's output for the outputs of the two cells before it.

        Args:
            before: Of the cell before the last, (N, C, H, W).
            last: Of the last cell.
            mixture: (edges, primitives) weights.
            rows: The same as numbers; what is 0 is not computed.
        """
        maps: list[Any] = [_Source(self, source, x) for source, x in enumerate(self.inputs(before, last))]
        start = 0
        fast = self.training and self._has_figures(maps[0].x) and not torch.is_autocast_enabled(before.device.type)
        for node in range(self.count):
            used = [
                (source, edge, k)
                for source, edge in enumerate(range(start, start + node + 2))
                for k, name in enumerate(self.primitives)
                if name != "none" and rows[edge][k] != 0
            ]
            if not used:
                total = self._nothing(maps[0].x)
            else:
                total = (self._mixed if fast else self._summed)(maps, used, mixture)
            maps.append(_Source(self, node + 2, total))
            start += node + 2
        return torch.cat([source.x for source in maps[2:]], dim=1)

    def _has_figures(self, x: Tensor) -> bool:
        """Whether what `mixed` sums has exact figures: a single value a channel has no variance."""
        height, width = (-(-size // self.strides[0]) for size in x.shape[2:])
        return x.dtype in _EXACT and x.shape[0] * height * width > 1

    def _nothing(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :, :: self.strides[0], :: self.strides[0]])

    def _summed(self, maps: list[_Source], used: list[tuple[int, int, int]], mixture: Tensor) -> Tensor:
        """Sums what the primitives give, one by one: what is meant, and what is done in eval mode."""
        total: Any = 0
        for source, edge, k in used:
            name = self.primitives[k]
            found = maps[source].pooled(name) if name in POOLS else self.edges[edge][name](maps[source].x)  # type: ignore[index]
            total = total + mixture[edge, k] * found
        return total  # type: ignore[no-any-return]

    def _mixed(self, maps: list[_Source], used: list[tuple[int, int, int]], mixture: Tensor) -> Tensor:
        """Returns the same, faster and in less memory; see `search_spaces.networks.mixing`.

        What edges from one map have in common is computed once: ReLU, pools, and the phases in which a convolution of
        dilation 2 is a plain one. Dilated convolutions stay in phases until their sum.
        """
        groups: dict[bool, list[tuple[Tensor, nn.BatchNorm2d | None, int, int]]] = {False: [], True: []}
        raw: Any
        for source, edge, k in used:
            name, modules = self.primitives[k], self.edges[edge]
            found, norm, split = maps[source].raw(name, modules[name] if name in modules else None)  # type: ignore[operator, index]
            groups[split].append((found, norm, edge, k))
        sums = []
        for split, members in groups.items():
            if members:
                raw, norms, edges, options = zip(*members, strict=True)
                one = mixed(mixture[list(edges), list(options)], raw, norms)
                sums.append(joined(one) if split else one)
        return sums[0] if len(sums) == 1 else sums[0] + sums[1]


class _Source:
    """A map that edges begin at, with what they have in common, computed when it is first asked for."""

    def __init__(self, cell: RelaxedCell, number: int, x: Tensor) -> None:
        self.x = x
        self._cell = cell
        self._number = number
        self._known: dict[str, Tensor] = {}

    def _once(self, name: str, make: Any) -> Tensor:
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]

    @property
    def _relu(self) -> Tensor:
        return self._once("relu", lambda: torch.relu(self.x))

    def pooled(self, name: str) -> Tensor:
        """Returns the normalised pool."""
        return self._once(name, lambda: self._cell.pools[self._number][name](self.x))  # type: ignore[index]

    def raw(self, name: str, module: Any) -> tuple[Tensor, nn.BatchNorm2d | None, bool]:
        """Returns what a primitive gives before its last norm, that norm, and whether it is in phases."""
        if name in POOLS:
            return self.pooled(name), None, False
        if name == "skip":
            if isinstance(module, nn.Identity):
                return self.x, None, False
            return module.convolved(self._relu), module.norm, False
        if name.startswith("sep"):
            _, depth, point, norm, _, again, last, final = module
            inner = torch.relu_(norm(point(depth(self._relu))))
            return last(again(inner)), final, False
        _, depth, point, norm = module
        x, split = self._undilated()
        if x is None:
            return point(depth(self._relu)), norm, False
        return point(F.conv2d(x, depth.weight, padding=depth.kernel_size[0] // 2, groups=depth.groups)), norm, split

    def _undilated(self) -> tuple[Tensor | None, bool]:
        """Returns the map in which a convolution of dilation 2 is a plain one, None where there is none."""
        if self._cell.strides[self._number] == 2:
            return self._once(
                "every other", lambda: self._relu[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last)
            ), False
        if self.x.shape[2] % 2 or self.x.shape[3] % 2:
            return None, False
        return self._once("phases", lambda: phases(self._relu)), True


class DartsSupernet(Supernet):
    """Stem, relaxed cells, average and linear classifier; in train mode the logits are `out` of a dict.

    Batch norms in the cells learn no scale, which would make up for the weights of the mixture. Maps lie in memory
    channels last, where pools and depthwise convolutions are several times as fast on a processor.

    Paper: Liu et al., 2019, arXiv 1806.09055, sections 2.2 and 3.1.1.
    """

    def __init__(self, spec: Darts, input_shape: tuple[int, ...], outputs: int) -> None:
        from search_spaces.architectures.darts import PRIMITIVES

        super().__init__(spec.layout())
        plans = spec.plan()
        self.stem = stem(spec, input_shape[0])
        self.sorts = tuple("reduction" if plan.reduces else "normal" for plan in plans)
        self.cells = nn.ModuleList(RelaxedCell(plan, PRIMITIVES) for plan in plans)
        self.classifier = nn.Linear(plans[-1].outputs, outputs)

    @property
    def classifier_layer(self) -> nn.Module:
        """The layer that scores the classes."""
        return self.classifier

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        """Returns the logits (N, outputs) of images (N, C, H, W); in train mode as `out` of a dict."""
        mixture = self.mixture()
        rows = {name: weights.tolist() for name, weights in mixture.items()}
        before, last = self.stem(image.contiguous(memory_format=torch.channels_last))
        for sort, cell in zip(self.sorts, self.cells, strict=True):
            before, last = last, cell(before, last, mixture[sort], rows[sort])
        out: Tensor = self.classifier(last.mean((2, 3)))
        return {"out": out} if self.training else out
