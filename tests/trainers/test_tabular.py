from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from search_spaces.errors import SpecError
from trainers import tabular
from trainers.data.base import DataError


def _file(folder: Path, **columns: Any) -> str:
    path = str(folder / "table.parquet")
    pq.write_table(pa.table({name.replace("__", ":"): values for name, values in columns.items()}), path)
    return path


def _read(path: str, **options: Any) -> tabular.Tabular:
    return tabular.read(path, tabular.columns(tabular.schema(path), **options))


@pytest.mark.parametrize(
    ("choices", "other"),
    [
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1, "b": "x"}, {"b": "x", "a": 1}),
        # What stands in a column of mixed types is JSON.
        ({"a": None}, {"a": "null"}),
        ({"a": True}, {"a": "true"}),
        ({"a": 0.5}, {"a": "0.5"}),
        ({"a": (1, 2)}, {"a": [1.0, 2.0]}),
    ],
)
def test_choices_compare_as_they_come_out_of_parquet(choices: dict[str, Any], other: dict[str, Any]) -> None:
    assert tabular.key(choices) == tabular.key(other)


def test_different_choices_have_different_keys() -> None:
    choices = [{}, {"a": 1}, {"a": 2}, {"b": 1}, {"a": True}, {"a": None}, {"a": "x"}, {"a": (1, 2)}, {"a": (2, 1)}]
    assert len({tabular.key(choice) for choice in choices}) == len(choices)


def test_a_table_of_trials_says_by_itself_what_its_columns_mean(tmp_path: Path) -> None:
    path = _file(
        tmp_path, trial_id=["t000000", "t000001"], seed=[1, 2], p__x=[0.5, 1.0], p__deep=["a", None],
        **{"m__val/loss": [0.25, None], "m__seconds": [3.0, 4.0]},
    )  # fmt: skip
    table = _read(path)
    assert table.paths == ("x", "deep") and table.metrics == ("val/loss", "seconds")
    assert table.curve(tabular.key({"x": 0.5, "deep": "a"}), 0) == [{"val/loss": 0.25, "seconds": 3.0}]
    # An inactive decision is no part of the candidate; a missing figure is left out.
    assert table.curve(tabular.key({"x": 1}), 0) == [{"seconds": 4.0}]
    assert table.curve(tabular.key({"x": 1, "deep": "a"}), 0) is None


def test_of_a_searchs_own_trials_the_completed_ones_are_evaluations(tmp_path: Path) -> None:
    rows = [
        ("COMPLETED", "run", "train", 0.5), ("COMPLETED", "run", "proxy", 0.9), ("PRUNED", "run", "train", 0.1),
        ("FAILED", "run", "train", 0.8), ("COMPLETED", "cache", "train", 0.5), (None, None, "train", None),
        ("COMPLETED", "run", "supernet", 0.7), ("COMPLETED", "run", "retrain", 0.6),
    ]  # fmt: skip
    status, source, mode, value = zip(*rows, strict=True)
    path = _file(tmp_path, p__x=[1] * len(rows), status=status, source=source, mode=mode, **{"m__val": value})
    table = _read(path)
    assert table.values.tolist() == [[0.5], [0.6]]
    assert [table.curve(tabular.key({"x": 1}), seed) for seed in range(2)] == [[{"val": 0.5}], [{"val": 0.6}]]
    # A table of other columns keeps all of its rows.
    assert len(_read(_file(tmp_path, p__x=[1, 2], status=["FAILED", "x"], **{"m__val": [0.1, 0.2]})).values) == 2


def test_any_columns_may_be_named(tmp_path: Path) -> None:
    path = _file(tmp_path, index=[0, 1], depth=[1, 2], top1=[70.0, 80.0], hours=[2, 3])
    table = _read(path, decisions=("depth",))
    assert table.metrics == ("index", "top1", "hours")
    table = _read(path, decisions=("depth",), figures={"val/accuracy": "top1"})
    assert table.curve(tabular.key({"depth": 2}), 0) == [{"val/accuracy": 80.0}]
    text = _read(path, architecture="index", figures={"val/accuracy": "top1"})
    assert text.paths == () and text.curve("1", 0) == [{"val/accuracy": 80.0}]


def test_rows_of_one_candidate_are_evaluations_and_the_seed_chooses(tmp_path: Path) -> None:
    table = _read(_file(tmp_path, p__x=[1, 1, 1, 2], m__y=[10.0, 11.0, 12.0, 20.0]))
    assert [table.curve(tabular.key({"x": 1}), seed) for seed in (0, 1, 2, 3)] == [
        [{"y": 10.0}],
        [{"y": 11.0}],
        [{"y": 12.0}],
        [{"y": 10.0}],
    ]


def test_rows_with_steps_are_curves(tmp_path: Path) -> None:
    path = _file(tmp_path, p__x=[1, 1, 2, 1, 1, 1], epoch=[2, 1, 1, 1, 2, 3], m__y=[0.2, 0.1, 9.0, 0.5, 0.6, 0.7])
    table = _read(path, step="epoch")
    # The second row of candidate and step begins the second evaluation.
    assert table.curve(tabular.key({"x": 1}), 0) == [{"y": 0.1}, {"y": 0.2}, {"y": 0.7}]
    assert table.curve(tabular.key({"x": 1}), 1) == [{"y": 0.5}, {"y": 0.6}]
    assert table.curve(tabular.key({"x": 2}), 5) == [{"y": 9.0}]


def test_the_fingerprint_is_that_of_candidates_and_figures(tmp_path: Path) -> None:
    marks = set()
    for x, y, name in (([1, 2], [0.1, 0.2], "y"), ([1, 3], [0.1, 0.2], "y"), ([1, 2], [0.1, 0.3], "y")):
        marks.add(_read(_file(tmp_path, p__x=x, **{f"m__{name}": y})).fingerprint)
    assert len(marks) == 3
    again = _read(_file(tmp_path, p__x=[1, 2], m__y=[0.1, 0.2], note=["a", "b"]))
    assert again.fingerprint in marks


@pytest.mark.parametrize(
    ("columns", "options", "error"),
    [
        ({"x": [1], "m__y": [0.1]}, {}, "nothing says which candidate a row is of"),
        ({"p__x": [1], "m__y": [0.1]}, {"figures": {"y": "yy"}}, "unknown column; got 'yy'; allowed m:y, p:x"),
        ({"p__x": [1], "m__y": [0.1]}, {"step": "epoch"}, "unknown column"),
        ({"p__x": [1], "y": ["a"]}, {"figures": {"y": "y"}}, "cannot be read"),
        ({"arch": ["a", None], "y": [0.1, 0.2]}, {"architecture": "arch"}, "table.parquet row 1: a row has no arch"),
        (
            {"p__x": pa.array([], pa.int64()), "m__y": pa.array([], pa.float64())},
            {},
            "the table has no row of a finished evaluation",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(
    tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], error: str
) -> None:
    with pytest.raises(SpecError) as caught:
        _read(_file(tmp_path, **columns), **options)
    assert error in str(caught.value)


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no")
    for name in ("text.parquet", "none.parquet"):
        with pytest.raises(DataError, match=f"{name}: cannot be read"):
            tabular.schema(str(tmp_path / name))
