import numpy as np
import pytest

from trainers.data.splits import Part, architecture_learns, halves, keyed_uniform, split


def test_shares_come_out_and_rows_keep_their_part() -> None:
    parts = split(20_000, val=0.1, test=0.2, seed=0)
    shares = [(parts == part).mean() for part in (Part.TRAIN, Part.VAL, Part.TEST)]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.01)
    assert np.array_equal(split(5_000, 0.1, 0.2, 0), parts[:5_000])


def test_another_seed_is_another_split() -> None:
    same = (split(10_000, 0.5, 0.0, 0) == split(10_000, 0.5, 0.0, 1)).mean()
    assert same == pytest.approx(0.5, abs=0.02)


def test_the_hash_is_the_one_that_runs_were_split_with() -> None:
    # Changing these numbers would move rows between the parts of every stored run.
    drawn = keyed_uniform(np.arange(3), 0)
    assert drawn.tolist() == pytest.approx([0.8833108082136426, 0.43152799704850997, 0.026433771592597743], abs=1e-15)
    assert keyed_uniform(np.array([5]), -1)[0] != keyed_uniform(np.array([5]), 0)[0]


def test_numbers_are_even_and_unrelated_to_row_order() -> None:
    drawn = keyed_uniform(np.arange(20_000), 7)
    assert drawn.min() >= 0 and drawn.max() < 1
    counts, _ = np.histogram(drawn, 10, (0, 1))
    assert counts.min() > 1_850
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.03


def test_l15_halves_share_no_row_and_are_all_rows() -> None:
    rows = np.flatnonzero(split(4000, 0.1, 0.2, seed=0) == Part.TRAIN)
    weights, architecture = halves(rows, seed=0)
    assert not set(weights) & set(architecture)
    assert sorted([*weights, *architecture]) == rows.tolist()
    assert abs(len(weights) / len(rows) - 0.5) < 0.03
    assert abs(len(halves(rows, seed=0, share=0.8)[0]) / len(rows) - 0.8) < 0.03
    again, _ = halves(rows[::2], seed=0)
    assert set(again) == set(weights) & set(rows[::2])


def test_l15_the_architecture_stands_still_at_first() -> None:
    assert [architecture_learns(epoch / 40, 20 / 40) for epoch in (0, 19, 20, 39)] == [False, False, True, True]
