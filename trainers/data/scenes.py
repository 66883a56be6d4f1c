"""Generated scenes: shapes on textured ground, with exact masks and boxes, no download."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainers.data.base import Share
from trainers.data.pictures import PADDED, DetectionData, DetectionSet, SegmentationData, SegmentationSet
from trainers.data.splits import Part

SHAPES = ("disc", "square", "triangle", "ring", "cross")
_BLOCK = 64  # scenes drawn at once, from a generator of their own
_RADII = (0.07, 0.28)  # of the side
_WAVES = 3
_TILT = 0.4  # radians to either side
_LEANING = 0.6  # of the shapes
# The direction in RGB in which a shape's colour leans off the ground's.
_LEANS = np.array([(1, -1, -1), (-1, 1, -1), (-1, -1, 1), (1, 1, -1), (-1, 1, 1)])
_VISIBLE = 1 / 3
Floats = NDArray[np.float32]


class Scenes(SegmentationData, DetectionData):
    """Scenes of discs, squares, triangles, rings and crosses of many sizes and colours, tilted, over one another.

    Every scene has a ground of its own colour and waves, one to `objects` shapes with stripes of a contrasting colour
    (the later hides the earlier), uneven light and noise. Masks have the class `background` and one a shape. A box is
    the extent of what is visible of a shape: of its pixels in the mask, so that both agree exactly; a shape that
    shows less than a third of what lies within the image is marked difficult, one that shows nothing is no object.
    Scene i is a function of (`seed`, i) and the other fields but `scenes`. It is the same on all processors: pixels
    come of sums, products and roots alone, whose rounding is fixed; sines are taken in double precision.

    Attributes:
        scenes: Their number.
        size: Side in pixels.
        objects: Most shapes in a scene.
        noise: Mean standard deviation of the noise, as a share of white.
        seed: Of the generator.
    """

    kind: Literal["scenes"] = "scenes"
    val: Share = 0.15
    test: Share = 0.15
    scenes: Annotated[int, Field(ge=1)] = 600
    size: Annotated[int, Field(ge=16)] = 64
    objects: Annotated[int, Field(ge=1, le=32)] = 5
    noise: Annotated[float, Field(ge=0, le=0.5)] = 0.03
    seed: Annotated[int, Field(ge=0)] = 0

    def load_masks(self) -> SegmentationSet:
        """Draws the scenes with masks."""
        drawn = self._draw()
        parts = self.parts({Part.TRAIN: self.scenes})
        mean, std = self.measure(drawn.images, parts, "scenes")
        return SegmentationSet(
            images=drawn.images, masks=drawn.masks(), parts=parts, mean=mean, std=std, classes=("background", *SHAPES)
        )

    def load_boxes(self) -> DetectionSet:
        """Draws the scenes with boxes, and which object each pixel shows."""
        drawn = self._draw()
        parts = self.parts({Part.TRAIN: self.scenes})
        mean, std = self.measure(drawn.images, parts, "scenes")
        return DetectionSet(
            images=drawn.images,
            parts=parts,
            mean=mean,
            std=std,
            classes=SHAPES,
            boxes=drawn.boxes,
            labels=drawn.labels,
            difficult=drawn.difficult,
            crowd=np.zeros_like(drawn.difficult),
            instances=drawn.instances,
        )

    def _draw(self) -> Drawn:
        blocks = [
            _block(np.random.default_rng([self.seed, number]), self.size, self.objects, self.noise)
            for number in range(-(-self.scenes // _BLOCK))
        ]
        joined = (np.concatenate([getattr(block, item.name) for block in blocks]) for item in fields(Drawn))
        return Drawn(*(array[: self.scenes] for array in joined))


@dataclass(frozen=True)
class Drawn:
    """Scenes with all that is known of them, as in a `DetectionSet`."""

    images: NDArray[np.uint8]
    instances: NDArray[np.uint8]
    boxes: Floats
    labels: NDArray[np.int64]
    difficult: NDArray[np.bool_]

    def masks(self) -> NDArray[np.uint8]:
        """Returns the (N, H, W) classes: 0 for the ground, 1 + label for shapes."""
        count, height, width = self.instances.shape
        values = np.concatenate([np.full((count, 1), -1), self.labels], axis=1) + 1
        rows = self.instances.reshape(count, -1).astype(np.int64)
        return np.take_along_axis(values, rows, 1).astype(np.uint8).reshape(count, height, width)


def _block(rng: np.random.Generator, size: int, objects: int, noise: float) -> Drawn:
    """One block of scenes."""
    line = np.arange(size, dtype=np.float32) + np.float32(0.5)
    base, images = _ground(rng, line)
    counts = rng.integers(1, objects + 1, _BLOCK)
    shown = np.zeros((_BLOCK, size, size), dtype=np.uint8)
    labels = rng.integers(0, len(SHAPES), (_BLOCK, objects))
    areas = np.zeros((_BLOCK, objects), dtype=np.int64)
    for place in range(objects):
        radius = (size * _RADII[0] * (_RADII[1] / _RADII[0]) ** rng.random(_BLOCK)).astype(np.float32)
        u, v = _turned(rng, line)
        distance = _distances(labels[:, place], u, v, radius[:, None, None])
        distance[counts <= place] = size
        _paint(rng, images, base + _offset(rng, labels[:, place]), distance, u)
        inside = distance < 0
        shown[inside] = place + 1
        areas[:, place] = inside.sum((1, 2))
    _light(rng, images, line, noise)
    pixels = np.rint(np.clip(images, 0, 255)).astype(np.uint8)
    return Drawn(pixels, *_described(shown, labels, areas))


def _ground(rng: np.random.Generator, line: Floats) -> tuple[Floats, Floats]:
    """Base colours, (B, 3), and images of waves in these colours, (B, 3, S, S)."""
    base = rng.uniform(40, 200, (_BLOCK, 3)).astype(np.float32)
    tint = rng.uniform(-14, 14, (_BLOCK, _WAVES, 3)).astype(np.float32)
    waves, phases = rng.uniform(-24, 24, (2, _BLOCK, _WAVES, 1)), rng.uniform(0, 2 * np.pi, (_BLOCK, _WAVES, 1))
    x, y = waves[0] * line / len(line), waves[1] * line / len(line) + phases
    # sin(x + y), from sines of lines alone, in double precision so that rounding hides how a machine computes them.
    (sx, cx), (sy, cy) = ((np.sin(a).astype(np.float32), np.cos(a).astype(np.float32)) for a in (x, y))
    images = np.broadcast_to(base[:, :, None, None], (*base.shape, len(line), len(line))).copy()
    for k in range(_WAVES):
        wave = sx[:, k, None, :] * cy[:, k, :, None] + cx[:, k, None, :] * sy[:, k, :, None]
        images += tint[:, k, :, None, None] * wave[:, None]
    return base, images


def _turned(rng: np.random.Generator, line: Floats) -> tuple[Floats, Floats]:
    """Coordinates of every pixel about a random centre, turned by a random angle, (B, S, S) each."""
    x, y = rng.uniform(0, len(line), (2, _BLOCK, 1)).astype(np.float32)
    angle = rng.uniform(-_TILT, _TILT, (_BLOCK, 1, 1))
    sine, cosine = np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)
    dx, dy = (line - x)[:, None, :], (line - y)[:, :, None]
    return cosine * dx + sine * dy, cosine * dy - sine * dx


def _distances(labels: NDArray[np.int64], u: Floats, v: Floats, radius: Floats) -> Floats:
    """How far outside its scene's shape each pixel lies, in pixels; below 0 within, (B, S, S)."""
    distances = np.empty_like(u)
    for label, shape in enumerate(SHAPES):
        rows = np.flatnonzero(labels == label)
        distances[rows] = _distance(shape, u[rows], v[rows], radius[rows])
    return distances


