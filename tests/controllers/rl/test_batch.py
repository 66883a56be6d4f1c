"""A batch says where each choice stands, by hand."""

import pytest

from controllers.rl.batch import Batch
from controllers.rl.queries import Script
from search_spaces.domains import Categorical, Subset
from search_spaces.errors import SpecError
from search_spaces.space import Space

ITEM = {"w": Categorical((1, 2)), "inputs": Subset(of="items", low=0)}
SPACE = Space({"mix": Categorical({"a": {}, "b": {"n": Categorical((1, 2, 3))}}), "items": (ITEM, ITEM)})


def test_places_pairs_and_what_is_fed_by_hand() -> None:
    script = Script(SPACE)
    batch = Batch(script, [(1, 2, 0, 1, 1), (0, 1, 0, 0)])
    # First: mix, n, w, (no item before), w, inputs. Second: the same without n.
    assert (batch.size, batch.steps) == (2, 6)
    assert batch.places.tolist() == [0, 1, 2, 4, 6, 7, 9]
    assert batch.fed.shape == (2, 6, script.rows)
    assert batch.fed[:, 0, script.start].tolist() == [1.0, 1.0]
    assert batch.fed.sum((1, 2)).tolist() == [6.0, 5.0]
    assert batch.forbidden.sum(1).tolist() == [script.options - n for n in (2, 3, 2, 2, 2, 2, 2)]
    assert not batch.forbidden.gather(1, batch.picked[:, None]).any()
    # The anchor of item 0 is the last step that belongs to it.
    assert batch.pairs.tolist() == [[3, 8], [5, 10]]
    assert batch.many.tolist() == [[5, 10], [0, 1], [1, 0]]
    assert batch.one == []


def test_tokens_that_break_a_mask_are_refused() -> None:
    with pytest.raises(SpecError):
        Batch(Script(SPACE), [(0, 1, 0, 0, 1)])


def test_no_candidate_is_an_empty_batch() -> None:
    batch = Batch(Script(SPACE), [])
    assert (batch.size, batch.steps, batch.pairs.shape, batch.many.shape) == (0, 0, (2, 0), (3, 0))
