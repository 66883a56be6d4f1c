from dataclasses import replace

import pytest
import torch

from search_spaces.recipe import AutoAugment, Policy, RandAugment, TrivialAugment
from tests.trainers.tricks.batches import changed, equal, extents, one_box, scenes
from trainers.data.pictures import IGNORE
from trainers.determinism import Generators
from trainers.tricks import policy
from trainers.tricks.batch import Batch

POLICIES = [
    AutoAugment(policy="cifar10"),
    AutoAugment(policy="imagenet"),
    AutoAugment(policy="svhn"),
    RandAugment(),
    RandAugment(magnitude=30.0),
    TrivialAugment(),
]


@pytest.mark.parametrize("spec", POLICIES, ids=lambda spec: getattr(spec, "policy", spec.to_data()["kind"]))
def test_j06_shape_and_range_are_kept_and_a_seed_repeats(spec: Policy) -> None:
    batch = scenes(16, size=16)
    found = changed(spec, batch, 1)
    assert found.images.shape == batch.images.shape and not found.images.requires_grad
    assert found.images.min() >= -1e-6 and found.images.max() <= 1 + 1e-6
    different = [not torch.equal(a, b) for a, b in zip(found.images, batch.images, strict=True)]
    assert sum(different) > 8
    assert equal(found, changed(spec, batch, 1))
    assert not equal(found, changed(spec, batch, 2))


def test_j06_a_policy_has_25_pairs_and_the_others_their_lists() -> None:
    assert len(policy._auto("cifar10")) == len(policy._auto("imagenet")) == len(policy._auto("svhn")) == 25
    assert (len(policy._rand(10.0)), len(policy._trivial())) == (15, 12)


@pytest.mark.parametrize("count", [1, 3])
def test_each_image_gets_that_many_different_operations_of_its_own(count: int) -> None:
    seen = torch.zeros(40, 4)

    def operation(number: int) -> object:
        class Marking:
            transform_matrix = None

            def __call__(self, images: torch.Tensor) -> torch.Tensor:
                # Red tells the row.
                seen[(images[:, 0, 0, 0] * 40).round().long(), number] += 1
                return images

        return Marking()

    images = (torch.arange(40.0) / 40).view(40, 1, 1, 1).expand(40, 3, 2, 2)
    with Generators(0):
        policy._applied(tuple(map(operation, range(4))), count, Batch(images))  # type: ignore[arg-type]
    assert (seen.sum(1) == count).all() and seen.max() == 1
    assert (seen.sum(0) > 0).all()


def test_masks_and_boxes_move_as_the_images_do() -> None:
    # Of RandAugment's operations those of geometry alone.
    operations = tuple(op for op in policy._rand(15.0) if any(name in str(op) for name in ("Translate", "Rotate")))
    assert len(operations) == 3
    with Generators(0):
        found = policy._applied(operations, 1, one_box((24, 20, 40, 36), 64, 64, 60))
    assert found.boxes is not None and found.masks is not None and found.instances is not None
    assert torch.allclose(extents(found), found.boxes[:, 0], atol=1.5)
    assert (found.boxes[:, 0] - torch.tensor([24.0, 20, 40, 36])).abs().amax(1).min() > 1
    bright = found.images[:, 0] > 0.5
    assert (bright == (found.instances == 1)).float().mean() > 0.995
    assert ((found.masks == 3) == (found.instances == 1)).all() and (found.masks == IGNORE).any()


def test_grey_images_stay_grey_and_other_channels_are_refused() -> None:
    grey = Batch(torch.rand(8, 1, 12, 12), mean=torch.tensor([0.5]), std=torch.tensor([0.25]))
    found = changed(RandAugment(), replace(grey, images=(grey.images - 0.5) / 0.25))
    assert found.images.shape == (8, 1, 12, 12)
    assert found.images.min() >= -2 - 1e-5 and found.images.max() <= 2 + 1e-5
    with pytest.raises(ValueError, match="1 or 3 channels; got 4"):
        changed(RandAugment(), Batch(torch.rand(2, 4, 8, 8)))
