import numpy as np
import pytest
import torch

from search_spaces.recipe import ClassificationRecipe, Color, Crop, Cutout, Erasing, Flip, Normalize, Trick
from tests.trainers.examples import squares
from tests.trainers.tricks.batches import changed, equal, plain
from trainers.data.sampler import Sampler
from trainers.data.splits import Part
from trainers.determinism import Generators
from trainers.tricks.augment import Changes, normalized
from trainers.tricks.batch import Batch

IMAGES = torch.arange(1.0, 1 + 300 * 2 * 8 * 6).view(300, 2, 8, 6)


def test_j04_a_hole_is_a_square_that_the_border_clips() -> None:
    images = torch.ones(2_000, 3, 32, 32)
    found = changed(Cutout(length=0.25), plain(images)).images
    areas = (found[:, 0] == 0).sum((1, 2))
    assert (areas.min().item(), areas.max().item()) == (16, 64)  # (L/2)^2 to L^2 for L = 8
    assert torch.equal(found[:, 0], found[:, 2])
    assert set(found.unique().tolist()) == {0.0, 1.0}
    rows, columns = (found[:, 0] == 0).any(2).sum(1), (found[:, 0] == 0).any(1).sum(1)
    assert torch.equal(areas, rows * columns)


def test_more_holes_take_more() -> None:
    images = torch.ones(500, 1, 32, 32)
    one, three = (changed(Cutout(length=0.25, holes=holes), plain(images)).images for holes in (1, 3))
    assert (three == 0).sum() > 2 * (one == 0).sum()
    assert torch.equal(changed(Cutout(length=0.0), plain(images)).images, images)


def test_j05_erased_rectangles_lie_within_and_have_an_area_within_bounds() -> None:
    images = torch.ones(2_000, 3, 32, 24)
    found = changed(Erasing(p=1.0, smallest=0.05, largest=0.3, aspect=0.3, fill="mean"), plain(images)).images
    erased = found[:, 0] == 0
    shares = erased.float().mean((1, 2))
    shares = shares[shares > 0]
    assert len(shares) > 1_990
    assert shares.min().item() >= 0.05 and shares.max().item() <= 0.3
    assert shares.mean().item() == pytest.approx(0.175, abs=0.01)
    rows, columns = erased.any(2).sum(1), erased.any(1).sum(1)
    assert torch.equal(erased.sum((1, 2)), rows * columns)
    aspects = (rows / columns)[rows > 0]
    assert 0.2 < aspects.min() < 0.4 and 2.5 < aspects.max() < 4.5


def test_j05_erasing_happens_with_its_probability_and_never_at_0() -> None:
    images = torch.ones(2_000, 1, 16, 16)
    found = changed(Erasing(p=0.25, fill="mean"), plain(images)).images
    assert (found == 0).flatten(1).any(1).float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(changed(Erasing(p=0.0), plain(images)).images, images)


def test_j05_fills_are_black_the_mean_or_noise_in_the_range_of_pixels() -> None:
    mean, std = torch.tensor([0.5, 0.25]), torch.tensor([0.25, 0.5])
    batch = Batch(torch.full((300, 2, 16, 16), 9.0), mean=mean, std=std)
    fills = {}
    for fill in ("black", "mean", "noise"):
        images = changed(Erasing.from_data({"p": 1.0, "fill": fill}), batch).images
        erased = images.transpose(0, 1)[:, images[:, 0] != 9.0]
        fills[fill] = erased * std.view(2, 1) + mean.view(2, 1)
    assert fills["black"].abs().max().item() < 1e-6
    assert fills["mean"].mean(1).tolist() == pytest.approx(mean.tolist())
    assert 0 <= fills["noise"].min() < 0.001 and 0.999 < fills["noise"].max() <= 1
    assert fills["noise"].mean().item() == pytest.approx(0.5, abs=0.01)


def test_j19_statistics_make_mean_0_and_deviation_1_and_can_be_undone() -> None:
    data = normalized(ClassificationRecipe(), squares(channels=3))
    images = data.images[data.parts == Part.TRAIN]
    found = (images - data.mean.reshape(3, 1, 1)) / data.std.reshape(3, 1, 1)
    assert found.mean((0, 2, 3)).tolist() == pytest.approx([0] * 3, abs=1e-5)
    assert found.std((0, 2, 3)).tolist() == pytest.approx([1] * 3, abs=1e-5)
    assert np.array_equal(np.round(found * data.std.reshape(3, 1, 1) + data.mean.reshape(3, 1, 1)), images)


def test_j19_other_statistics() -> None:
    none, imagenet = (
        normalized(ClassificationRecipe(normalize=Normalize.from_data({"statistics": name})), squares(channels=3))
        for name in ("none", "imagenet")
    )
    assert none.mean.tolist() == [0, 0, 0] and none.std.tolist() == [255, 255, 255]
    assert (imagenet.mean / 255).tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert (imagenet.std / 255).tolist() == pytest.approx([0.229, 0.224, 0.225])
    grey = normalized(ClassificationRecipe(normalize=Normalize(statistics="imagenet")), squares())
    assert (grey.mean / 255).tolist() == pytest.approx([(0.485 + 0.456 + 0.406) / 3])


def test_changes_come_in_the_order_of_the_recipe_and_know_where_training_is() -> None:
    sampler = Sampler(np.arange(8), 4, seed=3)
    sampler.length = 10
    recipe = ClassificationRecipe(color=Color(), cutout=Cutout(), flip=Flip(), crop=Crop())
    changes = Changes(recipe, sampler, np.array([51.0], np.float32), np.array([102.0], np.float32))
    assert [change.args[0].kind for change in changes.used] == ["crop", "flip", "color", "cutout"]  # type: ignore
    for _ in range(5):
        sampler.next()
    with Generators(0):
        found = changes(Batch(torch.zeros(4, 1, 8, 8)))
    assert (found.step, found.progress, found.seed) == (4, 0.4, 3)
    assert found.mean is not None and found.std is not None
    assert found.mean.item() == pytest.approx(0.2) and found.std.item() == pytest.approx(0.4)


@pytest.mark.parametrize("spec", [Cutout(), Erasing(p=1.0)])
def test_draws_come_from_the_owned_generator(spec: Trick) -> None:
    assert equal(changed(spec, plain(IMAGES), 1), changed(spec, plain(IMAGES), 1))
    assert not equal(changed(spec, plain(IMAGES), 1), changed(spec, plain(IMAGES), 2))
