import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers.checkpoint import CheckpointError, inside, load, save, weights

STATE = {"step": 3, "network": {"w": torch.arange(6.0).view(2, 3)}, "name": "a", "none": None, "pair": (1, 2.5)}


def test_a_state_comes_back(tmp_path: Path) -> None:
    assert save(str(tmp_path / "t000001"), "1-3.pt", STATE) == "t000001/1-3.pt"
    found = load(str(tmp_path / "t000001" / "1-3.pt"))
    assert torch.equal(found["network"]["w"], STATE["network"]["w"])  # type: ignore[index]
    assert (found["step"], found["name"], found["none"], found["pair"]) == (3, "a", None, (1, 2.5))


def test_torch_reads_the_file_itself(tmp_path: Path) -> None:
    save(str(tmp_path), "1-1.pt", STATE)
    assert torch.load(tmp_path / "1-1.pt", weights_only=True)["schema"] == 1


def test_nothing_is_overwritten_and_nothing_is_left_over(tmp_path: Path) -> None:
    save(str(tmp_path), "1-1.pt", STATE)
    before = (tmp_path / "1-1.pt").read_bytes()
    with pytest.raises(CheckpointError, match="never overwritten"):
        save(str(tmp_path), "1-1.pt", {"step": 9})
    assert (tmp_path / "1-1.pt").read_bytes() == before
    assert os.listdir(tmp_path) == ["1-1.pt"]


def test_any_damaged_byte_is_found(tmp_path: Path) -> None:
    save(str(tmp_path), "1-1.pt", STATE)
    whole = (tmp_path / "1-1.pt").read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 40):
        torn = bytearray(whole)
        torn[place] ^= 1
        (tmp_path / "torn.pt").write_bytes(torn)
        with pytest.raises(CheckpointError, match="damaged"):
            load(str(tmp_path / "torn.pt"))
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "torn.pt").write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="damaged"):
            load(str(tmp_path / "torn.pt"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="absent.pt"):
        load(str(tmp_path / "absent.pt"))


@pytest.mark.parametrize("value", [np.zeros(2), object(), {1, 2}, np.float64(1)])
def test_what_cannot_be_read_back_safely_is_refused_by_path(tmp_path: Path, value: Any) -> None:
    with pytest.raises(CheckpointError, match=f"state/a/1: a checkpoint cannot hold {type(value).__name__}"):
        save(str(tmp_path), "1-1.pt", {"a": [0, value]})
    assert os.listdir(tmp_path) == []


def test_another_schema_is_refused(tmp_path: Path) -> None:
    save(str(tmp_path), "1-1.pt", {"schema": 7})
    with pytest.raises(CheckpointError, match="schema 7"):
        load(str(tmp_path / "1-1.pt"))


def test_a_uri_serves_as_well_as_a_path(tmp_path: Path) -> None:
    folder = f"file://{tmp_path}/t000001"
    assert save(folder, "1-1.pt", STATE) == "t000001/1-1.pt"
    assert load(f"{folder}/1-1.pt")["step"] == 3
    assert load(str(tmp_path / "t000001" / "1-1.pt"))["step"] == 3


def test_a_store_that_is_not_local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pyarrow import fs

    inner = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    found = staticmethod(lambda uri: (inner, uri.removeprefix("store://")))
    monkeypatch.setattr(fs, "FileSystem", type("Finder", (), {"from_uri": found}))
    assert save("store://bucket/t000001", "1-1.pt", STATE) == "t000001/1-1.pt"
    assert load("store://bucket/t000001/1-1.pt")["step"] == 3
    with pytest.raises(CheckpointError, match="never overwritten"):
        save("store://bucket/t000001", "1-1.pt", STATE)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load("store://bucket/t000001/1-2.pt")


def test_the_options_of_a_uri_are_no_part_of_the_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pyarrow import fs

    inner = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    found = staticmethod(lambda uri: (inner, uri.removeprefix("store://").partition("?")[0]))
    monkeypatch.setattr(fs, "FileSystem", type("Finder", (), {"from_uri": found}))
    options = "?endpoint_override=http://host:9000/minio"
    assert save(f"store://bucket/t000001{options}", "1-1.pt", STATE) == "t000001/1-1.pt"
    assert load(f"store://bucket/t000001/1-1.pt{options}")["step"] == 3
    # In a local path the sign is a letter like others.
    assert save(str(tmp_path / "what?" / "t000001"), "1-1.pt", STATE) == "t000001/1-1.pt"


def test_a_uri_that_nothing_reaches_is_a_checkpoint_that_cannot_be_read() -> None:
    with pytest.raises(CheckpointError, match="nowhere://bucket/1-1.pt: checkpoint cannot be read"):
        load("nowhere://bucket/1-1.pt")


def test_the_judged_weights_are_the_average_where_there_is_one() -> None:
    network = {"w": torch.ones(1), "count": torch.tensor(4)}
    assert weights({"network": network}) == network
    found = weights({"network": network, "ema": {"average": {"w": torch.zeros(1)}, "updates": 1}})
    assert (found["w"].item(), found["count"].item()) == (0, 4)


def test_where_a_file_lies_is_said_with_the_options_of_its_place() -> None:
    assert inside("runs/a/common/", "x.pt") == "runs/a/common/x.pt"
    assert inside("what?/common", "x.pt") == "what?/common/x.pt"
    assert inside("s3://bucket/a?region=eu/b", "x.pt") == "s3://bucket/a/x.pt?region=eu/b"
