"""Pictures of predictions: PNGs of a few validation rows with what is true and what was predicted."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from trainers.data.base import ImageSet
from trainers.data.pictures import IGNORE, SegmentationSet
from trainers.data.splits import Part
from trainers.data.text import TextSet
from trainers.learners.images import ImageArrays
from trainers.learners.images import Pixels as Reader

BLACK, GREY, RIGHT, WRONG = (0, 0, 0), (128, 128, 128), (0, 120, 40), (190, 0, 0)
_LINE = 14  # pixels a line of text
_GAP = 6
_SIDE = 128  # pixels that a small image is enlarged to, at least
_IMAGES = 16
_ACROSS = 4
_PASSAGES = 4  # and images with masks
_READ, _SHOWN = 64, 40  # tokens before the first that is predicted, and tokens predicted
_LETTER = 8  # pixels a character

Pixels = NDArray[np.uint8]
Words = Sequence[tuple[str, tuple[int, int, int]]]
Predict = Callable[[Tensor], Tensor]


def chosen(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Returns up to `count` of the rows, evenly spread."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, count).astype(np.int64))]


def palette(classes: int) -> Pixels:
    """Returns a colour for each value of a mask, (256, 3): classes differ, the first is black, ignored is grey."""
    colours = np.zeros((256, 3), dtype=np.uint8)
    for value in range(1, classes):
        for bit in range(8):
            # The bits of the number, spread over the high bits of the three channels.
            colours[value] |= np.array([value >> (3 * bit + c) & 1 for c in range(3)], dtype=np.uint8) << (7 - bit)
    colours[IGNORE] = GREY
    return colours


def enlarged(image: Pixels) -> Image.Image:
    """Returns (C, H, W) pixels as an RGB image whose sides are whole multiples, so that small ones can be seen."""
    factor = max(1, -(-_SIDE // max(image.shape[1:])))
    rgb = np.broadcast_to(image, (3, *image.shape[1:])) if len(image) == 1 else image[:3]
    return Image.fromarray(np.ascontiguousarray(rgb.transpose(1, 2, 0).repeat(factor, 0).repeat(factor, 1)))


def sheet(rows: Sequence[Sequence[tuple[Image.Image, Words]]]) -> Image.Image:
    """Returns images in rows, with words below each.

    Args:
        rows: Image and (word, colour) pairs of each cell.
    """
    lines = max((len(words) for row in rows for _, words in row), default=0)
    width = max(image.width for row in rows for image, _ in row)
    height = max(image.height for row in rows for image, _ in row) + lines * _LINE
    across = max(len(row) for row in rows)
    canvas = Image.new("RGB", (across * (width + _GAP) + _GAP, len(rows) * (height + _GAP) + _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for y, row in enumerate(rows):
        for x, (image, words) in enumerate(row):
            left, top = _GAP + x * (width + _GAP), _GAP + y * (height + _GAP)
            canvas.paste(image, (left, top))
            for line, (word, colour) in enumerate(words):
                draw.text((left, top + image.height + line * _LINE), _plain(word), fill=colour)
    return canvas


def legend(names: Sequence[str], colours: Pixels, width: int) -> Image.Image:
    """Returns every name beside its colour, as many beside one another as fit.

    Args:
        names: Of the classes.
        colours: (K, 3) or more.
        width: In pixels.
    """
    cell = _LINE * 2 + _LETTER * max(map(len, names))
    across = max(1, (width - _GAP) // cell)
    canvas = Image.new("RGB", (width, -(-len(names) // across) * _LINE + _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for i, name in enumerate(names):
        left, top = _GAP + i % across * cell, i // across * _LINE
        draw.rectangle((left, top + 1, left + _LINE - 4, top + _LINE - 3), fill=tuple(colours[i].tolist()))
        draw.text((left + _LINE, top), _plain(name), fill=BLACK)
    return canvas


def below(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """Returns one image above another of the same width."""
    canvas = Image.new("RGB", (upper.width, upper.height + lower.height), "white")
    canvas.paste(upper, (0, 0))
    canvas.paste(lower, (0, upper.height))
    return canvas


def png(image: Image.Image) -> bytes:
    """Returns an image as a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@torch.inference_mode()
