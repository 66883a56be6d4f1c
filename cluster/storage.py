"""Where a search is kept: a local folder, or any place that pyarrow's file systems reach (`s3://bucket/runs`).

Names are relative to the storage, with `/` between parts. A file appears whole or not at all: locally it is written
beside its place, synced and renamed; an object store does the same by itself.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_TEMPORARY = ".tmp-"
# These publish an object when its stream is closed, and cannot rename.
_ATOMIC_STORES = ("s3", "gcs", "abfs")


class StorageError(Exception):
    """A storage that cannot be used, or a file in it that cannot be read; the text is one line for the user."""


def check_schema(found: Any, newest: int, where: str) -> None:
    """Refuse a file whose schema is neither `newest` nor the one before.

    Args:
        found: What the file says.
        newest: The schema this version writes.
        where: Name of the file, for the message.

    Raises:
        StorageError: The schema is not readable.
    """
    readable = [number for number in (newest - 1, newest) if number >= 1]
    if type(found) is not int or found not in readable:
        allowed = " and ".join(str(number) for number in readable)
        raise StorageError(f"{where}: schema must be one that this version reads; got {found!r}; allowed {allowed}")


class AppendFile:
    """A local file open for appending; every `write` reaches the kernel before it returns."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        _sync_folder(path.parent)

    def write(self, data: bytes) -> None:
        """Write all of `data`; it survives the death of this process."""
        written = os.write(self._descriptor, data)
        while written < len(data):
            written += os.write(self._descriptor, data[written:])

    def sync(self) -> None:
        """Bring all that was written to the disk; it survives a power loss."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Sync and close."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


class Storage:
    """A folder of files, local or remote.

    Args:
        root: Local path, or the path inside `filesystem`.
        filesystem: A pyarrow file system; None for a local folder.
        address: How the user wrote the place; `uri` builds on it.
    """

    def __init__(self, root: str | Path, filesystem: FileSystem | None = None, address: str | None = None) -> None:
        self.filesystem = filesystem
        self._root = str(root) if filesystem is not None else str(Path(root).absolute())
        # The options of a URI (`?endpoint_override=...`) stay behind its path.
        place, mark, options = (address or self._root).partition("?" if filesystem is not None else "\0")
        self._address = place.rstrip("/") or "/"
        self._options = mark + options

    @classmethod
    def open(cls, uri: str | os.PathLike[str], filesystem: FileSystem | None = None) -> Storage:
        """Open a place without touching it.

        Args:
            uri: Local path, `file://` URI, any URI of pyarrow's file systems, or a path inside `filesystem`.
            filesystem: A pyarrow file system, for what no URI names.

        Raises:
            StorageError: Nothing reaches that URI.
        """
        text = os.fspath(uri)
        if filesystem is not None:
            return cls(text, filesystem)
        if text.startswith("file://"):
            return cls(unquote(urlsplit(text).path))
        if "://" not in text:
            return cls(Path(text).expanduser())
        from pyarrow.fs import FileSystem

        try:
            remote, path = FileSystem.from_uri(text)
        except (ValueError, OSError, NotImplementedError) as error:
            raise StorageError(
                f"storage: must be a folder or a URI that pyarrow reaches; got {text!r}; {_line(error)}"
            ) from None
        return cls(path, remote, text)

    @classmethod
    def beside(cls, uri: str) -> tuple[Storage, str]:
        """Open the folder of a file; returns it, and the file's name in it.

        Args:
            uri: Of a file, as `uri` gives it: the options of a URI stand behind the name, and may hold slashes.
        """
        mark = "?" if "://" in uri and not uri.startswith("file://") else "\0"
        place, mark, options = uri.partition(mark)
        folder, _, name = place.rpartition("/")
        return cls.open(folder + mark + options), name

    def __repr__(self) -> str:
        return f"Storage({self._address!r})"

    @property
    def folder(self) -> Path | None:
        """The local folder, or None for a remote storage."""
        return Path(self._root) if self.filesystem is None else None

    @property
    def appendable(self) -> bool:
        """Whether files can grow."""
        return self.filesystem is None

    def at(self, name: str) -> Storage:
        """The storage inside folder `name`."""
        return Storage(self._path(name), self.filesystem, self.uri(name))

    def uri(self, name: str = "") -> str:
        """Where `name` lies, as a local path or a URI that `Storage.open` takes (without `filesystem`)."""
        return (f"{self._address}/{name}" if name else self._address) + self._options

    def ensure_writable(self) -> None:
        """Make the folder and write a file into it.

        Raises:
            StorageError: One of the two fails.
        """
        probe = f"{_TEMPORARY}{secrets.token_hex(4)}"
        self.write_atomic(probe, b"")
        self.delete(probe)

    def exists(self, name: str = "") -> bool:
        """Whether a file or folder is there."""
        if self.filesystem is None:
            return os.path.exists(self._path(name))
        from pyarrow.fs import FileType

        return bool(self.filesystem.get_file_info(self._path(name)).type != FileType.NotFound)

    def list(self, folder: str = "") -> list[str]:
        """Names of the files and folders directly in `folder`, sorted; half-written files are left out."""
        if self.filesystem is None:
            try:
                names = os.listdir(self._path(folder))
            except (FileNotFoundError, NotADirectoryError):
                return []
        else:
            from pyarrow.fs import FileSelector

            selector = FileSelector(self._path(folder), allow_not_found=True)
            names = [info.base_name for info in self.filesystem.get_file_info(selector)]
        return sorted(name for name in names if not name.startswith(_TEMPORARY))

    def read_bytes(self, name: str, start: int = 0) -> bytes:
        """What is in a file, from byte `start` on.

        Raises:
            FileNotFoundError: There is no such file.
        """
        if self.filesystem is None:
            with open(self._path(name), "rb", buffering=0) as local:
                local.seek(start)
                return local.read()
        with self.filesystem.open_input_file(self._path(name)) as remote:
            remote.seek(min(start, remote.size()))
            return bytes(remote.read())

    def write_atomic(self, name: str, data: bytes) -> None:
        """Write a whole file, in the place of one that may be there.

        Raises:
            StorageError: The storage cannot be written.
        """
        path = self._path(name)
        try:
            if self.filesystem is None:
                _write_local(path, data)
            else:
                self._write_remote(path, data)
        except OSError as error:
            raise self._unwritable(error) from None

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that must not be there yet; of several local callers exactly one gets True.

        A remote storage cannot exclude that two callers both get True.

        Raises:
            StorageError: The storage cannot be written.
        """
        if self.filesystem is not None:
            if self.exists(name):
                return False
            self.write_atomic(name, data)
            return True
        path = Path(self._path(name))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            return False
        except OSError as error:
            raise self._unwritable(error) from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        return True

    def append(self, name: str) -> AppendFile:
        """Open a local file for appending.

        Raises:
            StorageError: The storage is remote, or cannot be written.
        """
        if self.filesystem is not None:
            raise StorageError(f"{self.uri(name)}: only a file in a local folder can be appended to")
        path = Path(self._path(name))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return AppendFile(path)
        except OSError as error:
            raise self._unwritable(error) from None

    def delete(self, name: str) -> None:
        """Delete a file, or a folder with all that is in it; nothing happens when there is none."""
        path = self._path(name)
        if self.filesystem is None:
            if os.path.isdir(path) and not os.path.islink(path):
                import shutil

                shutil.rmtree(path, ignore_errors=True)
            else:
                Path(path).unlink(missing_ok=True)
            return
        from pyarrow.fs import FileType

        kind = self.filesystem.get_file_info(path).type
        if kind == FileType.Directory:
            self.filesystem.delete_dir(path)
        elif kind != FileType.NotFound:
            self.filesystem.delete_file(path)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    def _unwritable(self, error: OSError) -> StorageError:
        return StorageError(f"storage: must be writable; got {self._address!r}: {_line(error)}")

    def _write_remote(self, path: str, data: bytes) -> None:
        assert self.filesystem is not None
        target = path
        if self.filesystem.type_name not in _ATOMIC_STORES:
            folder, _, base = path.rpartition("/")
            self.filesystem.create_dir(folder, recursive=True)
            target = f"{folder}/{_TEMPORARY}{base}-{secrets.token_hex(4)}"
        with self.filesystem.open_output_stream(target) as stream:
            stream.write(data)
        if target != path:
            self.filesystem.move(target, path)


def _write_local(path: str, data: bytes) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{_TEMPORARY}{target.name}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """A rename lasts only when the folder is synced; some file systems do not allow it, and need it not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


def _line(error: BaseException) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__