def _distance(shape: str, u: Floats, v: Floats, radius: Floats) -> Any:
    if shape == "disc":
        return np.sqrt(u * u + v * v) - radius
    if shape == "ring":
        return np.abs(np.sqrt(u * u + v * v) - np.float32(0.72) * radius) - np.float32(0.28) * radius
    if shape == "triangle":
        slanted = np.abs(u) * np.float32(np.sqrt(0.75)) - v / 2
        return np.maximum(slanted, v) - np.float32(0.6) * radius
    wide, high = np.abs(u), np.abs(v)
    if shape == "square":
        return np.maximum(wide, high) - np.float32(0.85) * radius
    arm = np.float32(0.33) * radius
    return np.minimum(np.maximum(wide - radius, high - arm), np.maximum(wide - arm, high - radius))


def _offset(rng: np.random.Generator, labels: NDArray[np.int64]) -> Floats:
    """How far colours are off the ground's, (B, 3); most lean the way of their shape, which others tell alone."""
    signs = np.where(rng.random((_BLOCK, 1)) < _LEANING, _LEANS[labels], rng.choice([-1, 1], (_BLOCK, 3)))
    return (rng.uniform(50, 120, (_BLOCK, 3)) * signs).astype(np.float32)


def _paint(rng: np.random.Generator, images: Floats, colours: Floats, distance: Floats, u: Floats) -> None:
    """Draws a shape into each scene, with soft edges and stripes of its own."""
    colour = np.clip(colours, 0, 255)[:, :, None, None]
    phase = u / rng.uniform(3, 12, (_BLOCK, 1, 1)).astype(np.float32)
    stripes = np.abs(2 * (phase - np.floor(phase)) - 1) - np.float32(0.5)
    stripes *= rng.uniform(0, 40, (_BLOCK, 1, 1)).astype(np.float32)
    cover = np.clip(np.float32(0.5) - distance, 0, 1)[:, None]
    images += cover * (colour + stripes[:, None] - images)


