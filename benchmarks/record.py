"""Where a benchmark keeps its figures: `results/NAME.json`, with the date and the machine that they are of."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def keep(name: str, figures: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Writes figures, and returns their file.

    Args:
        name: Of the benchmark.
        figures: What it found, and with which settings.
        folder: Where to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    date = datetime.now(UTC).isoformat(timespec="seconds")
    file.write_text(json.dumps({"date": date, "machine": machine(), **figures}, indent=2) + "\n", encoding="utf-8")
    return file


def machine() -> dict[str, Any]:
    """Returns what the figures depend on: processor, cores, and versions of Python and torch."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": processor(), "cores": cores, "python": platform.python_version(), "torch": version("torch")}


def processor(file: str = "/proc/cpuinfo") -> str:
    """Returns the name of the processor.

    Args:
        file: Where Linux says it.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
