from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.trainers.data.samples import shared
from trainers.data.base import DataError
from trainers.data.splits import Part
from trainers.data.text import UNKNOWN, Text, TextData, reference


def _text(tmp_path: Path, text: str) -> str:
    (tmp_path / "text.txt").write_bytes(text.encode())
    return str(tmp_path / "text.txt")


def test_parts_stand_one_after_the_other(tmp_path: Path) -> None:
    text = "abcdefghij" * 10
    data = Text(path=_text(tmp_path, text), val=0.2, test=0.1).load()
    assert data.bounds == (0, 70, 90, 100) and data.characters == (70, 20, 10)
    assert [data.text(data.part(part)) for part in Part] == [text[:70], text[70:90], text[90:]]
    assert np.shares_memory(data.part(Part.VAL), data.tokens)
    assert data.vocabulary == tuple("abcdefghij")


def test_characters_have_an_unknown_only_where_it_is_needed(tmp_path: Path) -> None:
    data = Text(path=_text(tmp_path, "ab" * 40 + "axbx" * 5)).load()
    assert data.vocabulary == ("a", "b", UNKNOWN)
    assert data.text(data.part(Part.TEST)) == "b<unk>a<unk>b<unk>a<unk>b<unk>"


def test_words_are_those_of_the_training_part(tmp_path: Path) -> None:
    text = "the cat, the dog.\n" * 8 + "one rare the bird.\n" * 2
    data = Text(path=_text(tmp_path, text), level="word", val=0.12, test=0.12).load()
    assert data.vocabulary == (UNKNOWN, "the", ",", "cat", "\n", ".", "dog")
    assert data.text(data.part(Part.TRAIN)[:8]) == "the cat , the dog . \n the"
    assert UNKNOWN not in data.text(data.part(Part.TRAIN)) and "<unk> <unk> the <unk>" in data.text(data.tokens)
    small = Text(path=_text(tmp_path, text), level="word", words=3).load()
    assert small.vocabulary == (UNKNOWN, "the", "\n")
    rare = Text(path=_text(tmp_path, text), level="word", min_count=1, val=0.05, test=0.05).load()
    assert "rare" in rare.vocabulary and sum(rare.characters) == len(text)


def test_a_limit_reads_the_beginning(tmp_path: Path) -> None:
    data = Text(path=_text(tmp_path, "abc" * 100), limit=50).load()
    assert data.text(data.tokens) == ("abc" * 100)[:50]


def test_fingerprints_see_tokens_parts_and_vocabulary() -> None:
    data = Text(limit=1000).load()
    assert data.fingerprint() == Text(limit=1000).load().fingerprint()
    assert data.fingerprint() != Text(limit=1000, val=0.2).load().fingerprint()
    assert data.fingerprint() != replace(data, vocabulary=data.vocabulary[::-1]).fingerprint()


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="data/path: no data here; got '.*absent.txt'"):
        Text(path=str(tmp_path / "absent.txt")).load()
    (tmp_path / "latin.txt").write_bytes("a\nb\nä".encode("latin-1"))
    with pytest.raises(DataError, match="latin.txt line 3: must be UTF-8"):
        Text(path=str(tmp_path / "latin.txt")).load()
    with pytest.raises(DataError, match="the val part is empty; got 'val=0.1, test=0.1 of 4 characters'"):
        Text(path=_text(tmp_path, "abcd")).load()


def test_the_embedded_text_is_real_and_repeats_no_paragraph() -> None:
    text = reference()
    assert text == reference() and 350_000 < len(text) < 600_000
    paragraphs = [part for part in text.split("\n\n") if part.strip()]
    assert len(paragraphs) == len(set(paragraphs)) > 2_000
    data = TextData.from_data({"kind": "text"}).load()
    assert 90 < len(data.vocabulary) < 130 and data.bounds[3] == len(text)
    assert data.text(data.part(Part.TEST)[-200:]) == text[-200:]


def test_shakespeare() -> None:
    path = str(shared("tinyshakespeare.txt"))
    data = Text(path=path).load()
    assert data.bounds == (0, 892315, 1003855, 1115394) and len(data.vocabulary) == 65
    assert data.text(data.tokens[:14]) == "First Citizen:"
    words = Text(path=path, level="word").load()
    assert len(words.vocabulary) == 6316 and words.bounds == (0, 241419, 271609, 302927)
    assert 0.03 < (words.tokens == 0).mean() < 0.04


def test_every_token_has_its_part() -> None:
    data = Text(limit=1000, val=0.2, test=0.1).load()
    assert data.parts.dtype == np.uint8
    for part in Part:
        assert np.array_equal(data.tokens[data.parts == part], data.part(part))
