"""Specs of non-local blocks."""

import pytest

from search_spaces.blocks.non_local import GlobalContext, NonLocal, SimplifiedNonLocal
from search_spaces.errors import SpecError

C, INNER, T = 64, 32, 4  # channels, inner channels, positions of a map of stride 32 of an image of 64 x 64


@pytest.mark.parametrize(
    ("form", "params", "macs"),
    [
        ("gaussian", 0, T * T * 2 * C + T * C * INNER),
        ("embedded", 2 * (C * INNER + INNER), T * T * 2 * INNER + 3 * T * C * INNER),
        ("dot", 2 * (C * INNER + INNER), 2 * T * INNER * INNER + 3 * T * C * INNER),
        ("concat", 2 * (C * INNER + INNER) + 2 * INNER, 3 * T * C * INNER + 2 * T * INNER),
    ],
)
def test_cost_of_a_non_local_block(form: str, params: int, macs: int) -> None:
    found = NonLocal(form=form).cost(C, (64, 64))
    assert found is not None
    assert found.params == params + (C * INNER + INNER) + (INNER * C + C)  # value and output
    assert found.macs == macs + T * INNER * C


def test_reading_a_subsampled_map_takes_a_quarter_of_the_products() -> None:
    whole, part = (NonLocal(subsample=subsample).cost(C, (128, 128)) for subsample in (False, True))
    assert whole is not None and part is not None
    pairs, values = 16 * 16 * 2 * INNER, 2 * 16 * C * INNER  # keys and values are made of the pooled map alone
    assert whole.macs - part.macs == (pairs + values) * 3 // 4


def test_the_simplified_block_has_two_linear_functions() -> None:
    found = SimplifiedNonLocal().cost(C)
    assert found is not None and found.params == C + 1 + C * C + C


def test_c05_parameters_of_global_context() -> None:
    found = GlobalContext(reduction=8).cost(64)
    assert found is not None and found.params == 1177  # C + 1 + 2 C^2 / r + C / r + C + 2 C / r


@pytest.mark.parametrize(
    ("spec", "fields"), [(NonLocal, {"form": "cosine"}), (NonLocal, {"reduction": 0}), (GlobalContext, {"fuse": "mul"})]
)
def test_impossible_fields_are_refused(spec, fields) -> None:
    with pytest.raises(SpecError, match=f"^{next(iter(fields))}: "):
        spec.from_data(fields)
