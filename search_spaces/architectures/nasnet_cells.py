"""The convolutional cells of NASNet: blocks that each join two earlier states by two operations.

Paper: Zoph et al., 2018, arXiv 1707.07012, section 3.1 and appendix A.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from search_spaces.domains import Categorical
from search_spaces.errors import SpecError
from search_spaces.paths import cell_paths
from search_spaces.spec import Hole, Spec, hole

Index = Annotated[int, Field(ge=0)]
INPUTS = 2
"""States that a cell begins with: 0 is the output of the cell before it, 1 that of the one before that."""


@dataclass(frozen=True)
class Operation:
    """What an operation makes of a state.

    Args:
        kernels: Height and width of its convolutions, one behind the other, or of its pooling.
        pool: Which pooling it is; None: it is none.
        separable: Whether each convolution is a filter a channel and a 1x1 convolution.
        dilation: Distance of the taps.
    """

    kernels: tuple[tuple[int, int], ...] = ()
    pool: Literal["average", "max"] | None = None
    separable: bool = False
    dilation: int = 1


IDENTITY = "identity"
Name = Literal[
    "identity",
    "conv_1x3_3x1",
    "conv_1x7_7x1",
    "conv_3x3_dilated",
    "avg_pool_3x3",
    "max_pool_3x3",
    "max_pool_5x5",
    "max_pool_7x7",
    "conv_1x1",
    "conv_3x3",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
]
OPERATIONS: dict[str, Operation] = {
    IDENTITY: Operation(),
    "conv_1x3_3x1": Operation(((1, 3), (3, 1))),
    "conv_1x7_7x1": Operation(((1, 7), (7, 1))),
    "conv_3x3_dilated": Operation(((3, 3),), dilation=2),
    "avg_pool_3x3": Operation(((3, 3),), "average"),
    "max_pool_3x3": Operation(((3, 3),), "max"),
    "max_pool_5x5": Operation(((5, 5),), "max"),
    "max_pool_7x7": Operation(((7, 7),), "max"),
    "conv_1x1": Operation(((1, 1),)),
    "conv_3x3": Operation(((3, 3),)),
    "sep_conv_3x3": Operation(((3, 3),) * 2, separable=True),
    "sep_conv_5x5": Operation(((5, 5),) * 2, separable=True),
    "sep_conv_7x7": Operation(((7, 7),) * 2, separable=True),
}
"""The thirteen of the paper, in its order; a separable convolution is applied twice."""


class CellBlock(Spec):
    """Two states of the cell, an operation on each, and how the results become a new state: the paper's five decisions.

    Args:
        left: Number of the first state: 0 and 1 are the cell's inputs, 2 is what the first block makes, and so on.
        right: Number of the second state.
        left_op: What is done to the first.
        right_op: What is done to the second.
        combine: Whether the results are added, or stand side by side, which makes twice the channels.
    """

    left: Hole[Index] = 0
    right: Hole[Index] = 0
    left_op: Hole[Name] = "identity"
    right_op: Hole[Name] = "identity"
    combine: Hole[Literal["add", "concat"]] = "add"


class ConvCell(Spec):
    """Blocks, each of which may read the cell's two inputs and what earlier blocks made.

    Args:
        blocks: The blocks, first to last.
        outputs: Numbers of the states that stand side by side in the cell's output, ascending; by default those made
            by blocks that no block reads, so that no block is without effect.

    Paper: Zoph et al., 2018, arXiv 1707.07012, section 3.1.
    """

    blocks: Hole[Annotated[tuple[CellBlock, ...], Field(min_length=1)]]
    outputs: tuple[Index, ...] = ()

    def check(self) -> None:
        """Refuses blocks that read later states, unknown or doubled outputs, and blocks without effect."""
        for i, block in enumerate(self.blocks):
            for side in ("left", "right"):
                if (state := getattr(block, side)) >= i + INPUTS:
                    raise SpecError("a block reads earlier states", state, f"0 to {i + 1}", f"blocks/{i}/{side}")
        last = len(self.blocks) + INPUTS - 1
        if list(self.outputs) != sorted(set(self.outputs)) or any(state > last for state in self.outputs):
            rule = "states of the cell stand in ascending order, each once"
            raise SpecError(rule, list(self.outputs), f"0 to {last}", "outputs")
        used = self.read() | set(self.ends())
        if dead := [i for i in range(len(self.blocks)) if i + INPUTS not in used]:
            raise SpecError("a block without effect: nothing reads it", dead[0], "add it to `outputs`", "blocks")

    def read(self) -> set[int]:
        """Returns the states that some block reads."""
        return {state for block in self.blocks for state in (block.left, block.right)}

    def ends(self) -> tuple[int, ...]:
        """Returns the states that make up the output."""
        read = self.read()
        return self.outputs or tuple(i for i in range(INPUTS, INPUTS + len(self.blocks)) if i not in read)

    def needs(self, state: int) -> bool:
        """Tells whether the output depends on a state."""
        return state in self.read() or state in self.ends()

    def canonical(self, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the values of one of all cells that differ in the order of blocks, or of a block's sides, alone.

        Their networks are the same but for the order of channels, which every convolution behind them can undo. Where
        blocks have different options, or the outputs are named by number, each cell stands for itself.

        Args:
            values: Path below this spec -> chosen value.
        """
        if not self._interchangeable():
            return values
        least = enumerate(_least([_Joint.of(**fields) for fields in self._chosen(values)], ()))
        written = {f"blocks/{i}/{name}": value for i, joint in least for name, value in joint.fields().items()}
        return {path: written[path] for path in values}

    def path_features(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns the operations on each path from an input to the output; an identity is left out.

        Args:
            values: Path below this spec -> chosen value.
        """
        if not isinstance(self.blocks, tuple):
            return ()
        nodes = [
            [(block[side], _done(block[f"{side}_op"], block["combine"])) for side in ("left", "right")]
            for block in self._chosen(values)
        ]
        read = {state for sides in nodes for state, _ in sides}
        ends = self.outputs or [i for i in range(INPUTS, INPUTS + len(nodes)) if i not in read]
        return tuple(cell_paths(nodes, ends, INPUTS))

    def _chosen(self, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [
            {name: values.get(f"blocks/{i}/{name}", getattr(block, name)) for name in CellBlock.model_fields}
            for i, block in enumerate(self.blocks)
        ]

    def _interchangeable(self) -> bool:
        if self.outputs or not isinstance(self.blocks, tuple):
            return False
        first = self.blocks[0]
        return all(
            _any_of(block.left, i + INPUTS)
            and _any_of(block.right, i + INPUTS)
            and block.left_op == block.right_op == first.left_op
            and block.combine == first.combine
            for i, block in enumerate(self.blocks)
        )


def _done(operation: str, combine: str) -> str:
    return ">".join(text for text in (operation, combine) if text not in (IDENTITY, "add"))


def _any_of(domain: Any, states: int) -> bool:
    return isinstance(domain, Categorical) and domain.option_values == tuple(range(states))


class _Joint(NamedTuple):
    """A block in a form that sorts: the side with the lower state, or the operation that comes first, stands first."""

    combine: str
    sides: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, left: int, right: int, left_op: str, right_op: str, combine: str) -> _Joint:
        return cls(combine, tuple(sorted(((left, left_op), (right, right_op)))))

    def renumbered(self, numbers: Mapping[int, int]) -> _Joint | None:
        """Returns the block with other numbers of states, None where it reads one that has none yet."""
        if any(state not in numbers for state, _ in self.sides):
            return None
        return _Joint(self.combine, tuple(sorted((numbers[state], op) for state, op in self.sides)))

    def fields(self) -> dict[str, Any]:
        (left, left_op), (right, right_op) = self.sides
        return {"left": left, "right": right, "left_op": left_op, "right_op": right_op, "combine": self.combine}


def _least(blocks: Sequence[_Joint], order: tuple[int, ...]) -> list[_Joint]:
    """Returns the blocks in the order, behind those of `order`, whose list is the least of all that are possible."""
    if len(order) == len(blocks):
        return []
    numbers = {state: state for state in range(INPUTS)} | {old + INPUTS: new + INPUTS for new, old in enumerate(order)}
    ready = {
        i: joint
        for i, block in enumerate(blocks)
        if i not in order and (joint := block.renumbered(numbers)) is not None
    }
    least = min(ready.values())
    tied = [i for i, joint in ready.items() if joint == least]
    # Equal blocks differ by who reads them; those that nobody reads do not differ at all.
    read = {state - INPUTS for block in blocks for state, _ in block.sides}
    loose = [i for i in tied if i not in read]
    return [least, *min(_least(blocks, (*order, i)) for i in [*(i for i in tied if i in read), *loose[:1]])]


def drawn(cell: ConvCell) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Returns what each block does, in words, and the states that it reads.

    Args:
        cell: Without holes.
    """
    found = []
    for block in cell.blocks:
        sign = " + " if block.combine == "add" else " beside "
        sides = (block.left_op, block.left), (block.right_op, block.right)
        words = sign.join(f"{op.replace('_', ' ')} of {_state(state)}" for op, state in sides)
        found.append((words, tuple(sorted({block.left, block.right}))))
    return tuple(found)


def _state(number: int) -> str:
    return ("the input", "the one before")[number] if number < INPUTS else f"block {number - INPUTS + 1}"


def searched(blocks: int, operations: Sequence[str], combinations: Sequence[str]) -> ConvCell:
    """Returns a cell in which every decision of every block is a hole.

    Args:
        blocks: Number of blocks.
        operations: What may be done to a state.
        combinations: `add`, `concat` or both.
    """

    def one_of(options: Sequence[Any]) -> Any:
        return options[0] if len(options) == 1 else hole(Categorical(tuple(options)))

    return ConvCell(
        blocks=tuple(
            CellBlock(
                left=one_of(range(i + INPUTS)),
                right=one_of(range(i + INPUTS)),
                left_op=one_of(operations),
                right_op=one_of(operations),
                combine=one_of(combinations),
            )
            for i in range(blocks)
        )
    )
