import numpy as np
import pytest

from trainers.metrics_detection import Detections, Truth, average_precision

OBJECTS = [[0, 0, 10, 10], [20, 20, 30, 30]]


def _truth(labels: list[int], difficult: list[int] | None = None, crowd: list[int] | None = None) -> Truth:
    flags = [np.array([flag or [0] * len(labels)], dtype=bool) for flag in (difficult, crowd)]
    boxes = np.array([OBJECTS[: len(labels)]], dtype=np.float32)
    return Truth(boxes, np.array([labels]), *flags)


def _found(boxes: list[list[float]], scores: list[float], classes: list[int] | None = None) -> Detections:
    labels = np.array([classes or [0] * len(boxes)])
    return Detections(np.array([boxes], dtype=np.float32), np.array([scores], dtype=np.float32), labels)


def test_m13_a_perfect_detector_scores_1() -> None:
    found = average_precision(_found([[*OBJECTS[0]], [*OBJECTS[1]]], [0.6, 0.9], [0, 1]), _truth([0, 1]), ("a", "b"))
    assert found == pytest.approx({"ap": 1.0, "ap50": 1.0, "ap75": 1.0, "ap50/a": 1.0, "ap50/b": 1.0})


def test_m13_a_small_case_by_hand() -> None:
    # A hit, a miss, and a hit of IoU 6.2 / 10: precision 1 up to recall 1/2, then 2/3 where .62 is enough.
    found = _found([[0, 0, 10, 10], [40, 40, 50, 50], [20, 20, 30, 26.2]], [0.9, 0.8, 0.7])
    figures = average_precision(found, _truth([0, 0]), ("a",))
    loose, strict = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert figures["ap50"] == figures["ap50/a"] == pytest.approx(loose)
    assert figures["ap75"] == pytest.approx(strict)
    assert figures["ap"] == pytest.approx((3 * loose + 7 * strict) / 10)


def test_a_detection_of_another_class_finds_nothing() -> None:
    figures = average_precision(_found([[0, 0, 10, 10]], [0.9], [1]), _truth([0]), ("a", "b"))
    # Class b has no objects, and so no precision; it is no part of the mean.
    assert figures == {"ap": 0.0, "ap50": 0.0, "ap75": 0.0, "ap50/a": 0.0}


def test_a_second_detection_of_an_object_is_a_mistake() -> None:
    # Precision at full recall is 2/3, as the second detection of the first object counts as a miss.
    found = _found([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30]], [0.9, 0.8, 0.7])
    assert average_precision(found, _truth([0, 0]), ("a",))["ap50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


@pytest.mark.parametrize("flag", ["difficult", "crowd"])
def test_objects_that_do_not_count_neither_help_nor_hurt(flag: str) -> None:
    truth = _truth([0, 0], **{flag: [0, 1]})
    missed = average_precision(_found([[0, 0, 10, 10]], [0.9]), truth, ("a",))
    found = average_precision(_found([[20, 20, 30, 30], [0, 0, 10, 10]], [0.9, 0.8]), truth, ("a",))
    assert [missed["ap"], found["ap"]] == pytest.approx([1.0, 1.0])


def test_a_small_detection_within_a_crowd_does_not_count_but_within_a_difficult_object_it_does() -> None:
    found = _found([[22, 22, 24, 24], [0, 0, 10, 10]], [0.9, 0.8])
    assert average_precision(found, _truth([0, 0], crowd=[0, 1]), ("a",))["ap50"] == pytest.approx(1.0)
    assert average_precision(found, _truth([0, 0], difficult=[0, 1]), ("a",))["ap50"] == pytest.approx(0.5)


def test_padding_and_dropped_detections_do_not_count(capsys: pytest.CaptureFixture[str]) -> None:
    found = _found([[0, 0, 10, 10], [50, 50, 60, 60]], [0.9, 0.0])
    assert average_precision(found, _truth([0, -1]), ("a",))["ap"] == pytest.approx(1.0)
    assert capsys.readouterr().out == ""


def test_nothing_to_find_is_no_precision() -> None:
    assert average_precision(_found([[0, 0, 1, 1]], [0.5]), _truth([-1]), ("a",)) == {"ap": 0, "ap50": 0, "ap75": 0}
