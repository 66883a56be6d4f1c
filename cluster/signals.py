"""Ctrl-C and SIGTERM as a request: the first is noted, a second Ctrl-C or SIGTERM leaves at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

NUMBERS = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """Handlers of both signals, in force inside `with`; in a thread that is not the main one, none are.

    Attributes:
        received: Whether one has come.
    """

    def __init__(self) -> None:
        self.received = False
        self._call: Callable[[], object] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        self.install()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def install(self) -> None:
        """Put our handlers in place, again where a library has put its own."""
        if threading.current_thread() is threading.main_thread():
            for number in NUMBERS:
                before = signal.signal(number, self._handle)
                self._before.setdefault(number, before)

    def on_request(self, call: Callable[[], object]) -> None:
        """Have `call` made when a signal comes, or now when one has come.

        Args:
            call: Runs inside a signal handler: sets a flag, and no more.
        """
        self._call = call
        if self.received:
            call()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            raise KeyboardInterrupt
        self.received = True
        if self._call is not None:
            self._call()
