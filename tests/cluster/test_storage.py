import os
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cluster.storage import Storage, StorageError, check_schema


def _remotes(folder: Path) -> dict[str, Storage]:
    return {
        "local": Storage.open(folder / "run"),
        "subtree": Storage.open("run", pafs.SubTreeFileSystem(str(folder), pafs.LocalFileSystem())),
        "memory": Storage.open(f"/{folder.name}/run", pafs.PyFileSystem(pafs.FSSpecHandler(MemoryFileSystem()))),
        "mock": Storage.open("run", pafs._MockFileSystem()),
    }


@pytest.mark.parametrize("kind", ["local", "subtree", "memory", "mock"])
def test_files_are_written_listed_read_and_deleted(tmp_path: Path, kind: str) -> None:
    storage = _remotes(tmp_path)[kind]
    assert storage.list() == [] and not storage.exists()
    storage.ensure_writable()
    storage.write_atomic("a/one.txt", b"0123456789")
    storage.write_atomic("a/one.txt", b"abcdefghij")
    storage.write_atomic("a/b/two.txt", b"")
    assert storage.read_bytes("a/one.txt") == b"abcdefghij"
    assert storage.read_bytes("a/one.txt", 7) == b"hij"
    assert storage.read_bytes("a/one.txt", 99) == b""
    assert storage.list("a") == ["b", "one.txt"] and storage.list() == ["a"]
    # What a writer that died left behind.
    storage.write_atomic("a/.tmp-two.txt-0", b"half")
    assert storage.list("a") == ["b", "one.txt"]
    inner = storage.at("a")
    assert inner.exists("b/two.txt") and not inner.exists("one")
    with pytest.raises(FileNotFoundError):
        storage.read_bytes("a/three.txt")
    storage.delete("a/three.txt")
    storage.delete("a/one.txt")
    storage.delete("a/.tmp-two.txt-0")
    assert storage.list("a") == ["b"]
    storage.delete("a")
    assert not storage.exists("a/b/two.txt")


@pytest.mark.parametrize("kind", ["local", "subtree", "memory", "mock"])
def test_a_file_is_created_once(tmp_path: Path, kind: str) -> None:
    storage = _remotes(tmp_path)[kind]
    assert storage.create("x/LOCK", b"first")
    assert not storage.create("x/LOCK", b"second")
    assert storage.read_bytes("x/LOCK") == b"first"


def test_only_a_local_file_grows(tmp_path: Path) -> None:
    kinds = _remotes(tmp_path)
    assert [kind for kind, storage in kinds.items() if storage.appendable] == ["local"]
    assert kinds["local"].folder == tmp_path / "run" and kinds["mock"].folder is None
    file = kinds["local"].append("j/1.jsonl")
    file.write(b"one")
    file.write(b"two")
    assert kinds["local"].read_bytes("j/1.jsonl") == b"onetwo"
    file.close()
    with pytest.raises(StorageError, match="only a file in a local folder"):
        kinds["mock"].append("j/1.jsonl")


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage.open(tmp_path)
    storage.write_atomic("best.json", b"old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        storage.write_atomic("best.json", b"new")
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)
    assert storage.read_bytes("best.json") == b"old"
    assert os.listdir(tmp_path) == ["best.json"]


def test_a_storage_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="storage: must be writable; got .*file/run") as caught:
        Storage.open(tmp_path / "file" / "run").ensure_writable()
    assert "\n" not in str(caught.value)


def test_an_unknown_uri_is_refused() -> None:
    with pytest.raises(StorageError, match="storage: must be a folder or a URI.*nowhere://x"):
        Storage.open("nowhere://x")


def test_uris_name_the_same_place_again(tmp_path: Path) -> None:
    storage = Storage.open(f"file://{tmp_path}/with%20space").at("run")
    storage.write_atomic("a.txt", b"1")
    assert storage.uri("a.txt") == f"{tmp_path}/with space/run/a.txt"
    assert Storage.open(storage.uri()).read_bytes("a.txt") == b"1"
    s3 = Storage.open("s3://bucket/runs?endpoint_override=localhost:1&scheme=http&region=us-east-1")
    assert s3.at("n").uri("a").startswith("s3://bucket/runs/n/a?endpoint_override=localhost:1&scheme=http")
    assert not s3.appendable


def test_schema_n_and_n_minus_1_are_read() -> None:
    check_schema(3, 3, "f")
    check_schema(2, 3, "f")
    for found in (1, 4, "3", None, True):
        with pytest.raises(StorageError, match=r"^f: schema must be .* allowed 2 and 3$"):
            check_schema(found, 3, "f")
    with pytest.raises(StorageError, match="got 0; allowed 1"):
        check_schema(0, 1, "f")


@pytest.mark.parametrize("name", ["what?", "a b"])
def test_the_folder_beside_a_local_file(tmp_path: Path, name: str) -> None:
    storage, file = Storage.beside(Storage.open(tmp_path / name).uri("logs/t000000.txt"))
    assert (storage.folder, file) == (tmp_path / name / "logs", "t000000.txt")


def test_the_folder_beside_a_remote_file_keeps_its_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    opened: list[str] = []
    finder = staticmethod(lambda uri: opened.append(uri) or (files, "bucket/run/logs"))
    monkeypatch.setattr(pafs, "FileSystem", type("Finder", (), {"from_uri": finder}))
    options = "?endpoint_override=http://host:9000/minio&scheme=http"
    storage, file = Storage.beside(f"store://bucket/run/logs/t000000.txt{options}")
    assert opened == [f"store://bucket/run/logs{options}"] and file == "t000000.txt"
    storage.write_atomic(file, b"hello")
    assert (tmp_path / "bucket/run/logs/t000000.txt").read_bytes() == b"hello"
