import pytest
import torch
from torch.nn import functional as F

from search_spaces.recipe import (
    Crop,
    Flip,
    IouCrop,
    MultiScale,
    ResizedCrop,
    ResolutionStages,
    Rotation,
    Trick,
    ZoomOut,
)
from tests.trainers.tricks.batches import at, changed, equal, extents, one_box, plain, scenes
from trainers.data.pictures import IGNORE
from trainers.tricks.geometry import resize, rotate, sizes
from trainers.tricks.warp import area

IMAGES = torch.arange(1.0, 1 + 300 * 2 * 8 * 6).view(300, 2, 8, 6)


def test_j07_a_crop_is_a_window_of_the_padded_image() -> None:
    padded = F.pad(IMAGES, (2, 2, 2, 2))  # a quarter of 8 rows and of 6 columns, rounded
    places = set()
    for whole, found in zip(padded, changed(Crop(padding=0.25), plain(IMAGES)).images, strict=True):
        windows = [(y, x) for y in range(5) for x in range(5) if torch.equal(whole[:, y : y + 8, x : x + 6], found)]
        assert len(windows) == 1
        places.add(windows[0])
    assert len(places) == 25  # each image has its own place, and all places occur


def test_a_crop_moves_masks_and_boxes_by_whole_pixels() -> None:
    batch = one_box((2, 3, 6, 5), count=40)
    found = changed(Crop(padding=0.25), batch)
    assert found.boxes is not None and found.masks is not None
    assert torch.equal(found.boxes[:, 0], extents(found))
    assert torch.equal((found.masks == 3).float(), found.images[:, 0])
    outside = (found.masks == IGNORE).flatten(1).any(1)
    assert 20 < int(outside.sum()) < 40


@pytest.mark.parametrize(("p", "share"), [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)])
def test_a_flip_mirrors_a_share_of_the_images(p: float, share: float) -> None:
    found = changed(Flip(p=p), plain(IMAGES)).images
    mirrored = torch.tensor([torch.equal(a, b.flip(-1)) for a, b in zip(found, IMAGES, strict=True)])
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(found, IMAGES, strict=True)])
    assert bool((mirrored ^ kept).all())
    assert mirrored.float().mean().item() == pytest.approx(share, abs=0.1)


def test_j08_a_flip_is_an_involution_that_mirrors_boxes() -> None:
    batch = scenes()
    once = changed(Flip(p=1.0), batch)
    assert batch.boxes is not None and once.boxes is not None and batch.classes is not None
    there = batch.classes >= 0
    assert torch.equal(once.boxes[there][:, 0], 64 - batch.boxes[there][:, 2])
    assert torch.equal(once.boxes[there][:, 1::2], batch.boxes[there][:, 1::2])
    assert torch.equal(once.masks, batch.masks.flip(-1))  # type: ignore[arg-type,union-attr]
    assert equal(changed(Flip(p=1.0), once), batch)


def test_j09_a_quarter_turn_is_rot90() -> None:
    for side in (8, 32):
        images = torch.rand(3, 2, side, side)
        found = rotate(plain(images), torch.full((3,), 90.0)).images
        assert (found - torch.rot90(images, 1, (2, 3))).abs().max().item() < 4e-7


def test_j09_boxes_turn_with_the_image() -> None:
    found = rotate(one_box((1, 2, 3, 7)), torch.tensor([90.0]))
    assert found.boxes is not None
    assert found.boxes[0, 0].tolist() == pytest.approx([2, 5, 7, 7], abs=1e-4)
    assert torch.allclose(extents(found), found.boxes[:, 0], atol=1e-4)


def test_rotations_stay_within_their_range() -> None:
    # A bright pixel on the right edge rises by at most the sine of the angle.
    images = torch.zeros(200, 1, 41, 41)
    images[:, :, 20, 36] = 1
    rows = changed(Rotation(degrees=30.0), plain(images)).images[:, 0].amax(2).argmax(1)
    assert 20 - 16 * 0.5 - 1 <= rows.min() < 14 and 26 < rows.max() <= 20 + 16 * 0.5 + 1


def test_j07_a_resized_crop_covers_the_share_that_it_should() -> None:
    ramp = torch.linspace(0, 1, 64).view(1, 1, 1, 64).expand(400, 1, 64, 64).clone()
    found = changed(ResizedCrop(smallest=0.25, largest=0.25, aspect=1.0), plain(ramp)).images
    spread = found[:, 0, 32].amax(1) - found[:, 0, 32].amin(1)
    assert spread.min() > 0.47 and spread.max() < 0.51  # half of the width
    assert found.min() >= 0 and found.max() <= 1
    assert torch.equal(changed(ResizedCrop(smallest=1.0, aspect=1.0), plain(ramp)).images, ramp)


def test_j12_kept_boxes_lie_inside_the_crop_that_overlaps_one_enough() -> None:
    batch = scenes(48)
    assert batch.boxes is not None and batch.classes is not None
    found = changed(IouCrop(overlaps=(0.3,), smallest=0.3), batch)
    assert found.boxes is not None and found.classes is not None
    moved = torch.tensor([not torch.equal(a, b) for a, b in zip(found.images, batch.images, strict=True)])
    assert 8 < int(moved.sum()) < 40
    kept = found.classes >= 0
    assert (found.boxes >= 0).all() and (found.boxes <= 64).all()
    assert kept.any(1).all()  # an image never loses all of its objects
    for row in moved.nonzero().flatten():
        # The window and a box have the overlap that their images have: what is cut of the box is added by size.
        boxes = found.boxes[row][kept[row]]
        before = batch.boxes[row][kept[row]]
        scale = (area(boxes) / area(before)).amax().item()  # of areas; a box that was not cut tells it
        both = area(boxes) / scale
        window_area = 64 * 64 / scale
        overlap = both / (window_area + area(before) - both)
        assert overlap.max().item() >= 0.3 - 0.02


