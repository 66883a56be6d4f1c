from typing import Any

import pytest
import torch
from torch import Tensor, nn

from search_spaces.networks.detection import Answer
from search_spaces.operators.boxes import encode
from search_spaces.recipe import DetectionRecipe, MultiScaleTest, SoftNms
from tests.trainers.detectors import ONE, TWO, model
from trainers.determinism import Generators
from trainers.learners.finder import Finder, class_scores
from trainers.tasks.detection import DetectionModel

BOX = torch.tensor([6.0, 4, 20, 12])


class Shown(nn.Module):
    """Stands for a network that finds the bright rectangle of an image, wherever it is, and nothing else."""

    def __init__(self, spec: DetectionModel) -> None:
        super().__init__()
        self.spec = spec
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> dict[str, Any]:
        self.seen.append(tuple(images.shape[2:]))
        anchors = self.spec.architecture.anchor_boxes(images.shape[2:])  # type: ignore[attr-defined]
        logits, deltas = torch.full((len(images), len(anchors), 5), -9.0), torch.zeros(len(images), len(anchors), 4)
        for image, pixels in enumerate(images[:, 0] > 0.5):
            rows, columns = pixels.any(1).nonzero(), pixels.any(0).nonzero()
            box = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], 1).float()[0]
            nearest = ((anchors - box).abs().sum(1)).argmin()
            logits[image, nearest, 3] = 2.0
            deltas[image, nearest] = encode(box, anchors[nearest])
        return {"out": (logits, deltas), "starts": anchors}

    def answer(self, found: dict[str, Any]) -> Answer:
        return Answer(*found["out"], found["starts"])


def _image(box: Tensor = BOX) -> Tensor:
    images = torch.zeros(1, 3, 32, 32)
    left, top, right, bottom = box.int().tolist()
    images[:, :, top:bottom, left:right] = 1
    return images


def _found(prediction: MultiScaleTest | None, images: Tensor) -> tuple[Finder, Tensor, Tensor, Tensor]:
    spec = model(ONE, prediction=prediction)
    finder = Finder(spec, Shown(spec))
    return finder, *finder(images)


def test_the_best_detection_is_decoded() -> None:
    finder, boxes, scores, classes = _found(None, _image())
    assert boxes[0, 0].tolist() == pytest.approx(BOX.tolist(), abs=1e-4)
    assert scores[0, 0].item() == pytest.approx(torch.tensor(2.0).sigmoid().item())
    assert classes[0, 0] == 3
    # The rest scores less than the least.
    assert (scores[0, 1:] == 0).all()
    assert finder.network.seen == [(32, 32)] and not finder.network.training


def test_m05_one_scale_without_mirror_images_is_the_plain_prediction() -> None:
    plain = _found(None, _image())[1:]
    one = _found(MultiScaleTest(scales=(1.0,), flip=False), _image())[1:]
    assert all(torch.equal(a, b) for a, b in zip(plain, one, strict=True))


def test_m05_the_mirror_image_of_a_symmetric_one_changes_nothing() -> None:
    images = _image(torch.tensor([8.0, 4, 24, 12]))
    plain, both = _found(None, images), _found(MultiScaleTest(scales=(1.0,), flip=True), images)
    assert all(torch.equal(a[:, :1], b[:, :1]) for a, b in zip(plain[1:], both[1:], strict=True))
    assert (both[2][0, 1:] == 0).all()


def test_m05_boxes_of_all_views_come_back_to_the_image() -> None:
    finder, boxes, scores, _ = _found(MultiScaleTest(scales=(0.5, 1.0, 2.0), flip=True), _image())
    assert finder.network.seen == [(16, 16)] * 2 + [(32, 32)] * 2 + [(64, 64)] * 2
    # All six agree on one object.
    assert boxes[0, 0].tolist() == pytest.approx(BOX.tolist(), abs=0.01)
    assert (scores[0] > 0).sum() == 1


def test_what_is_known_of_an_image_is_not_asked_for_again() -> None:
    spec = model(ONE, prediction=MultiScaleTest(scales=(1.0, 0.5), flip=False))
    finder = Finder(spec, Shown(spec))
    known = finder.outputs(_image())
    finder(_image(), known)
    assert finder.network.seen == [(32, 32), (16, 16)]


@pytest.mark.parametrize("head", [ONE, TWO], ids=["one_stage", "two_stage"])
def test_every_layer_is_in_eval_mode(head: Any) -> None:
    spec = model(head)
    with Generators(0):
        network = spec.architecture.build((3, 32, 32), 5)
        images = torch.randn(2, 3, 32, 32)
        finder = Finder(spec, network)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        boxes, scores, classes = finder(images)
        plain = network.eval()(images)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    known = finder.outputs(images)
    if head is ONE:
        assert all(torch.equal(a, b) for a, b in zip(plain, known["out"], strict=True))
    else:
        assert torch.equal(plain[0], known["proposals"])
    assert boxes.shape == (*scores.shape, 4) and scores.shape == classes.shape
    assert scores.shape[1] <= 100 and (scores[:, 1:] <= scores[:, :-1]).all()
    assert 0 <= boxes.min() and boxes.max() <= 32
    assert set(classes.unique().tolist()) <= set(range(5))


@pytest.mark.parametrize("head", [ONE, TWO], ids=["one_stage", "two_stage"])
def test_a_network_that_diverged_finds_nothing(head: Any) -> None:
    spec = model(head, suppression=SoftNms())
    with Generators(0):
        network = spec.architecture.build((3, 32, 32), 5)
    for weights in network.parameters():
        weights.data.fill_(float("nan"))
    assert not Finder(spec, network)(torch.zeros(1, 3, 32, 32))[1].any()
    assert isinstance(spec.recipe, DetectionRecipe)


def test_f04_an_object_and_its_class_are_both_needed() -> None:
    logits = torch.tensor([[[2.0, -1, 3], [-4, 0, 5]]])
    expected = logits[..., :1].sigmoid() * logits[..., 1:].sigmoid()
    assert torch.equal(class_scores(logits, "objectness"), expected)
    assert torch.equal(class_scores(logits, "sigmoid"), logits.sigmoid())
    # The background, which is the last, finds nothing.
    assert torch.equal(class_scores(logits, "softmax"), logits.softmax(-1)[..., :2])
