import pytest
import torch

from trainers.determinism import Generators


def test_draws_follow_the_seed_and_leave_the_surroundings_alone() -> None:
    outside = torch.get_rng_state()
    with Generators(3):
        first = torch.rand(5)
    assert torch.equal(torch.get_rng_state(), outside)
    with Generators(3):
        assert torch.equal(torch.rand(5), first)
    with Generators(4):
        assert not torch.equal(torch.rand(5), first)


def test_stretches_join_up_whatever_happens_between_them() -> None:
    with Generators(3):
        whole = torch.rand(6)
    parts, other = Generators(3), Generators(8)
    drawn = []
    for _ in range(3):
        with parts:
            drawn.append(torch.rand(2))
        with other:
            torch.rand(7)
        torch.rand(3)
    assert torch.equal(torch.cat(drawn), whole)


def test_a_saved_state_goes_on() -> None:
    generators = Generators(3)
    with generators:
        torch.rand(4)
    state = generators.state_dict()
    with generators:
        expected = torch.rand(4)
    again = Generators(99)
    again.load_state_dict(state)
    with again:
        assert torch.equal(torch.rand(4), expected)


def test_an_error_inside_gives_the_surroundings_back() -> None:
    outside = torch.get_rng_state()
    with pytest.raises(ValueError, match="x"), Generators(3):
        torch.rand(1)
        raise ValueError("x")
    assert torch.equal(torch.get_rng_state(), outside)


def test_the_same_draws_as_a_plain_seed() -> None:
    with Generators(2**63 + 11):
        found = torch.rand(3)
    assert torch.equal(found, torch.rand(3, generator=torch.Generator().manual_seed(2**63 + 11)))


@pytest.mark.gpu
def test_an_accelerators_generator_is_owned_too() -> None:
    device = torch.accelerator.current_accelerator()
    assert device is not None
    generators = Generators(3, str(device))
    with generators:
        torch.rand(2, device=device)
    state = generators.state_dict()
    with generators:
        expected = torch.rand(4, device=device)
    again = Generators(9, str(device))
    again.load_state_dict(state)
    with again:
        assert torch.equal(torch.rand(4, device=device), expected)
