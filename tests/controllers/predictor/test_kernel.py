"""The kernel's values by hand, and its derivatives against differences."""

import numpy as np
import pytest

from controllers.predictor.features import Encoder
from controllers.predictor.kernel import Kernel
from search_spaces.domains import Categorical, Float
from search_spaces.space import Space
from search_spaces.spec import hole
from tests.controllers.landscapes import Word

WORDS = Word(text=hole(Categorical(("a_b+c", "c+d", "d+d+d", "a_b+a_d"))))
SPACE = Space({"net": WORDS, "lr": Float(0.0, 1.0), "decay": Float(0.0, 1.0), "flip": Categorical((True, False))})


def test_it_is_the_formula() -> None:
    encoder = Encoder(SPACE)
    kernel = Kernel(encoder, paths=True)
    bags = ("paths", "operations", "share of paths", "share of operations")
    assert kernel.names == ("options", "numbers", "numbers", *bags, "noise")
    a = {"net/text": "a_b+c", "lr": 0.2, "decay": 0.5, "flip": True}
    b = {"net/text": "a_b+a_d", "lr": 0.6, "decay": 0.2, "flip": True}
    theta = np.log([0.7, 0.5, 2.0, 0.3, 0.8, 0.25, 0.75, 0.1])
    r = np.hypot(0.4 / 0.5, 0.3 / 2.0)
    matern = (1 + 5**0.5 * r + 5 / 3 * r * r) * np.exp(-(5**0.5) * r)
    # One path of two is shared, and of seven operations a and b, twice.
    graphs = 0.25 * np.exp(-0.5 / 0.3) + 0.75 * np.exp(-(3 / 7) / 0.8)
    expected = (np.exp(-0.5 / 0.7) * matern + graphs) / 2
    rows = encoder.rows([SPACE.candidate(a), SPACE.candidate(b)])
    found = kernel.between(theta, rows, rows)
    assert found == pytest.approx(np.array([[1.0, expected], [expected, 1.0]]), rel=1e-12)
    assert kernel.noise(theta) == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("space", [SPACE, Space({"x": Float(0, 1)}), Space({"x": Categorical((1, 2, 3))})])
def test_its_derivatives_are_those_of_differences(space: Space) -> None:
    rng = np.random.default_rng(1)
    encoder = Encoder(space)
    kernel = Kernel(encoder, paths=space is SPACE)
    a, b = (encoder.rows([space.sample(rng) for _ in range(n)]) for n in (7, 5))
    theta, weights = kernel.means + 0.3 * rng.standard_normal(len(kernel.names)), rng.standard_normal((7, 5))
    found = kernel.prepared(a, b).gradients(theta, weights)
    for i, gradient in enumerate(found):
        step = np.zeros(len(theta))
        step[i] = 1e-6
        up, down = (float((weights * kernel.between(theta + sign * step, a, b)).sum()) for sign in (1, -1))
        assert gradient == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-8)
    assert len(found) == len(kernel.names) - 1
