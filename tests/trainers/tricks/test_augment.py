import pytest
import torch
from torch.nn import functional as F

from search_spaces.recipe import Crop, Cutout, Flip
from trainers.determinism import Generators
from trainers.tricks.batch import Batch
from trainers.tricks.registry import implementation


def _changed(spec: Crop | Cutout | Flip, images: torch.Tensor, seed: int = 0) -> torch.Tensor:
    labels = torch.arange(len(images))
    with Generators(seed):
        found: Batch = implementation(spec)(Batch(images, labels, labels))
    assert found.labels is labels and found.targets is labels
    return found.images


IMAGES = torch.arange(1.0, 1 + 300 * 2 * 8 * 6).view(300, 2, 8, 6)


def test_a_crop_is_a_window_of_the_padded_image() -> None:
    padded = F.pad(IMAGES, (2, 2, 2, 2))  # a quarter of 8 rows and of 6 columns, rounded
    places = set()
    for whole, found in zip(padded, _changed(Crop(padding=0.25), IMAGES), strict=True):
        windows = [(y, x) for y in range(5) for x in range(5) if torch.equal(whole[:, y : y + 8, x : x + 6], found)]
        assert len(windows) == 1
        places.add(windows[0])
    assert len(places) == 25  # each image has its own place, and all places occur


def test_a_crop_without_padding_is_the_identity() -> None:
    assert torch.equal(_changed(Crop(padding=0.0), IMAGES), IMAGES)


@pytest.mark.parametrize(("p", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_a_flip_mirrors_a_share_of_the_images(p: float, share: float) -> None:
    found = _changed(Flip(p=p), IMAGES)
    mirrored = torch.tensor([torch.equal(a, b.flip(-1)) for a, b in zip(found, IMAGES, strict=True)])
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(found, IMAGES, strict=True)])
    assert bool((mirrored ^ kept).all())
    assert mirrored.float().mean().item() == pytest.approx(share, abs=0.1)


def test_flipping_twice_is_the_identity() -> None:
    assert torch.equal(_changed(Flip(p=1.0), _changed(Flip(p=1.0), IMAGES)), IMAGES)


def test_a_hole_is_a_square_that_the_border_clips() -> None:
    images = torch.ones(2_000, 3, 32, 32)
    found = _changed(Cutout(length=0.25), images)
    areas = (found[:, 0] == 0).sum((1, 2))
    assert (areas.min().item(), areas.max().item()) == (16, 64)  # (L/2)^2 to L^2 for L = 8
    assert torch.equal(found[:, 0], found[:, 2])
    assert set(found.unique().tolist()) == {0.0, 1.0}
    rows, columns = (found[:, 0] == 0).any(2).sum(1), (found[:, 0] == 0).any(1).sum(1)
    assert torch.equal(areas, rows * columns)


def test_more_holes_take_more() -> None:
    images = torch.ones(500, 1, 32, 32)
    one, three = (_changed(Cutout(length=0.25, holes=holes), images) for holes in (1, 3))
    assert (three == 0).sum() > 2 * (one == 0).sum()
    assert torch.equal(_changed(Cutout(length=0.0), images), images)


def test_draws_come_from_the_owned_generator() -> None:
    for spec in (Crop(), Flip(), Cutout()):
        assert torch.equal(_changed(spec, IMAGES, 1), _changed(spec, IMAGES, 1))
        assert not torch.equal(_changed(spec, IMAGES, 1), _changed(spec, IMAGES, 2))