def classification(predict: Predict, data: ImageSet) -> bytes:
    """Returns validation images with their class and, in green or red, the class that was predicted.

    Args:
        predict: Returns (N, K) logits.
        data: The images, with the mean and deviation that the network was trained with.
    """
    rows = chosen(np.flatnonzero(data.parts == Part.VAL), _IMAGES)
    found = predict(_read(data, rows)).argmax(1).tolist()
    cells = []
    for row, guess in zip(rows.tolist(), found, strict=True):
        truth, colour = int(data.labels[row]), RIGHT if guess == data.labels[row] else WRONG
        words = ((data.classes[truth], BLACK), (data.classes[guess], colour))
        cells.append((enlarged(data.images[row]), words))
    return png(sheet([cells[i : i + _ACROSS] for i in range(0, len(cells), _ACROSS)]))


@torch.inference_mode()
def segmentation(predict: Predict, data: SegmentationSet) -> bytes:
    """Returns validation images, each beside its mask and what was predicted, and the colours of the classes.

    Args:
        predict: Returns (N, K, H, W) logits.
        data: Images and masks, with the mean and deviation that the network was trained with.
    """
    rows, colours = chosen(data.rows(Part.VAL), _PASSAGES), palette(len(data.classes))
    found = predict(_read(data, rows)).argmax(1).to(torch.uint8).numpy()
    lines = []
    for row, guess in zip(rows.tolist(), found, strict=True):
        truth, shown = data.masks[row], np.where(data.masks[row] == IGNORE, IGNORE, guess)
        right = (guess == truth)[truth != IGNORE]
        share = f"predicted, {right.mean():.0%} right" if right.size else "predicted"
        pictures = (data.images[row], colours[truth].transpose(2, 0, 1), colours[shown].transpose(2, 0, 1))
        names = ("image", "truth", share)
        lines.append([(enlarged(p), ((name, BLACK),)) for p, name in zip(pictures, names, strict=True)])
    upper = sheet(lines)
    return png(below(upper, legend(data.classes, colours, upper.width)))


@torch.inference_mode()
def language(network: Any, data: TextSet) -> bytes:
    """Returns passages of the validation part: in grey what was read, in black what follows, below what was expected.

    Each expected token is the likeliest one after all the true tokens before it.

    Args:
        network: Has `advance`.
        data: The text.
    """
    tokens = torch.from_numpy(data.part(Part.VAL).astype(np.int64))
    length = min(_READ + _SHOWN, len(tokens) - 1)
    read = max(1, length - _SHOWN)
    begins = np.unique(np.linspace(0, len(tokens) - 1 - length, _PASSAGES).astype(np.int64)).tolist()
    passages = torch.stack([tokens[begin : begin + length + 1] for begin in begins])
    expected = network.advance(passages[:, :-1])[0].argmax(2)
    gap = 1 if data.level == "word" else 0
    lines = []
    for truth, guess in zip(passages[:, 1:].tolist(), expected.tolist(), strict=True):
        shown = range(max(0, read - _SHOWN // 2), length)
        lines.append([_column(data.vocabulary, truth[i], None if i < read else guess[i], gap) for i in shown])
    width = max(sum(column[0] for column in line) for line in lines)
    canvas = Image.new("RGB", (width * _LETTER + 2 * _GAP, len(lines) * 3 * _LINE + 2 * _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        x = 0
        for size, words in line:
            for below, (word, colour) in enumerate(words):
                y = _GAP + (3 * number + below) * _LINE
                for place, letter in enumerate(_plain(word)):
                    draw.text((_GAP + (x + place) * _LETTER, y), letter, fill=colour)
            x += size
    return png(canvas)


def _column(vocabulary: Sequence[str], truth: int, guess: int | None, gap: int) -> tuple[int, Words]:
    """Letters across, and one token above what was expected in its place."""
    if guess is None:
        return len(vocabulary[truth]) + gap, ((vocabulary[truth], GREY),)
    said = vocabulary[guess].replace(" ", "_")  # a blank would look like no prediction
    words = ((vocabulary[truth], BLACK), (said, RIGHT if truth == guess else WRONG))
    return max(len(word) for word, _ in words) + gap, words


def _read(data: ImageArrays, rows: NDArray[np.int64]) -> Tensor:
    return Reader(data, rows, "cpu", channels_last=False)[torch.arange(len(rows))]


def _plain(text: str) -> str:
    """What the built-in font can draw; a line end becomes a tilde."""
    return "".join(c if " " <= c <= "~" else "~" if c == "\n" else "?" for c in text)
