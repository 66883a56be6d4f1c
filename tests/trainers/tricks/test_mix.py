from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from search_spaces.recipe import DetectionMixup, Mix, Mixup, Ricap
from tests.trainers.tricks.batches import at, changed, equal, scenes
from trainers.determinism import Generators
from trainers.tricks.batch import Batch
from trainers.tricks.mix import blend, patch, union


def _batch(n: int = 6, side: int = 2) -> Batch:
    images = torch.arange(float(n)).view(n, 1, 1, 1).expand(n, 1, side, side).contiguous()
    labels = torch.arange(n)
    return Batch(images, labels, F.one_hot(labels, n).float())


def _mixed(alpha: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    found = changed(Mixup(alpha=alpha), _batch(), seed)
    assert found.targets is not None and found.labels is not None
    assert torch.equal(found.labels, torch.arange(6))
    return found.images, found.targets


def test_j01_images_and_targets_are_blended_alike() -> None:
    images, targets = _mixed(1.0)
    assert torch.allclose(targets.sum(1), torch.ones(6))
    # Image i is the number i, so the blend of images is the mean of the classes under the blend of targets.
    assert torch.allclose(images[:, 0, 0, 0], targets @ torch.arange(6.0))


def test_j01_a_share_of_1_is_the_identity_and_one_of_0_the_partner() -> None:
    batch, other = _batch(side=4), torch.tensor([3, 0, 5, 1, 2, 4])
    assert equal(blend(batch, other, 1.0), batch)
    partner = blend(batch, other, 0.0)
    assert torch.equal(partner.images, batch.images[other])
    assert partner.targets is not None and torch.equal(partner.targets.argmax(1), other)
    half = blend(batch, other, 0.25)
    assert torch.allclose(half.images, 0.25 * batch.images + 0.75 * batch.images[other])


def test_j01_the_mixed_loss_is_the_loss_of_the_mixed_targets() -> None:
    (_, targets), logits = _mixed(1.0, seed=3), torch.randn(6, 6)
    share = targets[torch.arange(6), torch.arange(6)].min().item()
    other = targets.clone()
    other[torch.arange(6), torch.arange(6)] -= share
    partner = other.argmax(1)
    expected = share * F.cross_entropy(logits, torch.arange(6)) + (1 - share) * F.cross_entropy(logits, partner)
    assert F.cross_entropy(logits, targets).item() == pytest.approx(expected.item(), rel=1e-5)


def test_j01_a_small_alpha_hardly_blends_and_a_large_one_blends_evenly() -> None:
    def largest(alpha: float) -> float:
        return sum(_mixed(alpha, seed)[1].max(1).values.min().item() for seed in range(60)) / 60

    assert largest(0.01) > 0.97
    assert 0.5 <= largest(1000.0) < 0.53
    assert 0.65 < largest(1.0) < 0.85  # E[max(u, 1 - u)] = 3/4


@pytest.mark.parametrize("spec", [Mixup(alpha=1.0, until=0.75), Ricap(beta=1.0, until=0.75)])
def test_nothing_is_mixed_at_the_end_of_training(spec: Mix) -> None:
    batch = _batch(side=8)
    assert not equal(changed(spec, at(batch, progress=0.74)), batch)
    assert equal(changed(spec, at(batch, progress=0.75)), batch)


def test_j03_areas_weigh_the_targets() -> None:
    for seed in range(20):
        found = changed(Ricap(beta=1.0), _batch(side=8), seed)
        assert found.targets is not None
        assert found.images.shape == (6, 1, 8, 8)
        assert torch.allclose(found.targets.sum(1), torch.ones(6))
        # Image i is the number i, so that its mean is the mean of the classes under the targets.
        assert torch.allclose(found.images.mean((1, 2, 3)), found.targets @ torch.arange(6.0), atol=1e-5)


def test_j03_four_crops_meet_at_the_point() -> None:
    with Generators(1):
        found = patch(_batch(side=8), 3, 6).images
    for rows in (slice(0, 6), slice(6, 8)):
        for columns in (slice(0, 3), slice(3, 8)):
            part = found[:, 0, rows, columns].flatten(1)
            assert torch.equal(part, part[:, :1].expand_as(part))
            assert sorted(part[:, 0].tolist()) == [0, 1, 2, 3, 4, 5]


def test_j03_a_point_in_the_corner_leaves_one_image() -> None:
    with Generators(0):
        found = patch(_batch(side=8), 8, 8)
    assert found.targets is not None
    assert torch.equal(found.images[:, 0, 0, 0].long(), found.targets.argmax(1))
    assert torch.equal(found.images, found.images[:, :, :1, :1].expand_as(found.images))
    assert set(found.targets.unique().tolist()) == {0.0, 1.0}


def test_j02_an_image_has_the_objects_of_both_and_their_weights_sum_to_1() -> None:
    batch = scenes(8)
    found = changed(DetectionMixup(alpha=1.5), batch)
    assert batch.boxes is not None and found.boxes is not None and found.weights is not None
    assert batch.classes is not None and found.classes is not None
    count = batch.boxes.shape[1]
    assert torch.equal(found.boxes[:, :count], batch.boxes)
    first, second = found.weights[:, :count].amax(1), found.weights[:, count:].amax(1)
    assert torch.allclose(first + second, torch.ones(8))
    assert ((found.weights > 0) == (found.classes >= 0)).all()
    for row in range(8):
        partner = next(i for i in range(8) if torch.equal(found.boxes[row, count:], batch.boxes[i]))
        blend = first[row] * batch.images[row] + second[row] * batch.images[partner]
        assert torch.allclose(found.images[row], blend, atol=1e-6)
        assert torch.equal(found.classes[row, count:], batch.classes[partner])


def test_j02_the_canvas_holds_both_and_no_box_moves() -> None:
    boxes, classes = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), torch.zeros(1, 1, dtype=torch.int64)
    low = Batch(torch.ones(1, 3, 4, 9), boxes=boxes, classes=classes)
    high = replace(low, images=torch.ones(1, 3, 7, 5), boxes=boxes + 1)
    found = union(low, high, torch.tensor([0.25]))
    assert found.images.shape == (1, 3, 7, 9)
    assert found.boxes is not None and found.boxes[0].tolist() == [[1, 2, 3, 4], [2, 3, 4, 5]]
    assert found.weights is not None and found.weights[0].tolist() == [0.25, 0.75]
    assert found.images[0, 0, 0, 0].item() == 1 and found.images[0, 0, 6, 8].item() == 0
    assert found.images[0, 0, 0, 8].item() == 0.25 and found.images[0, 0, 6, 0].item() == 0.75


def test_draws_come_from_the_owned_generator() -> None:
    for spec, batch in ((Mixup(alpha=1.0), _batch()), (Ricap(), _batch(side=8)), (DetectionMixup(), scenes())):
        assert equal(changed(spec, batch, 1), changed(spec, batch, 1))
        assert not equal(changed(spec, batch, 1), changed(spec, batch, 2))
