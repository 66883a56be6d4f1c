"""Our Adam takes the steps of torch's, and goes on from its state."""

import torch

from controllers.rl.adam import Adam
from controllers.state import decode, difference, encode


def _weights() -> dict[str, torch.Tensor]:
    return {
        "a": torch.linspace(-1, 1, 6).view(2, 3).clone().requires_grad_(),
        "b": torch.ones(4, requires_grad=True),
        "unused": torch.ones(2, requires_grad=True),
    }


def _loss(weights: dict[str, torch.Tensor], step: int) -> torch.Tensor:
    loss = (weights["a"].sin() * (step + 1)).sum()
    # One that is not always used has fewer steps behind it.
    return loss + (weights["b"] ** 3).sum() if step % 3 else loss


def _gradients(weights: dict[str, torch.Tensor], step: int) -> dict[str, torch.Tensor]:
    found = torch.autograd.grad(_loss(weights, step), list(weights.values()), allow_unused=True)
    return {name: gradient for name, gradient in zip(weights, found, strict=True) if gradient is not None}


def test_its_steps_are_those_of_torch() -> None:
    ours, theirs = _weights(), _weights()
    adam, reference = Adam(ours, 0.05), torch.optim.Adam(theirs.values(), lr=0.05)
    for step in range(30):
        adam.step(_gradients(ours, step))
        reference.zero_grad()
        _loss(theirs, step).backward()  # type: ignore[no-untyped-call]
        reference.step()
        for name in ours:
            assert torch.allclose(ours[name], theirs[name], atol=1e-6), (name, step)
    assert torch.equal(ours["unused"], torch.ones(2))
    assert not torch.allclose(ours["b"], torch.ones(4), atol=0.1)


def test_it_goes_on_from_its_state_bit_for_bit() -> None:
    whole, parts = _weights(), _weights()
    adam, other = Adam(whole, 0.05), Adam(parts, 0.05)
    for step in range(10):
        adam.step(_gradients(whole, step))
        other.step(_gradients(parts, step))
        state = decode(*encode(other.get_state()))
        other = Adam(parts, 0.05)
        other.set_state(state)
        assert difference(other.get_state(), adam.get_state()) is None
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
