import numpy as np
import torch

from trainers.data.sampler import Sampler

ROWS = np.arange(100, 150)


def test_an_epoch_visits_rows_once_and_batches_are_full() -> None:
    sampler = Sampler(ROWS, 16, seed=1)
    assert sampler.batches_per_epoch == 3
    batches = [sampler.next() for _ in range(3)]
    seen = torch.cat(batches)
    assert [len(batch) for batch in batches] == [16] * 3
    assert len(seen.unique()) == 48 and set(seen.tolist()) <= set(ROWS.tolist())


def test_epochs_differ_and_leave_out_different_rows() -> None:
    sampler = Sampler(ROWS, 16, seed=1)
    epochs = [frozenset(torch.cat([sampler.next() for _ in range(3)]).tolist()) for _ in range(20)]
    assert len(set(epochs)) == 20
    assert frozenset.union(*epochs) == set(ROWS.tolist())


def test_a_position_goes_on_exactly() -> None:
    for cut in (0, 1, 2, 3, 7):
        one, two = Sampler(ROWS, 16, seed=1), Sampler(ROWS, 16, seed=1)
        for _ in range(cut):
            one.next()
        two.load_state_dict(one.state_dict())
        assert all(torch.equal(one.next(), two.next()) for _ in range(7))


def test_the_order_is_the_seeds() -> None:
    one, again, other = Sampler(ROWS, 16, 1), Sampler(ROWS, 16, 1), Sampler(ROWS, 16, 2)
    first = one.next()
    assert torch.equal(first, again.next()) and not torch.equal(first, other.next())
    assert ROWS.tolist() == list(range(100, 150))


def test_another_batch_size_goes_on_from_the_row() -> None:
    one, two = Sampler(ROWS, 10, 1), Sampler(ROWS, 20, 1)
    first = torch.cat([one.next(), one.next()])
    two.load_state_dict(one.state_dict())
    assert not set(first.tolist()) & set(two.next().tolist())


def test_a_batch_is_at_most_all_rows() -> None:
    sampler = Sampler(ROWS, 64, 1)
    assert sampler.batches_per_epoch == 1 and len(sampler.next()) == 50
