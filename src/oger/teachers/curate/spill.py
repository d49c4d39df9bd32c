"""Rows sorted by position on disk: first into buckets that each hold a range of positions, then bucket by bucket.

Rows come in any order and leave in order, with one bucket in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

_BYTES_PER_BUCKET = 8 << 20
_MAX_BUCKETS = 256  # each has open files while the rows come in


class Buckets:
    """Tables of rows with a column `position` (1 to `last`), spread over files. A context manager.

    Args:
        folder: Takes the files; empty.
        schemas: Table -> its schema.
        last: The highest position.
        num_bytes: About how much there will be in all.
    """

    def __init__(self, folder: Path, schemas: Mapping[str, pa.Schema], *, last: int, num_bytes: int) -> None:
        self._folder = folder
        self._schemas = schemas
        self._last = last
        self._count = max(1, min(_MAX_BUCKETS, last, num_bytes // _BYTES_PER_BUCKET))
        self._writers: dict[tuple[str, int], Any] = {}

    def __enter__(self) -> Buckets:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def add(self, table: str, rows: pa.RecordBatch) -> None:
        """Put rows of one table where they belong."""
        buckets = (rows["position"].to_numpy() - 1) * self._count // self._last
        for bucket in np.unique(buckets):
            self._writer(table, int(bucket)).write_batch(rows.take(np.flatnonzero(buckets == bucket)))

    def read(self) -> Iterator[dict[str, list[dict[str, Any]]]]:
        """Bucket by bucket in order of position: table -> its rows, sorted by position and then by `seq`."""
        self._close()
        for bucket in range(self._count):
            yield {table: self._rows(table, bucket) for table in self._schemas}

    def _rows(self, table: str, bucket: int) -> list[dict[str, Any]]:
        path = self._path(table, bucket)
        if not path.exists():
            return []
        with pa.ipc.open_stream(path) as stream:
            rows: list[dict[str, Any]] = stream.read_all().to_pylist()
        path.unlink()
        return sorted(rows, key=lambda row: (row["position"], row["seq"]))

    def _writer(self, table: str, bucket: int) -> Any:
        if (table, bucket) not in self._writers:
            self._writers[table, bucket] = pa.ipc.new_stream(self._path(table, bucket), self._schemas[table])
        return self._writers[table, bucket]

    def _path(self, table: str, bucket: int) -> Path:
        return self._folder / f"{table}-{bucket:04d}.arrows"

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