def test_j12_centres_of_kept_objects_were_in_the_window() -> None:
    batch = scenes(48)
    found = changed(IouCrop(overlaps=(0.0,), smallest=0.5), batch, seed=3)
    assert found.classes is not None and batch.classes is not None
    dropped = (found.classes < 0) & (batch.classes >= 0)
    assert dropped.any()
    assert torch.equal(found.classes[~dropped], batch.classes[~dropped])


def test_j12_zooming_out_shrinks_boxes_up_to_four_times() -> None:
    batch = one_box((0, 0, 32, 32), 32, 32, 200)
    found = changed(ZoomOut(p=1.0, largest=4.0), batch)
    assert found.boxes is not None and found.masks is not None
    sides = found.boxes[:, 0, 2] - found.boxes[:, 0, 0]
    assert 8 <= sides.min() < 9 and 28 < sides.max() <= 32
    assert torch.allclose(sides, found.boxes[:, 0, 3] - found.boxes[:, 0, 1], atol=1e-3)
    assert (found.masks == IGNORE).any() and set(found.masks.unique().tolist()) == {3, IGNORE}
    half = changed(ZoomOut(p=0.5), batch)
    same = torch.tensor([torch.equal(a, b) for a, b in zip(half.images, batch.images, strict=True)])
    assert same.float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_j14_sizes_are_multiples_of_32_and_boxes_scale_along() -> None:
    assert sizes(MultiScale(), 416) == list(range(320, 609, 32))  # ten
    batch, spec = scenes(4), MultiScale(smallest=0.5, largest=2.0, every=10)
    seen = set()
    for step in range(0, 400, 5):
        found = changed(spec, at(batch, step=step, seed=7))
        side = found.images.shape[2]
        seen.add(side)
        assert found.images.shape[2:] == (side, side) == found.masks.shape[1:]  # type: ignore[union-attr]
        assert torch.allclose(found.boxes, batch.boxes * side / 64)  # type: ignore[operator,arg-type]
        if step % 10 == 5:
            assert side == changed(spec, at(batch, step=step - 5, seed=7)).images.shape[2]
    assert seen == {32, 64, 96, 128}


def test_j14_small_and_oblong_images_have_sizes_too() -> None:
    assert sizes(MultiScale(), 8) == [8, 12]
    assert sizes(MultiScale(smallest=1.0, largest=1.0), 31) == [31]
    found = changed(MultiScale(smallest=2.0, largest=2.0, multiple=32), plain(torch.rand(2, 3, 48, 32)))
    assert found.images.shape[2:] == (96, 64)


def test_l05_stages_come_in_order() -> None:
    batch, spec = scenes(4), ResolutionStages(shares=(1.0, 0.5, 0.25))
    detail = []
    for progress in (0.0, 0.3, 0.4, 0.6, 0.7, 0.99):
        found = changed(spec, at(batch, progress=progress))
        assert found.images.shape == batch.images.shape
        detail.append(found.images.diff(dim=3).abs().mean().item())
    assert equal(changed(spec, at(batch, progress=0.33)), batch)
    assert detail[0] == detail[1] > detail[2] == detail[3] > detail[4] == detail[5]


def test_resizing_keeps_flat_areas() -> None:
    found = resize(one_box((2, 2, 6, 6)), (16, 24))
    assert found.images[0, 0, 8, 12].item() == pytest.approx(1.0)
    assert found.boxes is not None and found.boxes[0, 0].tolist() == [6, 4, 18, 12]
    assert found.masks is not None and found.masks.float().mean().item() == pytest.approx(3 / 4)


NEUTRAL: list[Trick] = [
    Crop(padding=0.0),
    Flip(p=0.0),
    Rotation(degrees=0.0),
    ZoomOut(p=0.0),
    ZoomOut(largest=1.0),
    ResizedCrop(smallest=1.0, aspect=1.0),
    MultiScale(smallest=1.0, largest=1.0),
    ResolutionStages(shares=(1.0,)),
]


@pytest.mark.parametrize("spec", NEUTRAL)
def test_a_neutral_setting_changes_no_bit(spec: Trick) -> None:
    assert equal(changed(spec, scenes()), scenes())


@pytest.mark.parametrize("spec", [Crop(), Flip(), Rotation(), ResizedCrop(), ZoomOut(), IouCrop()])
def test_draws_come_from_the_owned_generator(spec: Trick) -> None:
    batch = scenes()
    assert equal(changed(spec, batch, 1), changed(spec, batch, 1))
    assert not equal(changed(spec, batch, 1), changed(spec, batch, 2))


@pytest.mark.parametrize("spec", [Crop(), Flip(p=1.0), Rotation(), ResizedCrop(), ZoomOut(p=1.0), IouCrop()])
def test_masks_and_boxes_still_tell_of_the_same_objects(spec: Trick) -> None:
    found = changed(spec, scenes(32))
    assert found.boxes is not None and found.classes is not None and found.instances is not None
    assert found.masks is not None
    for row in range(32):
        for place in (found.classes[row] >= 0).nonzero().flatten():
            mine = (found.instances[row] == place + 1).nonzero()
            if len(mine) == 0:
                continue
            left, top, right, bottom = found.boxes[row, place].tolist()
            assert mine[:, 1].min() >= left - 1 and mine[:, 1].max() <= right
            assert mine[:, 0].min() >= top - 1 and mine[:, 0].max() <= bottom
            labels = set(found.masks[row][found.instances[row] == place + 1].tolist()) - {IGNORE}
            assert labels <= {int(found.classes[row, place]) + 1}
