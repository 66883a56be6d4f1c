"""Cells of NASNet: rules, what their output is made of, and which of them are the same."""

from typing import get_args

import numpy as np
import pytest

from search_spaces.architectures.nasnet_cells import OPERATIONS, CellBlock, ConvCell, Name, drawn, searched
from search_spaces.errors import SpecError
from search_spaces.space import Space

FEW = ("identity", "max_pool_3x3", "sep_conv_3x3")


def _cell(*blocks: tuple, **fields) -> ConvCell:
    return ConvCell(
        blocks=tuple(
            CellBlock(left=a, right=b, left_op=op_a, right_op=op_b, combine=combine)
            for a, b, op_a, op_b, combine in blocks
        ),
        **fields,
    )


def _fields(candidate, blocks: int) -> list[dict]:
    return [
        {name: candidate[f"blocks/{i}/{name}"] for name in ("left", "right", "left_op", "right_op", "combine")}
        for i in range(blocks)
    ]


def _candidate(space: Space, blocks: list[dict]):
    return space.candidate({f"blocks/{i}/{name}": v for i, block in enumerate(blocks) for name, v in block.items()})


def _turned(block: dict) -> dict:
    return block | {
        "left": block["right"],
        "right": block["left"],
        "left_op": block["right_op"],
        "right_op": block["left_op"],
    }


def _exchanged(blocks: list[dict], i: int) -> list[dict]:
    """The same cell with blocks i and i + 1, the second of which does not read the first, in the other order."""
    numbers = {i + 2: i + 3, i + 3: i + 2}
    moved = [block | {side: numbers.get(block[side], block[side]) for side in ("left", "right")} for block in blocks]
    moved[i], moved[i + 1] = moved[i + 1], moved[i]
    return moved


def _moves(blocks: list[dict]) -> list[list[dict]]:
    """All cells that differ by the sides of one block or by the order of two neighbours."""
    found = [[*blocks[:i], _turned(block), *blocks[i + 1 :]] for i, block in enumerate(blocks)]
    for i in range(len(blocks) - 1):
        if i + 2 not in (blocks[i + 1]["left"], blocks[i + 1]["right"]):
            found.append(_exchanged(blocks, i))
    return found


def test_the_operations_are_the_papers_thirteen():
    assert len(OPERATIONS) == 13
    assert tuple(OPERATIONS) == get_args(Name)
    assert {name for name, op in OPERATIONS.items() if op.separable} == {f"sep_conv_{k}x{k}" for k in (3, 5, 7)}


def test_states_that_no_block_reads_are_the_output():
    cell = _cell((0, 1, *FEW[:2], "add"), (0, 0, *FEW[:2], "add"), (2, 2, *FEW[:2], "concat"))
    assert cell.ends() == (3, 4)
    assert [cell.needs(state) for state in range(5)] == [True] * 5
    assert _cell((0, 0, *FEW[:2], "add")).needs(1) is False
    named = _cell((0, 0, *FEW[:2], "add"), outputs=(1, 2))
    assert named.ends() == (1, 2) and named.needs(1)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"blocks": [{"left": 2}]}, "blocks/0/left: a block reads earlier states; got 2; allowed 0 to 1"),
        ({"blocks": [{}, {"right": 3}]}, "blocks/1/right: a block reads earlier states; got 3; allowed 0 to 2"),
        ({"blocks": [{}], "outputs": [3]}, "outputs: states of the cell stand in ascending order"),
        ({"blocks": [{}], "outputs": [2, 1]}, "outputs: states of the cell stand in ascending order"),
        ({"blocks": [{}, {}], "outputs": [2]}, "blocks: a block without effect: nothing reads it; got 1"),
        ({"blocks": [{"left_op": "sep_conv_9x9"}]}, "blocks/0/left_op: "),
        ({"blocks": []}, "blocks: "),
    ],
)
def test_what_is_no_cell_is_refused_by_path(cell, message):
    with pytest.raises(SpecError, match=f"^{message}"):
        ConvCell.from_data(cell)