def _light(rng: np.random.Generator, images: Floats, line: Floats, noise: float) -> None:
    """Lights every scene unevenly and adds noise."""
    across, down = rng.uniform(-0.4, 0.4, (2, _BLOCK, 1)).astype(np.float32)
    gain = rng.uniform(0.75, 1.1, (_BLOCK, 1, 1)).astype(np.float32)
    step = line / len(line) - np.float32(0.5)
    images *= (gain * (1 + (across * step)[:, None, :] + (down * step)[:, :, None]))[:, None]
    # The sum of two uniform numbers, less 1, has the variance 1/6.
    level = (rng.uniform(0.5, 1.5, (_BLOCK, 1, 1, 1)) * (noise * 255 * np.sqrt(6))).astype(np.float32)
    images += level * (rng.random(images.shape, np.float32) + rng.random(images.shape, np.float32) - 1)


def _described(
    shown: NDArray[np.uint8], labels: NDArray[np.int64], areas: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], Floats, NDArray[np.int64], NDArray[np.bool_]]:
    """Instances, boxes, labels and difficult of the visible objects, which come first in each row."""
    count, objects = labels.shape
    boxes = np.zeros((count, objects, 4), dtype=np.float32)
    visible = np.zeros((count, objects), dtype=np.int64)
    for place in range(objects):
        mine = shown == place + 1
        visible[:, place] = mine.sum((1, 2))
        for axis, sides in ((1, (0, 2)), (2, (1, 3))):
            found = mine.any(axis)
            boxes[:, place, sides[0]] = found.argmax(1)
            boxes[:, place, sides[1]] = found.shape[1] - found[:, ::-1].argmax(1)
    hidden = visible == 0
    boxes[hidden] = 0
    labels = np.where(hidden, PADDED, labels)
    order = np.argsort(hidden, axis=1, kind="stable")
    numbers = np.concatenate([np.zeros((count, 1), np.int64), np.argsort(order, axis=1) + 1], axis=1)
    instances = np.take_along_axis(numbers, shown.reshape(count, -1).astype(np.int64), 1)
    difficult = ~hidden & (visible < areas * _VISIBLE)
    return (
        instances.astype(np.uint8).reshape(shown.shape),
        np.take_along_axis(boxes, order[:, :, None], 1),
        np.take_along_axis(labels, order, 1),
        np.take_along_axis(difficult, order, 1),
    )
