"""The picture of a `Darts`: the first cell of each sort in full, the others as one node each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search_spaces.build import Graph, Node, Shape

if TYPE_CHECKING:
    from search_spaces.architectures.darts import CellPlan, Darts


def drawn(spec: Darts, input_shape: Shape, outputs: int) -> Graph:
    """Returns the graph of a network, with shapes and parameters.

    Args:
        spec: Without holes.
        input_shape: (C, H, W) of an image.
        outputs: Number of classes.
    """
    import torch

    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = spec.build(input_shape, outputs)
    params = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_modules()}
    drawing = _Drawing(spec, input_shape, params)
    return drawing.finished(outputs)


class _Drawing:
    def __init__(self, spec: Darts, input_shape: Shape, params: dict[str, int]) -> None:
        self.spec, self.params = spec, params
        self.nodes = [Node("image", "input", "image", input_shape)]
        self.edges: list[tuple[str, str]] = []
        factor = 8 if spec.stem == "imagenet" else 1
        self.size = (-(-input_shape[1] // factor), -(-input_shape[2] // factor))
        self.shown: set[bool] = set()
        self.ends = ("stem", "stem")
        shape = (spec.stem_channels(), *self.size)
        self._add("stem", "stem", f"{spec.stem} stem", shape, params["stem"], ("image",))

    def _add(self, name: str, kind: str, label: str, shape: Shape, params: int, sources: tuple[str, ...]) -> None:
        self.nodes.append(Node(name, kind, label, shape, params))
        self.edges += [(source, name) for source in dict.fromkeys(sources)]

    def finished(self, outputs: int) -> Graph:
        for i, plan in enumerate(self.spec.plan()):
            if plan.reduces:
                self.size = (-(-self.size[0] // 2), -(-self.size[1] // 2))
            name = f"cell {i}"
            if plan.reduces in self.shown:
                sort = "reduction" if plan.reduces else "normal"
                shape = (plan.outputs, *self.size)
                self._add(name, sort, f"{i}: {sort} cell", shape, self.params[f"cells.{i}"], self.ends)
            else:
                self._full(i, plan)
            self.shown.add(plan.reduces)
            self.ends = (self.ends[1], name)
        label = "average pool, linear"
        self._add("classifier", "output", label, (outputs,), self.params["classifier"], self.ends[1:])
        return Graph(tuple(self.nodes), tuple(self.edges))

    def _full(self, i: int, plan: CellPlan) -> None:
        shape = (plan.channels, *self.size)
        inputs = [f"cell {i} input {k}" for k in range(2)]
        sort = "reduction" if plan.reduces else "normal"
        for k, (source, part) in enumerate(zip(self.ends, ("before", "last"), strict=True)):
            label = f"{i}: {sort} cell, input {k}"
            params = self.params[f"cells.{i}.inputs.{part}"]
            before = (plan.channels, *(size * 2 for size in self.size)) if plan.reduces else shape
            self._add(inputs[k], "convolution", label, before, params, (source,))
        for k, node in enumerate(self.spec.cell(plan).nodes):
            label = f"node {k + 2}: " + " + ".join(f"{name}({source})" for source, name in node.edges())
            name, params = f"cell {i} node {k + 2}", self.params[f"cells.{i}.nodes.{k}"]
            self._add(name, "sum", label, shape, params, tuple(inputs[source] for source in node.inputs))
            inputs.append(name)
        self._add(f"cell {i}", sort, "concatenation", (plan.outputs, *self.size), 0, tuple(inputs[2:]))
