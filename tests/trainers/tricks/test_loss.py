from typing import Literal

import pytest
import torch
from torch.nn import functional as F

from search_spaces.recipe import LabelSmoothing
from trainers.tricks.registry import implementation

ROWS: list[tuple[Literal["uniform", "others"], float, float]] = [("uniform", 0.925, 0.025), ("others", 0.9, 0.1 / 3)]


@pytest.mark.parametrize(("variant", "right", "wrong"), ROWS)
def test_targets_follow_the_formulas(variant: Literal["uniform", "others"], right: float, wrong: float) -> None:
    found = implementation(LabelSmoothing(epsilon=0.1, variant=variant))(torch.eye(4))
    assert found[2].tolist() == pytest.approx([wrong, wrong, right, wrong], abs=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(4))


def test_uniform_is_torchs_own() -> None:
    logits, labels = torch.randn(9, 5), torch.arange(9) % 5
    found = implementation(LabelSmoothing(epsilon=0.2))(F.one_hot(labels, 5).float())
    expected = F.cross_entropy(logits, labels, label_smoothing=0.2)
    assert F.cross_entropy(logits, found).item() == pytest.approx(expected.item(), rel=1e-5)


def test_epsilon_zero_changes_nothing() -> None:
    assert torch.equal(implementation(LabelSmoothing(epsilon=0.0))(torch.eye(3)), torch.eye(3))


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="two classes; got 1"):
        implementation(LabelSmoothing())(torch.eye(1))
