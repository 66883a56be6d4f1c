"""Pictures of detections: a PNG of a few validation images with their objects and what was found."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from trainers.data.pictures import PADDED, DetectionSet
from trainers.data.splits import Part
from trainers.previews import below, chosen, enlarged, legend, palette, png, sheet

if TYPE_CHECKING:
    from torch import Tensor

_IMAGES = 8
_ACROSS = 4
_SIDE = 256  # pixels that an image is enlarged to, at least
_LEAST = 0.3  # score of what is drawn
_WHITE = (255, 255, 255)
Find = Callable[["Tensor"], "tuple[Tensor, Tensor, Tensor]"]
Colour = tuple[int, ...]


@torch.inference_mode()
def detection(find: Find, read: Callable[[NDArray[np.int64]], Tensor], data: DetectionSet) -> bytes:
    """Returns validation images with their objects in thin white, and with what was found in the class's colour.

    Found objects are drawn from a score of 0.3 on, which stands beside them in percent.

    Args:
        find: Images -> boxes (N, n, 4) in pixels, scores and classes (N, n).
        read: Rows of the set -> (N, C, H, W) normalised images.
        data: Images and boxes.
    """
    rows, colours = chosen(data.rows(Part.VAL), _IMAGES), palette(len(data.classes) + 1)[1:]
    boxes, scores, classes = (part.cpu().numpy() for part in find(read(rows)))
    cells = []
    for i, row in enumerate(rows.tolist()):
        image = enlarged(data.images[row])
        factor = -(-_SIDE // max(image.size))
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
        draw, scale = ImageDraw.Draw(image), image.width / data.images.shape[3]
        for box in data.boxes[row][data.labels[row] != PADDED]:
            draw.rectangle(_corners(box, scale), outline=_WHITE)
        for place in np.flatnonzero(scores[i] >= _LEAST)[::-1]:
            colour: Colour = tuple(colours[classes[i, place]].tolist())
            left, top, right, bottom = _corners(boxes[i, place], scale)
            draw.rectangle((left, top, right, bottom), outline=colour, width=2)
            words, corner = f"{scores[i, place]:.0%}", (left + 3, top + 2)
            draw.rectangle(draw.textbbox(corner, words), fill=colour)
            draw.text(corner, words, fill=_WHITE)
        cells.append((image, ()))
    upper = sheet([cells[i : i + _ACROSS] for i in range(0, len(cells), _ACROSS)])
    return png(below(upper, legend(data.classes, colours, upper.width)))


def _corners(box: NDArray[np.float32], scale: float) -> tuple[float, float, float, float]:
    left, top, right, bottom = (box * scale).tolist()
    return left, top, max(left, right - 1), max(top, bottom - 1)
