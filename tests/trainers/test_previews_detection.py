import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tests.trainers.detectors import scenes
from trainers.data.splits import Part
from trainers.previews_detection import detection

DATA = scenes()
RED = (128, 0, 0)


def _picture(score: float) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    asked: list[NDArray[np.int64]] = []

    def read(rows: NDArray[np.int64]) -> Tensor:
        asked.append(rows)
        return torch.zeros(len(rows), 3, 32, 32)

    def find(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        box = torch.tensor([8.0, 8, 24, 16]).expand(len(images), 1, 4)
        return box, torch.full((len(images), 1), score), torch.zeros(len(images), 1, dtype=torch.long)

    with Image.open(io.BytesIO(detection(find, read, DATA))) as picture:
        return np.array(picture), asked[0]


def test_what_was_found_is_drawn_in_the_colour_of_its_class() -> None:
    pixels, rows = _picture(0.9)
    assert set(rows) <= set(DATA.rows(Part.VAL).tolist())
    # The first image is 8 times as large as it was and stands 6 pixels from the corner.
    edge = pixels[6 + 8 * 8, 6 + 8 * 8 : 6 + 24 * 8]
    assert (edge == RED).all()
    assert (pixels[6 + 8 * 8 + 40, 6 + 8 * 8 + 60] != RED).any()


def test_what_is_doubtful_is_not_drawn_but_objects_are() -> None:
    pixels, rows = _picture(0.1)
    left, top, right, _ = (DATA.boxes[rows[0], 0] * 8).astype(int).tolist()
    assert (pixels[6 + top, 6 + left : 6 + right] == 255).all()
    assert not (pixels[: 6 + 256, : 6 + 256] == RED).all(2).any()
