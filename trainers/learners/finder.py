"""From a detector's outputs to detections: decoding, several views of an image, suppression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from search_spaces.architectures.detector import Detector
from search_spaces.blocks.detection import Scores
from search_spaces.operators.boxes import clip, decode
from search_spaces.recipe import MultiScaleTest
from trainers.metrics_detection import MOST
from trainers.tricks.evaluation import views
from trainers.tricks.registry import implementation

if TYPE_CHECKING:
    from trainers.tasks.detection import DetectionModel

_CANDIDATES = 300  # of each view, before suppression
_KEPT = 600  # of all views
_LEAST = 1e-3  # score
Found = tuple[Tensor, Tensor, Tensor]


class Finder:
    """Finds objects with a network, as a recipe says.

    Args:
        spec: A `Detector` and its recipe.
        network: Built by it.
    """

    def __init__(self, spec: DetectionModel, network: Any) -> None:
        assert isinstance(spec.architecture, Detector)
        self.network = network
        self._reading = spec.architecture.head.readings()[-1]
        self._suppress = implementation(spec.recipe.suppression)
        self._test = spec.recipe.prediction

    def outputs(self, images: Tensor) -> dict[str, Any]:
        """Returns all that the network returns in train mode, but with every layer of it in eval mode."""
        self.network.eval()
        self.network.training = True
        try:
            found: dict[str, Any] = self.network(images)
        finally:
            self.network.training = False
        return found

    @torch.inference_mode()
    def __call__(self, images: Tensor, known: dict[str, Any] | None = None) -> Found:
        """Returns boxes (N, n, 4) in pixels, scores and classes (N, n), the best first; n at most 100, 0 pads scores.

        Args:
            images: (N, C, H, W), normalised.
            known: What `outputs` returned for them, if it was called.
        """
        boxes, scores, classes = (torch.cat(parts, 1) for parts in zip(*self._seen(images, known), strict=True))
        if scores.shape[1] > _KEPT:
            boxes, scores, classes = _best(boxes, scores, classes, _KEPT)
        boxes, scores = self._suppress(boxes, scores, classes)
        return _best(boxes, scores, classes, MOST)

    def _seen(self, images: Tensor, known: dict[str, Any] | None) -> Iterator[Found]:
        """The candidates of each view, in pixels of the images."""
        height, width = images.shape[2:]
        seen = views(self._test, images) if isinstance(self._test, MultiScaleTest) else ((images, False),)
        for view, flipped in seen:
            size = (view.shape[2], view.shape[3])
            found = known if view is images and known is not None else self.outputs(view)
            boxes, scores, classes = self._candidates(found, size)
            if flipped:
                left, top, right, bottom = boxes.unbind(-1)
                boxes = torch.stack([size[1] - right, top, size[1] - left, bottom], -1)
            if size != (height, width):
                boxes = boxes * boxes.new_tensor([width / size[1], height / size[0]] * 2)
            yield boxes, scores, classes

    def _candidates(self, found: dict[str, Any], size: tuple[int, int]) -> Found:
        """The best boxes of one view, each for its best classes."""
        logits, deltas, starts = self.network.answer(found)
        scores = class_scores(logits, self._reading.scores)
        starts = starts.expand(len(logits), -1, -1)
        count = scores.shape[-1]
        # What diverged finds nothing.
        best, places = scores.nan_to_num().flatten(1).topk(min(_CANDIDATES, scores[0].numel()), dim=1)
        which = (places // count).unsqueeze(-1).expand(-1, -1, 4)
        boxes = decode(deltas.gather(1, which), starts.gather(1, which), self._reading.weights)
        return clip(boxes, size).nan_to_num(), best * (best >= _LEAST), places % count


def class_scores(logits: Tensor, scores: Scores) -> Tensor:
    """Returns the scores (N, A, K) of the classes, in [0, 1].

    Args:
        logits: (N, A, L).
        scores: How they are read, see `search_spaces.blocks.detection.Reading`.
    """
    logits = logits.float()
    if scores == "softmax":
        return logits.softmax(-1)[..., :-1]
    if scores == "objectness":
        return logits[..., :1].sigmoid() * logits[..., 1:].sigmoid()
    return logits.sigmoid()


def _best(boxes: Tensor, scores: Tensor, classes: Tensor, count: int) -> Found:
    kept, places = scores.topk(min(count, scores.shape[1]), dim=1)
    return boxes.gather(1, places.unsqueeze(-1).expand(-1, -1, 4)), kept, classes.gather(1, places)
