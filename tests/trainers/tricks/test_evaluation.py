import torch
from torch import nn

from search_spaces.recipe import MultiScaleTest
from trainers.tricks.evaluation import multi_scale, resized, views
from trainers.tricks.registry import implementation

IMAGES = torch.linspace(-1, 1, 2 * 3 * 12 * 16).reshape(2, 3, 12, 16).sin()


def _network(kernel: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Conv2d(3, 4, kernel, padding=kernel // 2).eval().requires_grad_(False)


def test_m05_scale_one_without_flip_is_a_single_prediction() -> None:
    network = _network(3)
    found = implementation(MultiScaleTest(scales=(1.0,), flip=False))(network, IMAGES)
    assert torch.equal(found, network(IMAGES))


def test_m05_a_symmetric_input_is_predicted_as_without_flip() -> None:
    # A network that treats left and right alike gives each mirror image the mirrored prediction.
    network = _network(1)
    symmetric = torch.cat([IMAGES, IMAGES.flip(3)], dim=3)
    found = multi_scale(MultiScaleTest(scales=(1.0,), flip=True), network, symmetric)
    assert torch.allclose(found, network(symmetric).log_softmax(1), atol=1e-6)
    uneven = multi_scale(MultiScaleTest(scales=(1.0,), flip=True), _network(3), symmetric)
    assert torch.allclose(uneven, uneven.flip(3), atol=1e-6)


def test_m05_probabilities_of_all_views_are_averaged() -> None:
    network = _network(3)
    found = multi_scale(MultiScaleTest(scales=(0.5, 1.0), flip=True), network, IMAGES).exp()
    expected = torch.zeros_like(found)
    for view in (IMAGES, resized(IMAGES, (6, 8))):
        plain, mirrored = network(view), network(view.flip(3)).flip(3)
        expected += sum(resized(logits, (12, 16)).softmax(1) for logits in (plain, mirrored)) / 4
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(2, 12, 16), atol=1e-5)


def test_m05_probabilities_of_whole_images_are_averaged_too() -> None:
    layer = _network(3)

    def network(images: torch.Tensor) -> torch.Tensor:
        # Not the mean, which a mirror image does not change.
        found: torch.Tensor = layer(images)[:, :, :, 0].amax(2)
        return found

    spec = MultiScaleTest(scales=(0.5, 1.0), flip=True)
    found = multi_scale(spec, network, IMAGES).exp()
    expected = sum(network(view).softmax(1) for view in (IMAGES, IMAGES.flip(3), *_half())) / 4
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.equal(multi_scale(MultiScaleTest(scales=(1.0,), flip=False), network, IMAGES), network(IMAGES))


def _half() -> tuple[torch.Tensor, torch.Tensor]:
    small = resized(IMAGES, (6, 8))
    return small, small.flip(3)


def test_views_have_the_sizes_of_the_scales() -> None:
    found = [(tuple(view.shape[2:]), flipped) for view, flipped in views(MultiScaleTest(), IMAGES)]
    assert found == [((9, 12), False), ((9, 12), True), ((12, 16), False), ((12, 16), True), ((15, 20), False)] + [
        ((15, 20), True)
    ]
