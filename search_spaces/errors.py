"""The one error that a wrong spec, domain or candidate raises: where, which rule, what it got, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

_MISSING: Any = object()
_LONGEST = 80


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name that is closest to `name`, one that it begins first, or None when none is close."""
    names = list(known)
    begun = [each for each in names if len(name) > 2 and each.startswith(name)]
    close = [min(begun, key=len)] if begun else difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return close[0] if close else None


def join(*parts: object) -> str:
    """Joins path parts with `/`, leaving out empty ones."""
    return "/".join(str(part) for part in parts if str(part) != "")


class SpecError(ValueError):
    """A value that breaks a rule; its text is one line: `PATH: rule; got VALUE; allowed ...`.

    Args:
        rule: What must hold.
        got: The offending value, left out of the text when not given.
        allowed: What would have been accepted, and so the way out.
        path: Where, as field names, indexes and labels joined by `/`.
    """

    def __init__(self, rule: str, got: Any = _MISSING, allowed: str | None = None, path: str = "") -> None:
        self.rule = rule
        self.got = got
        self.has_got = got is not _MISSING
        self.allowed = allowed
        self.path = path
        super().__init__(self._text())

    def _text(self) -> str:
        text = f"{self.path}: {self.rule}" if self.path else self.rule
        if self.has_got:
            shown = repr(self.got)
            if len(shown) > _LONGEST:  # the end of a path says most
                shown = f"{shown[: _LONGEST // 2 - 3]}...{shown[-_LONGEST // 2 :]}"
            text += f"; got {shown}"
        if self.allowed:
            text += f"; allowed {self.allowed}"
        return " ".join(text.split())

    def at(self, *parts: object) -> SpecError:
        """Returns the same error with `parts` put before its path."""
        return SpecError(self.rule, self.got, self.allowed, join(*parts, self.path))


def unknown(what: str, name: object, known: Iterable[str], path: str = "") -> SpecError:
    """Returns the error for a name that is not known, with the nearest known one."""
    names = sorted(known)
    close = nearest(str(name), names)
    rule = f"unknown {what}" + (f", did you mean {close!r}?" if close else "")
    return SpecError(rule, name, listed(names), path)


def listed(names: Sequence[str], most: int = 60) -> str:
    """Returns names as part of a line, the first of them where there are more than `most`."""
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more or "none"
