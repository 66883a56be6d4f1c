"""Checkpoints: written whole or not at all, checked when read, never overwritten.

A file is what `torch.save` writes plus a trailer with its SHA-256, which `torch.load` passes over.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

SCHEMA = 1
_MAGIC = b"deepspace-sha256"
_TRAILER = len(_MAGIC) + hashlib.sha256().digest_size


class CheckpointError(Exception):
    """A checkpoint is missing, damaged, of another schema, or already there."""


def save(folder: str, name: str, state: dict[str, Any]) -> str:
    """Writes a state.

    Args:
        folder: A local path or a pyarrow URI; made when it is missing.
        name: File name, `ATTEMPT-STEP.pt`.
        state: Dicts with text keys, lists and tuples of tensors, numbers, text, bytes and None.

    Returns:
        The path relative to the folder's parent: `TRIAL/ATTEMPT-STEP.pt`.

    Raises:
        CheckpointError: The file exists, or the state holds something else.
    """
    import torch

    _refuse_foreign(state, "state")
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **state}, buffer)
    content = buffer.getbuffer()
    trailer = _MAGIC + hashlib.sha256(content).digest()
    if _remote(folder):
        _write_remote(folder, name, bytes(content) + trailer)
    else:
        _write_local(Path(folder.removeprefix("file://")), name, (content, trailer))
    return f"{_place(folder).rstrip('/').rsplit('/', 1)[-1]}/{name}"


def inside(folder: str, name: str) -> str:
    """Returns where `save` puts a file; the options of a URI (`?region=...`) stay behind its path."""
    place, mark, options = folder.partition("?" if "://" in folder else "\0")
    return f"{place.rstrip('/')}/{name}{mark}{options}"


def load(path: str) -> dict[str, Any]:
    """Reads a state, its tensors on the CPU.

    Args:
        path: A local path or a pyarrow URI.

    Raises:
        CheckpointError: The file is missing or damaged, or its schema is unknown.
    """
    import torch

    content = _read(path)
    body, trailer = memoryview(content)[:-_TRAILER], content[-_TRAILER:]
    if trailer != _MAGIC + hashlib.sha256(body).digest():
        raise CheckpointError(f"{path}: checkpoint is damaged: its checksum does not match its {len(content)} bytes")
    state: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    if state.get("schema") != SCHEMA:
        raise CheckpointError(f"{path}: checkpoint has schema {state.get('schema')}; this version reads {SCHEMA}")
    return state


def weights(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Returns the weights that were judged: those of the network, or their moving average where there is one."""
    return {**state["network"], **state.get("ema", {}).get("average", {})}


def _remote(folder: str) -> bool:
    return "://" in folder and not folder.startswith("file://")


def _place(folder: str) -> str:
    """The folder without the options of a URI, `?endpoint_override=...`, which may hold slashes too."""
    return folder.partition("?")[0] if _remote(folder) else folder


def _refuse_foreign(node: Any, path: str) -> None:
    import torch

    if isinstance(node, dict):
        for key, value in node.items():
            if not isinstance(key, str | int):
                raise CheckpointError(f"{path}: keys of a checkpoint are text; got {key!r}")
            _refuse_foreign(value, f"{path}/{key}")
    elif isinstance(node, list | tuple):
        for i, value in enumerate(node):
            _refuse_foreign(value, f"{path}/{i}")
    elif not (node is None or isinstance(node, torch.Tensor) or type(node) in (bool, int, float, str, bytes)):
        raise CheckpointError(
            f"{path}: a checkpoint cannot hold {type(node).__name__}; allowed tensors, numbers, text, bytes, None, "
            "and dicts, lists and tuples of them (torch.from_numpy makes a tensor of an array)"
        )


def _write_local(folder: Path, name: str, chunks: tuple[bytes | memoryview, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target, temporary = folder / name, folder / f".{name}.{secrets.token_hex(4)}.tmp"
    if target.exists():
        raise CheckpointError(f"{target}: checkpoint exists and is never overwritten")
    with open(temporary, "wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, target)


def _write_remote(folder: str, name: str, content: bytes) -> None:
    from pyarrow import fs

    system, base = fs.FileSystem.from_uri(folder)
    target = f"{base.rstrip('/')}/{name}"
    if system.get_file_info(target).type != fs.FileType.NotFound:
        raise CheckpointError(f"{folder}/{name}: checkpoint exists and is never overwritten")
    system.create_dir(base, recursive=True)
    # An object store shows an object once it is closed; elsewhere the checksum finds a torn file.
    with system.open_output_stream(target) as file:
        file.write(content)


def _read(path: str) -> bytes:
    try:
        if "://" not in path:
            return Path(path).read_bytes()
        from pyarrow import fs

        system, inner = fs.FileSystem.from_uri(path)
        with system.open_input_stream(inner) as file:
            content: bytes = file.read()
        return content
    except (OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"{path}: checkpoint cannot be read: {error}") from error
