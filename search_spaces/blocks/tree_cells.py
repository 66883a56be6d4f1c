"""Recurrent cells as trees: the cells that NAS-RL searches, and the one that it found.

Paper: Zoph & Le, 2017, arXiv 1611.01578, sections 3.4 and 4.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from search_spaces.blocks.cells import Cell
from search_spaces.build import Graph, Node, Shape
from search_spaces.domains import Categorical, Domain
from search_spaces.errors import SpecError
from search_spaces.spec import Hole, Spec, hole

if TYPE_CHECKING:
    from torch import nn

Combination = Literal["add", "elem_mult", "max"]
Activation = Literal["identity", "tanh", "sigmoid", "relu", "sin"]
COMBINATIONS: tuple[Combination, ...] = ("add", "elem_mult")
ACTIVATIONS: tuple[Activation, ...] = ("identity", "tanh", "sigmoid", "relu")
Index = Annotated[int, Field(ge=0)]
Key = tuple[Any, ...]  # a subtree, so that two that compute the same are equal


class TreeNode(Spec):
    """How two values become one; the fields stand in the order of NAS-RL.

    Args:
        combination: What is done with the two, number by number.
        activation: What is done with the result.
    """

    combination: Hole[Combination] = "add"
    activation: Hole[Activation] = "tanh"


def _discovered() -> tuple[TreeNode, ...]:
    """The tree that was found on the Penn Treebank."""
    steps = (
        *(("add", "sigmoid"), ("add", "relu"), ("add", "sigmoid"), ("elem_mult", "relu")),
        *(("add", "tanh"), ("add", "sigmoid"), ("add", "tanh"), ("add", "sigmoid")),
        *(("elem_mult", "tanh"), ("add", "tanh"), ("elem_mult", "tanh"), ("add", "sigmoid")),
        *(("elem_mult", "identity"), ("add", "tanh")),
        ("elem_mult", "tanh"),
    )
    return tuple(TreeNode.from_data({"combination": how, "activation": then}) for how, then in steps)


class TreeCell(Cell):
    """A full binary tree of steps from the input and the last output to the next one; its state is (h, c).

    Leaf k combines two products, of a matrix of its own with x_t and of another one with h_{t-1}; there is no bias. A
    node further up combines the outputs of two nodes and has no weights. With `base` leaves, nodes 0 to base - 1 are
    the leaves, the next base / 2 nodes stand above them, two by two, and so on; the last node is the root, whose
    output is h_t. The defaults are the cell that was found on the Penn Treebank, with eight leaves.

    Args:
        nodes: The nodes, leaves first: 2 * base - 1 of them, where `base` is a power of two.
        inject: How c_{t-1} joins the output of node `injected`; the result takes that output's place.
        memory: The first cell index: the node whose value before its activation is c_t.
        injected: The second cell index.

    Paper: Zoph & Le, 2017, arXiv 1611.01578, section 3.4; the cell that was found: appendix A, and `NASCell` of
        TensorFlow Addons, without bias as there.
    """

    kind: Literal["tree"] = "tree"
    states: ClassVar[int] = 2
    nodes: tuple[TreeNode, ...] = _discovered()
    inject: TreeNode = TreeNode(combination="add", activation="tanh")
    memory: Hole[Index] = 12
    injected: Hole[Index] = 8

    def check(self) -> None:
        """Refuses numbers of nodes that make no full tree, and indexes of none."""
        count = len(self.nodes)
        if count & (count + 1) or not count:
            raise SpecError(
                "a full tree has 2 * base - 1 nodes, base a power of two", count, "1, 3, 7, 15, ...", "nodes"
            )
        for name, index in (("memory", self.memory), ("injected", self.injected)):
            if index >= count:
                raise SpecError("no node of this tree", index, f"0 to {count - 1}", name)

    @property
    def base(self) -> int:
        """Its number of leaves."""
        return (len(self.nodes) + 1) // 2

    def children(self, index: int) -> tuple[int, ...]:
        """Returns the two nodes that a node combines; none for a leaf."""
        first = 2 * (index - self.base)
        return (first, first + 1) if index >= self.base else ()

    def build(self, inputs: int, hidden: int) -> nn.Module:
        """Returns a layer of 8 * hidden * (inputs + hidden) weights for eight leaves."""
        from search_spaces.networks.tree_cells import TreeLayer

        return TreeLayer(self, inputs, hidden)

    def inner(self, shape: Shape, params: int) -> Graph:
        """Returns a node for each of the tree, and one for the injection."""
        nodes, edges = [], []
        behind = {index: str(index) for index in range(len(self.nodes))} | {self.injected: "inject"}
        for index, step in enumerate(self.nodes):
            label = f"{index}: {step.combination}, {step.activation}"
            label += "; before it, c" if index == self.memory else ""
            kind, own = ("leaf", params // self.base) if index < self.base else ("node", 0)
            nodes.append(Node(str(index), kind, label, shape, own))
            edges += [(behind[child], str(index)) for child in self.children(index)]
            if index == self.injected:
                label = f"with the last c: {self.inject.combination}, {self.inject.activation}"
                nodes.append(Node("inject", "inject", label, shape))
                edges.append((str(index), "inject"))
        return Graph(tuple(nodes), tuple(edges))

    def canonical(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the values with the two subtrees of every node in one order, as what joins them does not mind.

        What leaves the space, as something in it is fixed, is left as it was.
        """
        fields = self._fields()
        if fields is None or any(path not in values for path, field in fields.items() if isinstance(field, Domain)):
            return values
        chosen = {path: values.get(path, field) for path, field in fields.items()}
        order = self._sorted(len(self.nodes) - 1, chosen)[1]
        place = {old: new for new, old in enumerate(order)}
        moved = dict(chosen)
        for new, old in enumerate(order):
            for part in ("combination", "activation"):
                moved[f"nodes/{new}/{part}"] = chosen[f"nodes/{old}/{part}"]
        moved |= {name: place[chosen[name]] for name in ("memory", "injected")}
        for path, field in fields.items():
            if not field.contains(moved[path]) if isinstance(field, Domain) else field != moved[path]:
                return values
        return {path: moved.get(path, value) for path, value in values.items()}

    def _fields(self) -> dict[str, Any] | None:
        """What is fixed or chosen at each path; None where a node is chosen as a whole."""
        steps = {f"nodes/{i}": node for i, node in enumerate(self.nodes)} | {"inject": self.inject}
        if any(isinstance(step, Domain) for step in steps.values()):
            return None
        parts = ("combination", "activation")
        fields = {f"{path}/{part}": getattr(step, part) for path, step in steps.items() for part in parts}
        return fields | {"memory": self.memory, "injected": self.injected}

    def _sorted(self, index: int, chosen: Mapping[str, Any]) -> tuple[Key, tuple[int, ...]]:
        """What a subtree computes, and its nodes in the order that they have when all pairs are sorted."""
        marks = (index == chosen["memory"], index == chosen["injected"])
        own = (chosen[f"nodes/{index}/combination"], chosen[f"nodes/{index}/activation"], *marks)
        if not (children := self.children(index)):
            return own, (index,)
        (key, first), (other, second) = sorted(self._sorted(child, chosen) for child in children)
        # Each level of the left subtree stands before that of the right one.
        order: list[int] = []
        start, size = 0, (len(first) + 1) // 2
        while size:
            order += [*first[start : start + size], *second[start : start + size]]
            start, size = start + size, size // 2
        return (*own, key, other), (*order, index)


def tree_cells(base: int = 8, control: bool = False) -> TreeCell:
    """Returns the space of cells with `base` leaves, its decisions in the order of NAS-RL.

    Args:
        base: Number of leaves, a power of two.
        control: Whether `max` may combine and `sin` activate, too, as in the paper's control experiment.

    Raises:
        SpecError: The base is no power of two.
    """
    if base < 1 or base & (base - 1):
        raise SpecError("a full tree needs a power of two as its base", base, "1, 2, 4, 8, ...", "base")
    combinations: Combination = hole(Categorical((*COMBINATIONS, *(("max",) if control else ()))))
    activations: Activation = hole(Categorical((*ACTIVATIONS, *(("sin",) if control else ()))))
    node, count = TreeNode(combination=combinations, activation=activations), 2 * base - 1
    indexes: int = hole(Categorical(tuple(range(count))))
    return TreeCell(nodes=(node,) * count, inject=node, memory=indexes, injected=indexes)
