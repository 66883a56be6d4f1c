"""Snapshots: a cache of the controller's state, so that a resume need not replay the whole journal.

A snapshot is two files, `snapshots/OFFSET.npz` (the arrays) and `snapshots/OFFSET.json` (all the rest, and the
checksums of both), written in this order: one without its JSON does not count. The newest two are kept.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import math
import zlib
from typing import Any

import numpy as np

from cluster.storage import Storage, check_schema

SCHEMA = 1
KEEP = 2
FOLDER = "snapshots"

_log = logging.getLogger(__name__)


class SnapshotError(Exception):
    """A state that cannot be saved, or a snapshot that cannot be read."""


def save(storage: Storage, state: dict[str, Any], offset: int) -> None:
    """Write a snapshot and delete all but the newest two.

    The journal must be synced before, so that no snapshot knows more than the journal does.

    Args:
        storage: The storage of the search.
        state: Dicts with text keys, lists, None, bool, int, float, str, bytes and numpy arrays.
        offset: Number of journal records that the state contains.

    Raises:
        SnapshotError: A leaf is of another type.
        StorageError: The storage cannot be written.
    """
    arrays: list[np.ndarray] = []
    tree = _pack(state, arrays, "state")
    packed = io.BytesIO()
    np.savez(packed, allow_pickle=False, **{str(index): array for index, array in enumerate(arrays)})
    text = json.dumps(tree, separators=(",", ":"), allow_nan=False)
    content = {
        "schema": SCHEMA,
        "offset": offset,
        "crc": _crc(text.encode()),
        "arrays_crc": _crc(packed.getvalue()),
        "state": text,
    }
    name = f"{FOLDER}/{offset:012d}"
    storage.write_atomic(f"{name}.npz", packed.getvalue())
    storage.write_atomic(f"{name}.json", json.dumps(content).encode())
    kept = _names(storage)[:KEEP]
    for file in storage.list(FOLDER):
        if file.partition(".")[0] not in kept:
            storage.delete(f"{FOLDER}/{file}")


def load_newest(storage: Storage, limit: int | None = None) -> tuple[dict[str, Any], int] | None:
    """The newest snapshot that is whole; a damaged one is passed over with a warning.

    Args:
        storage: The storage of the search.
        limit: Number of records in the journal; a snapshot that knows more of them is passed over.

    Returns:
        The state and the number of journal records in it, or None when there is no snapshot.
    """
    for name in _names(storage):
        try:
            state, offset = _load(storage, name)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a cache, the one before it or the journal serves
            _log.warning("%s: not used: %s", storage.uri(f"{FOLDER}/{name}.json"), error)
            continue
        if limit is None or offset <= limit:
            return state, offset
        _log.warning(
            "%s: not used: it knows %d records, the journal %d", storage.uri(f"{FOLDER}/{name}.json"), offset, limit
        )
    return None


def _names(storage: Storage) -> list[str]:
    """Names of the snapshots, the newest first."""
    files = storage.list(FOLDER)
    return sorted((file.removesuffix(".json") for file in files if file.endswith(".json")), reverse=True)


def _load(storage: Storage, name: str) -> tuple[dict[str, Any], int]:
    where = f"{FOLDER}/{name}"
    content = json.loads(storage.read_bytes(f"{where}.json"))
    check_schema(content["schema"], SCHEMA, storage.uri(f"{where}.json"))
    packed = storage.read_bytes(f"{where}.npz")
    if _crc(content["state"].encode()) != content["crc"] or _crc(packed) != content["arrays_crc"]:
        raise SnapshotError("the checksum does not match")
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return _unpack(json.loads(content["state"]), arrays), int(content["offset"])


def _crc(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"


def _pack(value: Any, arrays: list[np.ndarray], path: str) -> Any:
    """`value` as JSON; what JSON does not know becomes `{"$type": ...}`."""
    # The kinds that there are most of go first.
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays.append(value)
        return {"$array": len(arrays) - 1}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if kind is list:
        return [_pack(item, arrays, f"{path}/{index}") for index, item in enumerate(value)]
    if kind is dict and all(type(key) is str for key in value):
        packed = {key: _pack(item, arrays, f"{path}/{key}") for key, item in value.items()}
        # A dict of the user that looks like one of ours.
        return {"$dict": packed} if any(key.startswith("$") for key in value) else packed
    raise SnapshotError(
        f"{path}: a state holds dicts with text keys, lists, None, bool, int, float, str, bytes and numpy arrays; "
        f"got {kind.__name__}"
    )


def _unpack(value: Any, arrays: Any) -> Any:
    if isinstance(value, list):
        return [_unpack(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if "$array" in value:
        return arrays[str(value["$array"])]
    if "$bytes" in value:
        return base64.b64decode(value["$bytes"])
    if "$float" in value:
        return float(value["$float"])
    return {key: _unpack(item, arrays) for key, item in value.get("$dict", value).items()}
