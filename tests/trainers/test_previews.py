import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.trainers.examples import classifier, run, squares
from tests.trainers.examples_dense import language_model, read, scenes, segment, segmenter, text
from trainers import previews
from trainers.data.pictures import IGNORE
from trainers.data.splits import Part
from trainers.tasks.classification import Classification
from trainers.tasks.function import Function
from trainers.tasks.language import Language
from trainers.tasks.segmentation import Segmentation


def _pixels(png: bytes) -> np.ndarray:
    assert png.startswith(b"\x89PNG")
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def _inked(pixels: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Whether something is written in a colour; letters have soft edges."""
    return bool((np.abs(pixels.astype(int) - colour).max(-1) < 60).any())


def test_classes_have_colours_of_their_own() -> None:
    colours = [tuple(colour) for colour in previews.palette(255)[:255].tolist()]
    assert len(set(colours)) == 255 and colours[0] == (0, 0, 0)
    assert tuple(previews.palette(3)[IGNORE]) == previews.GREY


def test_chosen_rows_are_spread_evenly() -> None:
    assert previews.chosen(np.arange(10, 20), 4).tolist() == [10, 13, 16, 19]
    assert previews.chosen(np.arange(2), 4).tolist() == [0, 1]


def test_a_perfect_prediction_looks_like_the_truth() -> None:
    data = scenes()
    rows = previews.chosen(data.rows(Part.VAL), 4)
    logits = torch.nn.functional.one_hot(torch.from_numpy(data.masks[rows]).long(), 6).movedim(-1, 1)
    right = _pixels(previews.segmentation(lambda images: logits, data))
    wrong = _pixels(previews.segmentation(lambda images: logits.roll(1, 1), data))
    cell, gap = 128, 6
    columns = [slice(gap + i * (cell + gap), gap + i * (cell + gap) + cell) for i in range(3)]
    image, truth, guess = (right[gap : gap + cell, column] for column in columns)
    assert (truth == guess).all() and (image != truth).any()
    assert (truth[::4, ::4] == previews.palette(6)[data.masks[rows[0]]]).all()
    assert (image[::4, ::4] == data.images[rows[0]].transpose(1, 2, 0)).all()
    assert (wrong[gap : gap + cell, columns[1]] == truth).all()
    assert (wrong[gap : gap + cell, columns[2]] != truth).any()


def test_right_and_wrong_classes_are_coloured() -> None:
    data = squares()
    labels = torch.from_numpy(data.labels[previews.chosen(np.flatnonzero(data.parts == Part.VAL), 16)])
    right = _pixels(previews.classification(lambda images: torch.eye(4)[labels], data))
    wrong = _pixels(previews.classification(lambda images: torch.eye(4)[(labels + 1) % 4], data))
    assert _inked(right, previews.RIGHT) and not _inked(right, previews.WRONG)
    assert _inked(wrong, previews.WRONG) and not _inked(wrong, previews.RIGHT)


class _Echo:
    """Expects each token of a text to be followed by what it is told."""

    def __init__(self, shift: int) -> None:
        tokens = torch.from_numpy(text().part(Part.VAL).astype(np.int64))
        self._text, self._shift = tokens.tolist(), shift

    def advance(self, tokens: torch.Tensor) -> tuple[torch.Tensor, None]:
        found = []
        for passage in tokens.tolist():
            begin = next(i for i in range(len(self._text)) if self._text[i : i + len(passage)] == passage)
            found.append(self._text[begin + 1 : begin + 1 + len(passage)])
        classes = len(text().vocabulary)
        return torch.nn.functional.one_hot((torch.tensor(found) + self._shift) % classes, classes), None


def test_expected_tokens_stand_below_those_that_follow() -> None:
    right, wrong = (_pixels(previews.language(_Echo(shift), text())) for shift in (0, 1))
    assert _inked(right, previews.RIGHT) and not _inked(right, previews.WRONG)
    assert _inked(wrong, previews.WRONG) and not _inked(wrong, previews.RIGHT)
    assert _inked(right, previews.GREY) and _inked(right, previews.BLACK)


def test_tasks_draw_what_their_trials_kept(tmp_path: Path) -> None:
    classes = run(classifier(), fidelity=1, folder=str(tmp_path / "t000001"))[-1].checkpoint
    assert _pixels(Classification().picture(classifier(), str(tmp_path / str(classes)), squares())).std() > 1
    folder = tmp_path / "dense"
    pixels = segment(segmenter(), fidelity=1, folder=str(folder / "t000001"))[-1].checkpoint
    assert _pixels(Segmentation().picture(segmenter(), str(folder / str(pixels)), scenes())).std() > 1
    folder = tmp_path / "text"
    tokens = read(language_model(), fidelity=1, folder=str(folder / "t000001"))[-1].checkpoint
    assert _pixels(Language().picture(language_model(), str(folder / str(tokens)), text())).std() > 1
    assert Function(target="a:b").picture(None, "", None) is None
