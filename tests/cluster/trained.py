"""Searches that train a small network on a folder of images, in this process."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cluster.search import Search
from search_spaces.template import template
from trainers.tasks.classification import Classifier

SPACE: dict[str, Any] = {
    "architecture": {"kind": "chain", "layers": [{"filters": 4}]},
    "recipe": {"batch_size": 8, "optimizer": {"kind": "sgd", "lr": {"float": [0.01, 0.1]}}},
}


def images(folder: Path, count: int = 30) -> str:
    """Writes a folder of dark and of bright images."""
    rng = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 160)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = level + rng.integers(0, 60, (8, 8)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i:03}.png")
    return str(folder)


def make(folder: Path, space: dict[str, Any] | None = None, **sections: Any) -> Search:
    """A search of two trials with one epoch each; the images must be there."""
    data = {"kind": "images", "path": str(folder / "images"), "size": 8, "channels": 1, "val": 0.2, "test": 0.2}
    given: dict[str, Any] = {
        "name": "small",
        "task": {"kind": "classification", "data": {**data, **sections.pop("data", {})}},
        "controller": "random",
        "budget": {"trials": 2, "epochs": 1},
        "objectives": [{"metric": "val/accuracy"}],
        "resources": {"concurrency": 1},
        "tracking": None,
        "storage": str(folder / "runs"),
    }
    return Search(template(space or SPACE, Classifier), **{**given, **sections})


def run(search: Search) -> Search:
    """Runs it in this process."""
    return search.run(executor="local", progress=False)
