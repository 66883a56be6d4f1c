from pathlib import Path

import numpy as np
import pytest

from tests.trainers.data.samples import images, save
from trainers.data.base import DataError
from trainers.data.splits import Part
from trainers.data.voc import Voc

COUNT = 60
IMAGES = images(COUNT)
DOG = "<object><name>dog</name><difficult>1</difficult>{}</object>"
CAT = "<object><name> cat </name>{}</object>"


def _box(*edges: object) -> str:
    names = ("xmin", "ymin", "xmax", "ymax")
    return "<bndbox>" + "".join(f"<{n}>{e}</{n}>" for n, e in zip(names, edges, strict=True)) + "</bndbox>"


def _xml(*objects: str, width: int = 8, height: int = 6) -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation>{size}\n{''.join(objects)}</annotation>"


GOOD = _xml(DOG.format(_box(1, 1, 8, 6)), CAT.format(_box(3, 2, 3, 4)))


def _write(root: Path, xml: dict[int, str] | None = None) -> Voc:
    (root / "Annotations").mkdir()
    for i in range(COUNT):
        save(root / "JPEGImages" / f"{i:03}.png", IMAGES[i])
        (root / "Annotations" / f"{i:03}.xml").write_text((xml or {}).get(i, GOOD if i else _xml()))
    return Voc(path=str(root))


def test_boxes_count_from_one_and_include_their_last_pixel(tmp_path: Path) -> None:
    data = _write(tmp_path).load_boxes()
    assert data.classes == ("cat", "dog")
    assert data.boxes[1].tolist() == [[0, 0, 8, 6], [2, 1, 3, 4]]
    assert data.labels[1].tolist() == [1, 0] and data.difficult[1].tolist() == [True, False]
    assert data.counts.tolist() == [0] + [2] * (COUNT - 1)
    assert np.array_equal(data.images, IMAGES.transpose(0, 3, 1, 2))


def test_lists_name_the_files_of_each_part(tmp_path: Path) -> None:
    spec = _write(tmp_path)
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("003\n004  1\n")
    (lists / "val.txt").write_text("010 -1\n")
    (lists / "test.txt").write_text("020\n\n")
    data = spec.load_boxes()
    assert data.parts.tolist() == [Part.TRAIN, Part.TRAIN, Part.VAL, Part.TEST]
    assert np.array_equal(data.images, IMAGES[[3, 4, 10, 20]].transpose(0, 3, 1, 2))


def test_folders_may_name_the_part(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        (tmp_path / part).mkdir()
        _write(tmp_path / part)
    spec = Voc(path=str(tmp_path), annotations="{part}/Annotations", images="{part}/JPEGImages", limit=5)
    assert [len(spec.load_boxes().rows(part)) for part in Part] == [5, 5, 5]


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ("<annotation>\n<object>\n</annotation>", "004.xml line 3: must be XML"),
        (_xml(CAT.format(_box(1, 1, "x", 2))), "004.xml object 0: an object needs its box in numbers"),
        (_xml("<object><name>cat</name></object>"), "004.xml object 0: an object needs its box in numbers"),
        (_xml(f"<object>{_box(1, 1, 2, 2)}</object>"), "004.xml object 0: an object needs a name"),
        (_xml(CAT.format(_box(4, 1, 3, 2))), "004.xml object 0: a box must have an area inside its image"),
        (_xml(width=9), "004.xml: an annotation must have the size of its image; got '6x9'; allowed 6x8"),
        (_xml("<size><width>a</width></size>").replace("8", "a", 1), "004.xml size: size must be whole numbers"),
    ],
)
def test_broken_annotations_are_named_or_counted(tmp_path: Path, xml: str, message: str) -> None:
    spec = _write(tmp_path, {4: xml})
    with pytest.raises(DataError, match=message):
        spec.load_boxes()
    assert Voc(path=spec.path, on_error="skip").load_boxes().skipped == 1


def test_missing_files_and_classes_are_named(tmp_path: Path) -> None:
    spec = _write(tmp_path)
    with pytest.raises(DataError, match="001.xml object 1: no class for this name; got 'cat'; allowed dog"):
        Voc(path=spec.path, classes=("dog",)).load_boxes()
    (tmp_path / "JPEGImages" / "006.png").unlink()
    with pytest.raises(DataError, match="006.xml: an annotation without an image; got '006'"):
        spec.load_boxes()
    with pytest.raises(DataError, match="absent/Annotations: no data here"):
        Voc(path=str(tmp_path / "absent")).load_boxes()