def test_every_sample_is_a_cell_without_dead_blocks():
    space, rng = Space(searched(5, tuple(OPERATIONS), ("add", "concat"))), np.random.default_rng(0)
    for _ in range(50):
        cell = space.realize(space.sample(rng))
        assert ConvCell.from_json(cell.to_json()) == cell
        reached = set(cell.ends())
        for i in reversed(range(5)):
            if i + 2 in reached:
                reached |= {cell.blocks[i].left, cell.blocks[i].right}
        assert reached >= set(range(2, 7))


@pytest.mark.parametrize(
    ("blocks", "operations", "combinations"),
    [(1, FEW, ("add", "concat")), (2, FEW[:2], ("add", "concat")), (3, FEW[:1], ("add",))],
)
def test_one_candidate_stands_for_each_class_of_equal_cells(blocks, operations, combinations):
    """Classes are what single moves join, found without the canonical form."""
    space = Space(searched(blocks, operations, combinations))
    options = {"left_op": operations[0], "right_op": operations[0], "combine": combinations[0]}
    fixed = {
        name: value for name, value in options.items() if f"blocks/0/{name}" not in {p.path for p in space.points()}
    }

    def chosen(candidate) -> list[dict]:
        return _fields(
            {f"blocks/{i}/{n}": v for i in range(blocks) for n, v in fixed.items()} | dict(candidate), blocks
        )

    def again(found: list[dict]):
        return _candidate(space, [{n: v for n, v in block.items() if n not in fixed} for block in found])

    classes = {candidate.id: candidate.id for candidate in space.enumerate()}

    def root(name: str) -> str:
        while classes[name] != name:
            name = classes[name]
        return name

    forms: dict[str, set[str]] = {}
    for candidate in space.enumerate():
        for moved in _moves(chosen(candidate)):
            classes[root(again(moved).id)] = root(candidate.id)
    for candidate in space.enumerate():
        form = space.canonical(candidate)
        assert space.contains(form) and space.canonical(form) == form
        forms.setdefault(root(candidate.id), set()).add(form.id)
    assert all(len(found) == 1 for found in forms.values())
    assert len(set.union(*forms.values())) == len(forms)
    assert len(forms) < len(classes) or len(classes) == 1


def test_equal_cells_of_five_blocks_have_one_form():
    space, rng = Space(searched(5, tuple(OPERATIONS), ("add", "concat"))), np.random.default_rng(1)
    for _ in range(40):
        candidate = space.sample(rng)
        blocks = _fields(candidate, 5)
        for _ in range(15):
            moves = _moves(blocks)
            blocks = moves[int(rng.integers(len(moves)))]
        assert space.canonical(_candidate(space, blocks)) == space.canonical(candidate)


def test_twin_blocks_with_different_readers_have_one_form():
    space = Space(searched(4, FEW, ("add",)))
    twin = {"left": 0, "right": 1, "left_op": "identity", "right_op": "identity"}
    first = [twin, twin, twin | {"left": 2, "right": 2}, twin | {"left": 3, "right": 0}]
    second = [twin, twin, twin | {"left": 3, "right": 3}, twin | {"left": 2, "right": 0}]
    other = [twin, twin, twin | {"left": 3, "right": 3}, twin | {"left": 3, "right": 0}]
    forms = [space.canonical(_candidate(space, blocks)).id for blocks in (first, second, other)]
    assert forms[0] == forms[1] != forms[2]


def test_cells_whose_blocks_or_outputs_are_named_by_number_stand_for_themselves():
    open_cell = searched(2, FEW, ("add",))
    mixed = open_cell.model_copy(update={"blocks": (open_cell.blocks[0], searched(2, FEW[:2], ("add",)).blocks[1])})
    for cell in (mixed, open_cell.model_copy(update={"outputs": (3,)})):
        space = Space(cell)
        turned = {"left": 1, "right": 0, "left_op": FEW[1], "right_op": FEW[0]}
        candidate = _candidate(space, [turned, turned | {"left": 2}])
        assert space.canonical(candidate) is candidate


def test_a_cell_in_words():
    cell = _cell((0, 1, "sep_conv_3x3", "identity", "add"), (2, 2, *FEW[:2], "concat"))
    assert drawn(cell) == (
        ("sep conv 3x3 of the input + identity of the one before", (0, 1)),
        ("identity of block 1 beside max pool 3x3 of block 1", (2,)),
    )
