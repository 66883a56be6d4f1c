"""Text for language models, as characters or words."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainers.data.base import Data, DataError, fingerprint
from trainers.data.splits import Part

UNKNOWN = "<unk>"
_WORD = re.compile(r"\w+|[^\w\s]|\n")
_SHORTEST = 2  # tokens: one to read and one to predict


@dataclass(frozen=True)
class TextSet:
    """Text as numbers, which an object store shares without copies.

    Args:
        tokens: (T,) int32, indexes of `vocabulary`; train, val and test stand one after the other.
        bounds: Where parts begin, and T: part p is `tokens[bounds[p]:bounds[p + 1]]`.
        characters: Characters of each part, for bits per character.
        vocabulary: Characters or words.
        level: What a token is.
    """

    tokens: NDArray[np.int32]
    bounds: tuple[int, int, int, int]
    characters: tuple[int, int, int]
    vocabulary: tuple[str, ...]
    level: Literal["character", "word"]

    @property
    def parts(self) -> NDArray[np.uint8]:
        """(T,) values of `Part`."""
        return np.repeat(np.array(list(Part), dtype=np.uint8), np.diff(self.bounds))

    def part(self, part: Part) -> NDArray[np.int32]:
        """Returns the tokens of one part, not copied."""
        return self.tokens[self.bounds[part] : self.bounds[part + 1]]

    def text(self, tokens: NDArray[np.integer]) -> str:
        """Returns what these tokens say; words are joined by spaces."""
        return ("" if self.level == "character" else " ").join(self.vocabulary[token] for token in tokens.tolist())

    def fingerprint(self) -> str:
        """Returns a hash of everything."""
        return fingerprint((self.bounds, self.characters, self.vocabulary, self.level), (), (self.tokens,))


class TextData(Data):
    """Data that are a text."""

    @abstractmethod
    def load(self) -> TextSet:
        """Reads the text, once.

        Raises:
            DataError: It is missing or cannot be used.
        """


class Text(TextData):
    r"""A text file in UTF-8, or without `path` Python's own language reference, as the standard library holds it.

    The first characters are the training part, then come `val` and `test`, in shares of the characters: scattered
    rows as in other data would put the words before and after each tested one into the training part. `split_seed` is
    not used. The vocabulary is that of the training part: all its characters, or its words, punctuation marks and line
    ends (`\w+`, one other character, or a newline) that occur at least `min_count` times, at most `words` of them, the
    most frequent first. Others are `<unk>`, which characters have only where a later part needs it.

    The reference (`pydoc_data.topics`, 0.37 to 0.40 million characters in Python 3.11 and 3.12) says many paragraphs
    under several topics; each is kept once, so that no tested paragraph was trained. It differs from one Python
    release to the next, and so does the fingerprint.

    Attributes:
        path: The file; None: the language reference.
        level: What is predicted one after the other.
        min_count: Times that a word must occur in the training part.
        words: Size of the vocabulary of words, `<unk>` included.
        limit: Characters read.
    """

    kind: Literal["text"] = "text"
    path: str | None = None
    level: Literal["character", "word"] = "character"
    min_count: Annotated[int, Field(ge=1)] = 2
    words: Annotated[int, Field(ge=2)] = 10_000
    limit: Annotated[int, Field(ge=1)] | None = None

    def load(self) -> TextSet:
        """Reads and splits the text, and numbers its tokens."""
        text = (reference() if self.path is None else _read(Path(self.path)))[: self.limit]
        ends = [0, round(len(text) * (1 - self.val - self.test)), round(len(text) * (1 - self.test)), len(text)]
        spans = [text[ends[part] : ends[part + 1]] for part in Part]
        parts = [list(span) if self.level == "character" else _WORD.findall(span) for span in spans]
        for part, tokens in zip(Part, parts, strict=True):
            if len(tokens) < _SHORTEST:
                got = f"val={self.val}, test={self.test} of {len(text)} characters"
                where = self.path or "data"
                raise DataError(f"the {part.name.lower()} part is empty", got, "larger shares, or more text", where)
        vocabulary = self._vocabulary(parts)
        number = {token: index for index, token in enumerate(vocabulary)}
        unknown = number.get(UNKNOWN, 0)
        numbers = np.array([number.get(token, unknown) for part in parts for token in part], dtype=np.int32)
        train, val, test = map(len, parts)
        characters = (len(spans[0]), len(spans[1]), len(spans[2]))
        return TextSet(numbers, (0, train, train + val, train + val + test), characters, vocabulary, self.level)

    def _vocabulary(self, parts: list[list[str]]) -> tuple[str, ...]:
        train, *later = parts
        if self.level == "character":
            known = set(train)
            missing = any(not known.issuperset(part) for part in later)
            return (*sorted(known), UNKNOWN) if missing else tuple(sorted(known))
        counts = Counter(train)
        frequent = sorted((-count, word) for word, count in counts.items() if count >= self.min_count)
        return (UNKNOWN, *(word for _, word in frequent[: self.words - 1]))


def reference() -> str:
    """Returns Python's language reference: its topics in the order of their names, each paragraph once.

    Raises:
        DataError: This Python comes without it.
    """
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError("this Python has no pydoc_data", "not installed", "a file in `path`", "data/path") from error
    paragraphs = (part.strip("\n") for _, topic in sorted(topics.items()) for part in topic.split("\n\n"))
    return "\n\n".join(dict.fromkeys(part for part in paragraphs if part.strip())) + "\n"


def _read(path: Path) -> str:
    if not path.is_file():
        raise DataError("no data here", str(path), "a text file", "data/path")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError("must be UTF-8", error.reason, "a text file in UTF-8", f"{path} line {line}") from error
    except OSError as error:
        raise DataError("cannot be read", str(error), "a text file", str(path)) from error
