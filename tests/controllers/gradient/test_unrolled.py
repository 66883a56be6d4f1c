"""The second order gradient against the exact Hessian-vector product, on a problem small enough to write it out."""

import pytest
import torch

from controllers.gradient.unrolled import unrolled_gradient

RATE, MOMENTUM, DECAY = 0.1, 0.9, 0.01


def _problem():
    torch.manual_seed(0)
    weights = [
        torch.nn.Parameter(torch.randn(3, 4, dtype=torch.float64)),
        torch.nn.Parameter(torch.randn(3, dtype=torch.float64)),
    ]
    logits = [
        torch.randn(4, dtype=torch.float64, requires_grad=True),
        torch.randn(3, dtype=torch.float64, requires_grad=True),
    ]
    inputs = torch.randn(2, 8, 4, dtype=torch.float64)
    targets = torch.randn(2, 8, 3, dtype=torch.float64)

    def loss(values, part):
        hidden = torch.tanh((inputs[part] * logits[0].softmax(0)) @ values[0].T) + values[1]
        return ((hidden * logits[1].sigmoid() - targets[part]) ** 2).mean()

    return weights, logits, loss


def _optimizer(weights, loss, steps):
    optimizer = torch.optim.SGD(weights, RATE, momentum=MOMENTUM, weight_decay=DECAY)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(weights, 0).backward()
        optimizer.step()
    optimizer.zero_grad()
    return optimizer


@pytest.mark.parametrize("steps", [0, 3])
def test_it_agrees_with_the_exact_hessian_vector_product(steps):
    weights, logits, loss = _problem()
    optimizer = _optimizer(weights, loss, steps)
    before = [w.detach().clone() for w in weights]
    value, found = unrolled_gradient(optimizer, logits, lambda: loss(weights, 1), lambda: loss(weights, 0))
    buffers = [optimizer.state[w].get("momentum_buffer", torch.zeros_like(w)) for w in weights]
    gradients = torch.autograd.grad(loss(weights, 0), weights, create_graph=True)
    ahead = [w - RATE * (MOMENTUM * b + g + DECAY * w) for w, b, g in zip(weights, buffers, gradients, strict=True)]
    exact_value = loss(ahead, 1)
    # Differentiating through the step with the weights fixed is the exact product; the step's weights are constants.
    exact = torch.autograd.grad(exact_value, logits)
    first = torch.autograd.grad(loss([w.detach() for w in ahead], 1), logits)
    assert torch.allclose(value, exact_value.detach())
    for mine, wanted, direct in zip(found, exact, first, strict=True):
        assert torch.allclose(mine, wanted, rtol=1e-3, atol=1e-7)
        assert not torch.allclose(direct, wanted, rtol=1e-2, atol=1e-6)  # the second order counts here
    assert all(torch.equal(a, b) for a, b in zip(before, weights, strict=True))


def test_a_smaller_difference_is_nearer_and_rates_of_groups_count():
    weights, logits, loss = _problem()
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.3}, {"params": weights[1:], "lr": 0.05}], 0.1)
    gradients = torch.autograd.grad(loss(weights, 0), weights, create_graph=True)
    ahead = [w - rate * g for w, g, rate in zip(weights, gradients, (0.3, 0.05), strict=True)]
    exact = torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss(ahead, 1), logits)])
    errors = []
    for scale in (1.0, 0.1, 0.01):
        _, found = unrolled_gradient(optimizer, logits, lambda: loss(weights, 1), lambda: loss(weights, 0), scale)
        errors.append((torch.cat([g.reshape(-1) for g in found]) - exact).norm().item())
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-5


def test_both_sides_of_the_difference_draw_the_same_numbers_once():
    weights, logits, loss = _problem()
    drawn = []

    def masked(part):
        drawn.append(torch.rand(3))
        return loss(weights, part)

    optimizer = _optimizer(weights, loss, 1)
    torch.manual_seed(5)
    unrolled_gradient(optimizer, logits, lambda: masked(1), lambda: masked(0))
    ahead, held_out, above, below = drawn
    after = torch.rand(3)
    torch.manual_seed(5)
    assert all(torch.equal(torch.rand(3), expected) for expected in (ahead, held_out, above, after))
    assert torch.equal(above, below)


def test_dropout_does_not_drown_the_difference():
    weights, logits, loss = _problem()

    def masked(part):
        kept = torch.nn.functional.dropout(torch.ones(3, 4, dtype=torch.float64), 0.5)
        return loss([weights[0] * kept, weights[1]], part)

    optimizer = _optimizer(weights, loss, 1)
    found = []
    for _ in range(20):
        _, gradients = unrolled_gradient(optimizer, logits, lambda: masked(1), lambda: masked(0), 1e-6)
        found.append(torch.cat([gradient.reshape(-1) for gradient in gradients]).norm().item())
    assert max(found) < 1.0
