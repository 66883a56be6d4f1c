"""Claim: two cores decode and augment at least three times as many CIFAR-10 images a second as a plain DataLoader.

Both read the same JPEG bytes and change images the same way: pad by four and crop, mirror, brightness, contrast and
saturation by up to 40%, a cutout of 16 pixels, normalise, batches of 128. Here a node decodes each image once, in
threads, and whole batches are changed at once on one thread of torch. There a PyTorch `Dataset` decodes and changes
image by image with PIL and numpy, in two worker processes of a `DataLoader`, which live through all epochs. Counted is
all from bytes to the last batch, the decoding and the start of the workers included, and so the ratio grows with the
epochs: that of one epoch alone (`times_first_epoch`) is decoding once on either side and stands beside that of
`--epochs` (`times`), as does that of images a second of processor time, which a busy machine disturbs less. Medians of
three rounds.

Bound: three times as many images a second, over eight epochs (the length of the example searches); for a single epoch
none is claimed.

    python -m benchmarks.input_path [--images 10000] [--epochs 8] [--data FILE]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch.utils.data import DataLoader, Dataset

from benchmarks.record import keep
from search_spaces.recipe import ClassificationRecipe, Color, Crop, Cutout, Flip
from trainers.data.base import ImageSet
from trainers.data.decode import decode_rows, read_image
from trainers.determinism import Generators
from trainers.learners.classification import Images
from trainers.tricks.augment import Changes
from trainers.tricks.batch import Batch
from trainers.tricks.sampling import make_sampler

DATA = Path(__file__).parents[2] / "shared" / "data" / "cifar10-train.parquet"
MEAN, STD = np.array([125.3, 123.0, 113.9], np.float32), np.array([63.0, 62.1, 66.7], np.float32)
BATCH, ROUNDS, BOUND, CORES = 128, 3, 3.0, 2
RECIPE = ClassificationRecipe(
    batch_size=BATCH, crop=Crop(padding=0.125), flip=Flip(), color=Color(), cutout=Cutout(length=0.5)
)


class OneByOne(Dataset[tuple[torch.Tensor, int]]):
    """Decodes and changes image by image."""

    def __init__(self, encoded: list[bytes], labels: list[int]) -> None:
        self.encoded, self.labels = encoded, labels

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        """Returns one image, (3, 32, 32), and its label."""
        image = Image.open(io.BytesIO(self.encoded[row])).convert("RGB")
        y, x = torch.randint(0, 9, (2,)).tolist()
        image = ImageOps.expand(image, 4, fill=(125, 123, 114)).crop((x, y, x + 32, y + 32))
        flip, *factors = torch.rand(4).tolist()
        if flip < 0.5:
            image = ImageOps.mirror(image)
        for enhance, factor in zip(
            (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), factors, strict=True
        ):
            image = enhance(image).enhance(0.6 + 0.8 * factor)
        pixels = (np.asarray(image, dtype=np.float32) - MEAN) / STD
        top, left = (torch.randint(0, 32, (2,)) - 8).tolist()
        pixels[max(0, top) : top + 16, max(0, left) : left + 16] = 0
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy()), self.labels[row]


def plain(encoded: list[bytes], labels: list[int], epochs: int) -> None:
    """Goes through all images with a `DataLoader`."""
    data = OneByOne(encoded, labels)
    loader = DataLoader(data, BATCH, shuffle=True, drop_last=True, num_workers=CORES, persistent_workers=True)
    for _ in range(epochs):
        for images, _ in loader:
            assert images.shape == (BATCH, 3, 32, 32)


def ours(encoded: list[bytes], labels: list[int], epochs: int) -> None:
    """Decodes once, then goes through all images in batches."""
    (images,) = decode_rows(len(encoded), lambda row: (read_image(encoded[row], str(row)),), str, skip=False).arrays
    parts = np.zeros(len(images), np.uint8)
    data = ImageSet(images, np.array(labels), parts, MEAN, STD, tuple("abcdefghij"))
    source = Images(data, np.arange(len(images)), "cpu", channels_last=True)
    sampler = make_sampler(RECIPE, lambda: _never(), len(images), seed=0)
    changes = Changes(RECIPE, sampler, MEAN, STD)
    with Generators(0):
        for _ in range(epochs * sampler.batches_per_epoch):
            rows = sampler.next()
            batch = changes(Batch(source[rows], source.labels[rows]))
            assert batch.images.shape == (BATCH, 3, 32, 32)


def _never() -> Any:
    raise AssertionError


def rates_of(run: Any, encoded: list[bytes], labels: list[int], epochs: int) -> tuple[float, float]:
    """Images a second, and a second of processor time, that of worker processes included."""
    began, worked = time.perf_counter(), sum(os.times()[:4])
    run(encoded, labels, epochs)
    count = epochs * (len(encoded) // BATCH) * BATCH
    return count / (time.perf_counter() - began), count / (sum(os.times()[:4]) - worked)


def main() -> int:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--data", default=str(DATA))
    options = parser.parse_args()
    table = pq.read_table(options.data, columns=["image", "label"]).slice(0, options.images)
    encoded, labels = table["image"].to_pylist(), table["label"].to_pylist()
    torch.set_num_threads(1)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        for epochs in (1, options.epochs):
            for run in (ours, plain):
                found.setdefault(f"{run.__name__}_{epochs}", []).append(rates_of(run, encoded, labels, epochs))
    wall, worked = (
        {name: round(statistics.median(value[i] for value in values)) for name, values in found.items()} for i in (0, 1)
    )

    def times(rates: dict[str, int], epochs: int) -> float:
        return round(rates[f"ours_{epochs}"] / rates[f"plain_{epochs}"], 2)

    figures = {
        "images_per_second": wall,
        "images_per_processor_second": worked,
        "times": times(wall, options.epochs),
        "times_first_epoch": times(wall, 1),
        "times_processor": times(worked, options.epochs),
    }
    print(json.dumps(figures))
    kept = {**figures, "bound": BOUND, "images": len(encoded), "epochs": options.epochs, "cores": CORES}
    keep("input_path", kept)
    return 0 if figures["times"] >= BOUND else 1  # type: ignore[operator]


if __name__ == "__main__":
    sys.exit(main())
