"""Vectors on disk under 16-byte keys, written by any number of processes at once and never trusted unchecked.

Every process appends to a file of its own, so that no lock is needed and a network folder will do. A record is

    key (16 bytes) | vector (E little-endian float32) | checksum (8 bytes, over salt, key and vector)

and all records have the same size. Memory holds where each vector is (about 200 bytes per vector), not the vector.
A record whose checksum or values are wrong is left out with a warning, and the caller makes the vector anew; so is a
file that cannot be read, and what is no regular file is none of the store's. Where the disk refuses a new vector, no
more are kept, with one warning: a cache is never a reason to stop.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

KEY_BYTES = 16
_CHECKSUM_BYTES = 8
_SUFFIX = ".vectors"
_READ_BYTES = 2**24


class VectorStore:
    """Vectors of one dimension in one folder.

    Args:
        folder: Made if it is not there; holds only files of this store.
        dimension: E.
        salt: What the vectors are; a file written under another salt is not accepted.
    """

    def __init__(self, folder: Path, dimension: int, salt: bytes) -> None:
        self._folder = folder
        self._salt = salt
        self._dimension = dimension
        self._record_bytes = KEY_BYTES + 4 * dimension + _CHECKSUM_BYTES
        self._places: dict[bytes, tuple[Path, int]] = {}
        self._checked_bytes: dict[Path, int] = {}
        self._own: IO[bytes] | None = None
        self._own_path = folder / f"{os.getpid()}-{secrets.token_hex(8)}{_SUFFIX}"
        folder.mkdir(parents=True, exist_ok=True)
        self._refused = False
        for path in self.refresh():
            if (rest := _size(path) % self._record_bytes) != 0:
                self._warn(f"{path} ends within a record ({rest} bytes)")

    def __len__(self) -> int:
        return len(self._places)

    def refresh(self) -> list[Path]:
        """Take in what other processes have written since; returns the files of the store."""
        named = (path for path in self._folder.glob(f"*{_SUFFIX}") if path != self._own_path)
        paths = sorted(path for path in named if path.is_file() and not path.is_symlink())
        for path in paths:
            try:
                self._take_in(path)
            except OSError as error:
                self._checked_bytes[path] = _size(path)
                self._warn(f"{path} cannot be read ({error.strerror})")
        return paths

    def read(self, keys: Iterable[bytes]) -> dict[bytes, np.ndarray]:
        """Vectors (E,) of those keys that the store holds; a damaged one is forgotten with a warning."""
        by_file: dict[Path, list[tuple[int, bytes]]] = {}
        for key in set(keys):
            if key in self._places:
                path, offset = self._places[key]
                by_file.setdefault(path, []).append((offset, key))
        found = {}
        for path, places in by_file.items():
            records = self._read_records(path, places)
            for (_, key), record in zip(places, records, strict=True):
                vector = self._vector(record)
                if vector is None or record[:KEY_BYTES] != key:
                    del self._places[key]
                else:
                    found[key] = vector
            if damaged := sum(key not in found for _, key in places):
                self._warn(f"{damaged} vectors in {path} are damaged")
        return found

    def add(self, keys: list[bytes], vectors_NE: np.ndarray) -> None:
        """Append vectors; they are on disk, as far as this machine keeps running, when the call returns, unless the
        disk refuses them."""
        if self._refused:
            return
        records = []
        for key, vector in zip(keys, np.ascontiguousarray(vectors_NE, dtype="<f4"), strict=True):
            content = key + vector.tobytes()
            records.append(content + self._checksum(content))
        try:
            start = self._append(b"".join(records))
        except OSError as error:
            self._refused = True
            warnings.warn(
                f"{self._own_path} cannot be written ({error.strerror}): no more vectors are kept",
                RuntimeWarning,
                stacklevel=3,
            )
            return
        for number, key in enumerate(keys):
            self._places[key] = (self._own_path, start + number * self._record_bytes)

    def _append(self, content: bytes) -> int:
        """Where the content begins in the file."""
        if self._own is None:
            self._own = self._own_path.open("ab", buffering=0)
        start = self._own.tell()
        try:
            while content:
                content = content[self._own.write(content) or 0 :]
        except OSError:
            with suppress(OSError):  # else readers leave out half a record
                self._own.truncate(start)
            raise
        return start

    def _take_in(self, path: Path) -> None:
        size, damaged, offset = self._record_bytes, 0, self._checked_bytes.get(path, 0)
        if _size(path) - offset < size:
            return
        with path.open("rb") as file:
            file.seek(offset)
            while len(block := file.read(max(1, _READ_BYTES // size) * size)) >= size:
                for start in range(0, len(block) - size + 1, size):
                    record = block[start : start + size]
                    if self._vector(record) is None:
                        damaged += 1
                    else:
                        self._places[record[:KEY_BYTES]] = (path, offset + start)
                offset += len(block) // size * size
        self._checked_bytes[path] = offset
        if damaged:
            self._warn(f"{damaged} records in {path} are damaged")

    def _read_records(self, path: Path, places: list[tuple[int, bytes]]) -> list[bytes]:
        places.sort()
        try:
            with path.open("rb") as file:
                records = []
                for offset, _ in places:
                    file.seek(offset)
                    records.append(file.read(self._record_bytes))
                return records
        except OSError:  # someone has removed the file, or the disk fails: its vectors are made anew
            return [b""] * len(places)

    def _vector(self, record: bytes) -> np.ndarray | None:
        if len(record) != self._record_bytes:
            return None
        content, checksum = record[:-_CHECKSUM_BYTES], record[-_CHECKSUM_BYTES:]
        if self._checksum(content) != checksum:
            return None
        vector = np.frombuffer(content, dtype="<f4", offset=KEY_BYTES)
        return vector if np.isfinite(vector).all() else None

    def _checksum(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES, key=self._salt).digest()

    def _warn(self, what: str) -> None:
        warnings.warn(
            f"{what}: these vectors are computed anew (remove the file to be rid of this message)",
            RuntimeWarning,
            stacklevel=4,
        )


def _size(path: Path) -> int:
    """Bytes; none where the file has just been removed."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
