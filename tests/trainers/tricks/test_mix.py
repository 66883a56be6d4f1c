import pytest
import torch
from torch.nn import functional as F

from search_spaces.recipe import Mixup
from trainers.determinism import Generators
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implementation


def _batch(n: int = 6) -> Batch:
    images = torch.arange(float(n)).view(n, 1, 1, 1).expand(n, 1, 2, 2).contiguous()
    labels = torch.arange(n)
    return Batch(images, labels, F.one_hot(labels, n).float())


def _mixed(alpha: float, seed: int = 0) -> Batch:
    with Generators(seed):
        found: Batch = implementation(Mixup(alpha=alpha))(_batch())
    return found


def test_images_and_targets_are_blended_alike() -> None:
    mixed = _mixed(1.0)
    assert torch.allclose(mixed.targets.sum(1), torch.ones(6))
    # Image i is the number i, so the blend of images is the mean of the classes under the blend of targets.
    assert torch.allclose(mixed.images[:, 0, 0, 0], mixed.targets @ torch.arange(6.0))
    assert torch.equal(mixed.labels, torch.arange(6))


def test_the_mixed_loss_is_the_loss_of_the_mixed_targets() -> None:
    mixed, logits = _mixed(1.0, seed=3), torch.randn(6, 6)
    share = mixed.targets[torch.arange(6), torch.arange(6)].min().item()
    other = mixed.targets.clone()
    other[torch.arange(6), torch.arange(6)] -= share
    partner = other.argmax(1)
    expected = share * F.cross_entropy(logits, torch.arange(6)) + (1 - share) * F.cross_entropy(logits, partner)
    assert F.cross_entropy(logits, mixed.targets).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_small_alpha_hardly_blends_and_a_large_one_blends_evenly() -> None:
    def largest(alpha: float) -> float:
        return sum(_mixed(alpha, seed).targets.max(1).values.min().item() for seed in range(60)) / 60

    assert largest(0.01) > 0.97
    assert 0.5 <= largest(1000.0) < 0.53
    assert 0.65 < largest(1.0) < 0.85  # E[max(u, 1 - u)] = 3/4


def test_draws_come_from_the_owned_generator() -> None:
    assert torch.equal(_mixed(1.0, 1).images, _mixed(1.0, 1).images)
    assert not torch.equal(_mixed(1.0, 1).images, _mixed(1.0, 2).images)
