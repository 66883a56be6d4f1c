"""Average precision of detections, as COCO defines it."""

from __future__ import annotations

import contextlib
import io
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

from trainers.data.pictures import PADDED

MOST = 100
"""Detections an image that count, the best of each class."""
_Table = defaultdict[tuple[int, int], list[dict[str, Any]]]
_IN_NAMES = re.compile(r"[^\w.\- ]")  # what names of metrics cannot hold


@dataclass(frozen=True)
class Detections:
    """What was found in N images, padded to n places each.

    Args:
        boxes: (N, n, 4), left, top, right and bottom edge in pixels.
        scores: (N, n), 0 where there is none.
        classes: (N, n) int64.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


@dataclass(frozen=True)
class Truth:
    """The objects of N images, as in a `DetectionSet`.

    Args:
        boxes: (N, M, 4) in pixels.
        labels: (N, M) int64, `PADDED` where there is none.
        difficult: (N, M) bool: whether it is found or not does not count.
        crowd: (N, M) bool: likewise, and detections may lie anywhere in it.
    """

    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    crowd: NDArray[np.bool_]


def average_precision(found: Detections, truth: Truth, classes: Sequence[str]) -> dict[str, float]:
    """Returns `ap` (mean over IoU thresholds .5 to .95), `ap50`, `ap75`, and `ap50/NAME` of each class.

    A class without objects that count has no precision and is left out; where no class has one, all means are 0.

    Args:
        found: Detections of some images.
        truth: The objects of the same images.
        classes: Their names, in the order of the labels.

    Paper: Lin et al., Microsoft COCO, 2014, 1405.0312, and its evaluation server: 101 recalls, 100 detections.
    """
    evaluation = _Evaluation(found, truth, len(classes))
    # Precision a threshold, recall and class; -1 where there is nothing to find.
    precision = evaluation.precision()
    of_class = [precision[:, :, label] for label in range(len(classes))]
    figures = {"ap": _mean(precision), "ap50": _mean(precision[0]), "ap75": _mean(precision[5])}
    named = zip(classes, of_class, strict=True)
    return figures | {
        f"ap50/{_IN_NAMES.sub('_', name)}": _mean(values[0]) for name, values in named if (values > -1).any()
    }


def _mean(precision: NDArray[np.float64]) -> float:
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else 0.0


class _Evaluation(COCOeval):  # type: ignore[misc]
    """COCO's evaluation of arrays, without files; objects of every size together."""

    def __init__(self, found: Detections, truth: Truth, classes: int) -> None:
        super().__init__(iouType="bbox")
        self.found, self.truth = found, truth
        self.params.imgIds = list(range(len(found.boxes)))
        self.params.catIds = list(range(classes))
        self.params.maxDets = [MOST]
        self.params.areaRng, self.params.areaRngLbl = [[0.0, float("inf")]], ["all"]

    def precision(self) -> NDArray[np.float64]:
        """Returns the precision at each of 10 thresholds, 101 recalls and K classes."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.evaluate()
            self.accumulate()
        found: NDArray[np.float64] = self.eval["precision"][:, :, :, 0, 0]
        return found

    def _prepare(self) -> None:
        """Fills the tables that the base reads its files into."""
        gts: _Table = defaultdict(list)
        dts: _Table = defaultdict(list)
        for image, place in np.argwhere(self.truth.labels != PADDED).tolist():
            box, label = self.truth.boxes[image, place], int(self.truth.labels[image, place])
            crowd = bool(self.truth.crowd[image, place])
            flags = {"iscrowd": int(crowd), "ignore": int(crowd or self.truth.difficult[image, place])}
            gts[image, label].append(_described(box, 1 + len(gts[image, label])) | flags)
        for image, place in np.argwhere(self.found.scores > 0).tolist():
            box, label = self.found.boxes[image, place], int(self.found.classes[image, place])
            score = {"score": float(self.found.scores[image, place])}
            dts[image, label].append(_described(box, 1 + len(dts[image, label])) | score)
        self._gts, self._dts = gts, dts


def _described(box: NDArray[np.float32], number: int) -> dict[str, Any]:
    left, top, right, bottom = box.astype(np.float64).tolist()
    sides = (right - left, bottom - top)
    # Numbers start at 1, as 0 stands for no match.
    return {"id": number, "bbox": [left, top, *sides], "area": sides[0] * sides[1]}
