"""Operators on boxes and maps in plain torch; a compiled one of torchvision is used where it can be imported."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def compiled() -> Any:
    """Returns `torchvision.ops`, or None when torchvision is missing or does not fit the installed torch."""
    try:
        from torchvision import ops
    except (ImportError, RuntimeError):
        return None
    return ops
