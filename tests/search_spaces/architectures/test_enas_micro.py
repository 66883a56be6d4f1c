"""ENAS' micro space: the authors' cells, its size, equal cells."""

import numpy as np
import pytest

from search_spaces.architectures.enas_micro import OPERATIONS, EnasMicro, enas_micro, micro_cell
from search_spaces.build import Architecture
from search_spaces.cost import cost
from search_spaces.reference import reference
from search_spaces.space import Space
from search_spaces.template import template


def test_the_authors_cells():
    spec, shape, outputs = reference("enas-micro")
    first = spec.normal.blocks[0]
    assert (first.left, first.left_op, first.right, first.right_op) == (1, "avg_pool_3x3", 1, "sep_conv_3x3")
    assert spec.normal.ends() == (2, 3, 4, 5, 6) and spec.reduction.ends() == (2, 4, 5, 6)
    assert spec.reduction.blocks[2].left_op == "sep_conv_5x5" and spec.reduction.blocks[2].right == 3
    # With the auxiliary classifier of the authors' code, 494,848, these are the 4.2 M that others counted.
    assert cost(spec, shape, outputs).params == 3_753_334
    assert round((3_753_334 + 494_848) / 1e6, 1) == 4.2


def test_the_space_and_the_papers_count_of_it():
    assert Space(enas_micro()).cardinality() == (5**5 * 720) ** 4
    assert (5 * 120) ** 4 == 129_600_000_000  # the paper's formula, 1.296e11, which is not this number
    assert Space(enas_micro(blocks=2)).cardinality() == (5**2 * 2 * 3) ** 4


def test_samples_are_read_back_and_the_file_names_the_preset():
    space = Space(template({"preset": "enas_micro", "blocks": 3, "repeats": 1, "filters": 4}, Architecture))
    spec = space.realize(space.sample(np.random.default_rng(0)))
    assert isinstance(spec, EnasMicro) and Architecture.from_json(spec.to_json()) == spec
    assert {block.combine for block in spec.normal.blocks} == {"add"}


def test_the_sides_of_a_block_do_not_matter():
    space = Space(enas_micro(blocks=2))
    candidate = space.sample(np.random.default_rng(1))
    values = dict(candidate)
    for side in ("", "_op"):
        left, right = f"normal/blocks/1/left{side}", f"normal/blocks/1/right{side}"
        values[left], values[right] = values[right], values[left]
    turned = space.candidate(values)
    assert space.canonical(turned) == space.canonical(candidate)
    # An edge of the same cell in the place of another cell is another network.
    assert space.canonical(space.candidate({**values, "normal/blocks/1/left_op": "max_pool_3x3"})) != space.canonical(
        space.candidate({**values, "normal/blocks/1/left_op": "identity"})
    )


@pytest.mark.parametrize("text", ["0 2 0", "0 2 0 9"])
def test_numbers_that_are_no_cell_are_refused(text):
    with pytest.raises((ValueError, IndexError)):
        micro_cell(text)


def test_the_cover_reads_every_state_through_every_operation():
    seen = set()
    for spec in enas_micro(blocks=3).cover():
        for cell in (spec.normal, spec.reduction):
            for i, block in enumerate(cell.blocks):
                seen |= {(i, "left", block.left, block.left_op), (i, "right", block.right, block.right_op)}
    expected = {
        (i, side, state, name)
        for i in range(3)
        for side in ("left", "right")
        for state in range(i + 2)
        for name in OPERATIONS
    }
    assert seen == expected
