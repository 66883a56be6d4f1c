from dataclasses import replace

import pytest
import torch

from search_spaces.recipe import Color, PcaColor
from tests.trainers.tricks.batches import changed, equal, scenes
from trainers.tricks.batch import Batch

OFF = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


def _normalized(batch: Batch) -> Batch:
    mean, std = torch.tensor([0.4, 0.5, 0.3]), torch.tensor([0.2, 0.3, 0.25])
    images = (batch.images - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    return replace(batch, images=images, mean=mean, std=std)


def _muted(count: int = 200) -> Batch:
    """Noise far enough from black and white that nothing is cut."""
    generator = torch.Generator().manual_seed(0)
    return Batch(0.45 + 0.1 * torch.rand(count, 3, 6, 6, generator=generator))


def test_j10_zero_ranges_are_the_identity() -> None:
    assert equal(changed(Color(**OFF), scenes()), scenes())


def test_j10_brightness_is_a_factor_within_its_range() -> None:
    batch = _muted()
    ratio = changed(Color(**{**OFF, "brightness": 0.4}), batch).images / batch.images
    factor = ratio.mean((1, 2, 3))
    assert torch.allclose(ratio, factor.view(-1, 1, 1, 1).expand_as(ratio), atol=1e-5)
    assert 0.6 <= factor.min() < 0.65 and 1.35 < factor.max() <= 1.4


def test_j10_contrast_leads_to_the_mean_grey() -> None:
    batch = _muted()
    luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    level = (batch.images * luma).sum(1).mean((1, 2)).view(-1, 1, 1, 1)
    ratio = (changed(Color(**{**OFF, "contrast": 0.4}), batch).images - level) / (batch.images - level)
    factor = ratio.flatten(1).median(1).values
    assert 0.6 - 1e-3 <= factor.min() < 0.65 and 1.35 < factor.max() <= 1.4 + 1e-3


def test_j10_saturation_and_hue_keep_the_luma_of_every_pixel() -> None:
    batch = _muted()
    luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    found = changed(Color(**{**OFF, "saturation": 0.4, "hue": 0.1}), batch).images
    assert not torch.allclose(found, batch.images, atol=1e-2)
    # 0.001: the coefficients of the colour axes are given to three digits.
    assert torch.allclose((found * luma).sum(1), (batch.images * luma).sum(1), atol=1e-3)


def test_j10_a_third_of_the_circle_takes_red_to_green_or_blue() -> None:
    red = Batch(torch.tensor([0.55, 0.45, 0.45]).view(1, 3, 1, 1).expand(64, 3, 4, 4))
    strongest = changed(Color(**{**OFF, "hue": 0.5}), red).images[:, :, 0, 0].argmax(1)
    assert set(strongest.tolist()) == {0, 1, 2}


def test_colours_stay_in_the_range_of_pixels_and_boxes_where_they_are() -> None:
    batch = _normalized(scenes())
    assert batch.mean is not None and batch.std is not None
    for spec in (Color(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.3), PcaColor(sigma=0.5)):
        found = changed(spec, batch)
        pixels = found.images * batch.std.view(3, 1, 1) + batch.mean.view(3, 1, 1)
        assert pixels.min() >= -1e-6 and pixels.max() <= 1 + 1e-6
        assert found.boxes is batch.boxes and found.masks is batch.masks
        assert not torch.equal(found.images, batch.images)


def test_normalised_images_change_as_their_pixels_do() -> None:
    spec, batch = Color(hue=0.2), scenes()
    normalized = _normalized(batch)
    assert normalized.mean is not None and normalized.std is not None
    found = changed(spec, normalized).images * normalized.std.view(3, 1, 1) + normalized.mean.view(3, 1, 1)
    assert torch.allclose(found, changed(spec, batch).images, atol=1e-5)


def test_images_of_one_channel_have_brightness_and_contrast() -> None:
    batch = Batch(torch.rand(8, 1, 6, 6))
    assert not torch.equal(changed(Color(), batch).images, batch.images)
    assert torch.equal(changed(Color(**{**OFF, "brightness": 1e-9, "hue": 0.5}), batch).images, batch.images)


def test_j11_sigma_0_is_the_identity() -> None:
    assert equal(changed(PcaColor(sigma=0.0), scenes()), scenes())


def test_j11_the_shift_is_constant_in_space_and_along_the_components() -> None:
    batch = _muted(400)
    images = batch.images.clone()
    images[:, 2] = images[:, 0]  # red is blue, so that one component has no part in the pixels
    shift = changed(PcaColor(sigma=0.1), replace(batch, images=images)).images - images
    assert torch.allclose(shift, shift[:, :, :1, :1].expand_as(shift), atol=1e-6)
    # In the span of the components that are there.
    assert torch.allclose(shift[:, 0], shift[:, 2], atol=1e-6)
    assert shift.abs().max() > 1e-3
    # Along each channel a tenth of the pixels' own spread.
    assert (shift[:, 1, 0, 0].std() / images[:, 1].std()).item() == pytest.approx(0.1, rel=0.1)


def test_draws_come_from_the_owned_generator() -> None:
    for spec in (Color(), PcaColor()):
        assert equal(changed(spec, scenes(), 1), changed(spec, scenes(), 1))
        assert not equal(changed(spec, scenes(), 1), changed(spec, scenes(), 2))
