"""The micro space of ENAS: a normal and a reduction cell of NASNet's form, of five operations, added up.

Paper: Pham et al., 2018, arXiv 1802.03268, section 2.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from search_spaces.architectures.nasnet import Nasnet
from search_spaces.architectures.nasnet_cells import INPUTS, CellBlock, ConvCell, searched
from search_spaces.build import Shape
from search_spaces.domains import Domain
from search_spaces.errors import SpecError
from search_spaces.share import Place, Places, Shareable, options
from search_spaces.template import preset

OPERATIONS = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "identity")
"""In the order of the authors' code, which writes them 0 to 4."""


class EnasMicro(Nasnet, Shareable):
    """A network of NASNet's form; its blocks add, so that all states have as many channels and weights can be shared.

    Deviation: an identity of stride 2 is a 1x1 convolution, as in NASNet, where the authors' code has a factorized
        reduction of as many weights; an input that no block reads is no part of a cell's output, as in NASNet's paper,
        where the authors' code joins it.

    Paper: Pham et al., 2018, arXiv 1802.03268, section 2.4; sizes as in the authors' code.
    """

    kind: Literal["enas_micro"] = "enas_micro"  # type: ignore[assignment]

    def cover(self) -> Iterator[EnasMicro]:
        """Yields, for every earlier state and every operation, cells whose blocks all read it through that."""
        cells = self.normal, self.reduction
        blocks = len(self.normal.blocks)
        if blocks == 2:
            # The output of both has as many channels as the cell behind a reduction: what reads it has no weights then.
            raise SpecError("cells that share weights have 1 block, or 3 and more", blocks, "more blocks", "normal")
        if self.aux is not False:
            got = "a choice" if isinstance(self.aux, Domain) else self.aux
            raise SpecError("cells that share weights have no auxiliary classifier", got, "false", "aux")
        names = [[(options(b.left_op), options(b.right_op)) for b in cell.blocks] for cell in cells]
        count = max(len(side) for cell in names for pair in cell for side in pair)
        # The first two read both inputs and nothing else, so that all blocks are part of the output; so does the first
        # block of the others, that every cell of the network has an effect.
        for left, right in ((0, 1), (1, 0), *((state, state) for state in range(INPUTS, blocks + 1))):
            for k in range(count):
                made = [_covering(pairs, left, right, k) for pairs in names]
                yield self.model_copy(update={"normal": made[0], "reduction": made[1], "aux": False})

    def places(self, input_shape: Shape) -> Places:
        """Returns the places: an operation on a state has weights of its own, what reads a cell a part a block."""
        plans = {plan.name: plan for plan in self.plan(input_shape)}
        last = next(reversed(plans))

        def reading(name: str, source: str) -> Place:
            if source not in plans:  # the stem
                return Place(name)
            cell = plans[source].cell
            return Place(name, tuple(end - INPUTS for end in cell.ends()), len(cell.blocks))

        def place(name: str) -> Place:
            cell, *parts = name.split(".")
            if name == "classifier.weight":
                return reading(name, last)
            if cell not in plans or parts[-1] != "weight" and parts[0] != "blocks":
                return Place(name)
            plan = plans[cell]
            if parts[0] == "blocks":
                block, side = plan.cell.blocks[int(parts[1])], parts[2]
                choice = f"{getattr(block, side)}.{getattr(block, f'{side}_op')}"
                return Place(".".join([cell, *parts[:3], choice, *parts[3:]]))
            if name.endswith((".current.1.weight", ".previous.1.weight", ".first.weight", ".second.weight")):
                return reading(name, (plan.current if parts[0] == "current" else plan.previous).name)
            return Place(name)

        return place


def _covering(pairs: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], left: int, right: int, k: int) -> ConvCell:
    made = []
    for i, (left_ops, right_ops) in enumerate(pairs):
        states = (left, right) if max(left, right) < INPUTS else (min(left, i + 1), min(right, i + 1)) if i else (0, 1)
        operations = left_ops[k % len(left_ops)], right_ops[k % len(right_ops)]
        made.append(
            CellBlock.from_data(
                dict(zip(("left", "right", "left_op", "right_op"), (*states, *operations), strict=True))
            )
        )
    return ConvCell(blocks=tuple(made))


def micro_cell(text: str) -> ConvCell:
    """Returns the cell that the authors' code writes as numbers: input, operation, input, operation of each block.

    Args:
        text: Such as `0 2 0 0 ...`; inputs 0 and 1 are the outputs of the cell before the last and of the last.
    """
    numbers = [int(word) for word in text.split()]
    states = {0: 1, 1: 0}
    blocks = []
    for left, left_op, right, right_op in zip(*(numbers[i::4] for i in range(4)), strict=True):
        sides = {"left": states.get(left, left), "right": states.get(right, right)}
        named = {"left_op": OPERATIONS[left_op], "right_op": OPERATIONS[right_op]}
        blocks.append(CellBlock.from_data(sides | named))
    return ConvCell(blocks=tuple(blocks))


@preset("enas_micro")
def enas_micro(
    blocks: int = 5, operations: tuple[str, ...] = OPERATIONS, repeats: int = 2, filters: int = 20
) -> EnasMicro:
    """Returns the micro space; sizes are those that the authors search with.

    Args:
        blocks: Blocks of each cell; two less than the paper's B, which counts the cell's inputs.
        operations: What may be done to a state.
        repeats: Normal cells a stage.
        filters: Channels of an operation in the first stage.

    Paper: Pham et al., 2018, arXiv 1802.03268, section 2.4. Deviation: its count, (5 (B - 2)!)^4 = 1.296e11 for B = 7,
        is not that of the decisions that it describes: a block reads two of all earlier states, which makes
        (5^5 6!)^4 = 2.563e25. Decisions stand in the order of NASNet, both states of a block before both operations.
    """
    normal, reduction = (searched(blocks, operations, ("add",)) for _ in range(2))
    return EnasMicro(normal=normal, reduction=reduction, repeats=repeats, filters=filters)
