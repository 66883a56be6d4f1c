import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cluster import snapshot
from cluster.snapshot import SnapshotError, load_newest, save
from cluster.storage import Storage, StorageError


def _state(generator: np.random.Generator) -> dict[str, Any]:
    return {
        "weights": [generator.normal(size=(3, 4)).astype(np.float32), np.zeros((0, 2)), np.array(7)],
        "order": np.asfortranarray(generator.integers(0, 9, (2, 3))),
        "words": np.array(["a", "Übung"]),
        "generator": dict(np.random.default_rng(1).bit_generator.state),
        "counters": {"told": 3, "huge": 2**80, "lr": 0.1, "none": None, "on": True, "nan": float("nan"), "": "empty"},
        "raw": b"\x00\xff",
        "like ours": {"$array": 0, "$dict": {"$float": "x"}},
        "queue": [[], {}, [1, [2.5, "x"]]],
    }


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        same = type(other) is np.ndarray and one.dtype == other.dtype and one.shape == other.shape
        return same and one.tobytes("A") == other.tobytes("A") and one.flags.f_contiguous == other.flags.f_contiguous
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return repr(one) == repr(other)


def test_a_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    assert load_newest(storage) is None
    state = _state(np.random.default_rng(0))
    save(storage, state, 42)
    found = load_newest(storage)
    assert found is not None and found[1] == 42
    assert _equal(found[0], state)
    assert not _equal(found[0], {**state, "raw": b"\x00\xfe"})


def test_two_are_kept(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    for offset in (9, 10, 100):
        save(storage, {"at": offset}, offset)
    assert storage.list("snapshots") == [f"{offset:012d}.{kind}" for offset in (10, 100) for kind in ("json", "npz")]


def test_a_damaged_newest_falls_back_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage.open(tmp_path)
    for offset in (1, 2):
        save(storage, {"at": offset, "weights": np.arange(offset)}, offset)
    for name in ("000000000002.npz", "000000000002.json"):
        whole = storage.read_bytes(f"snapshots/{name}")
        damaged = bytearray(whole)
        damaged[len(whole) * 2 // 3] ^= 1
        for broken in (bytes(damaged), whole[:-7], b""):
            caplog.clear()
            storage.write_atomic(f"snapshots/{name}", broken)
            found = load_newest(storage)
            assert found is not None and found[0]["at"] == 1
            assert "000000000002.json: not used" in caplog.text
        storage.write_atomic(f"snapshots/{name}", whole)
    # Damage that is still JSON.
    whole = storage.read_bytes("snapshots/000000000002.json")
    storage.write_atomic("snapshots/000000000002.json", whole.replace(b'\\"at\\":2', b'\\"at\\":3'))
    found = load_newest(storage)
    assert found is not None and found[0]["at"] == 1
    storage.write_atomic("snapshots/000000000002.json", whole)
    found = load_newest(storage)
    assert found is not None and found[0]["at"] == 2
    storage.delete("snapshots/000000000002.npz")
    storage.delete("snapshots/000000000001.npz")
    assert load_newest(storage) is None


def test_a_snapshot_that_knows_more_than_the_journal_is_passed_over(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    for offset in (5, 8):
        save(storage, {"at": offset}, offset)
    assert [(load_newest(storage, limit) or (None, None))[1] for limit in (4, 5, 7, 8)] == [None, 5, 5, 8]


def test_a_write_that_dies_halfway_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage.open(tmp_path)
    save(storage, {"at": 1}, 1)
    write = Storage.write_atomic

    def die(self: Storage, name: str, data: bytes) -> None:
        if name.endswith(".json"):
            raise StorageError("full")
        write(self, name, data)

    monkeypatch.setattr(Storage, "write_atomic", die)
    with pytest.raises(StorageError):
        save(storage, {"at": 2}, 2)
    found = load_newest(storage)
    assert found is not None and found[1] == 1


def test_what_no_state_holds_is_refused_by_path(tmp_path: Path) -> None:
    storage = Storage.open(tmp_path)
    for bad, name in ((np.float64(1.0), "float64"), ((1,), "tuple"), (object(), "object"), ({1: 2}, "dict")):
        with pytest.raises(SnapshotError, match=rf"^state/a/1: .*got {name}$"):
            save(storage, {"a": [0, bad]}, 1)
    with pytest.raises(SnapshotError, match="got ndarray"):
        save(storage, {"a": np.array([{}], dtype=object)}, 1)


def test_no_pickle_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = Storage.open(tmp_path)
    save(storage, {"a": np.arange(3)}, 1)
    with open(tmp_path / "evil.npz", "wb") as file:
        np.savez(file, **{"0": np.array([{}], dtype=object)})
    evil = (tmp_path / "evil.npz").read_bytes()
    content = json.loads(storage.read_bytes("snapshots/000000000001.json"))
    content["arrays_crc"] = snapshot._crc(evil)
    storage.write_atomic("snapshots/000000000001.npz", evil)
    storage.write_atomic("snapshots/000000000001.json", json.dumps(content).encode())
    assert load_newest(storage) is None
    assert "allow_pickle=False" in caplog.text


def test_another_schema_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    storage = Storage.open(tmp_path)
    save(storage, {}, 1)
    monkeypatch.setattr(snapshot, "SCHEMA", 2)
    assert load_newest(storage) is not None
    monkeypatch.setattr(snapshot, "SCHEMA", 3)
    assert load_newest(storage) is None
    assert "got 1; allowed 2 and 3" in caplog.text
