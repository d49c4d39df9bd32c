"""Sources of rows, as recipes and the command line name them: the one reader, of whole sources or in chunks.

world:NAME/SPLIT           a split of an embedded world
champ:                     the problems of the installed package champ-dataset
PATH.jsonl, PATH.parquet   a local file, one row per line or row
FOLDER                     a folder of `oger teachers curate`: its table.parquet
[hub:]OWNER/NAME[/CONFIG][:SPLIT]  a dataset of the Hugging Face hub, split "train" unless named
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oger.io.local import looks_local, meant
from oger.plugins import import_object
from oger.terminal.errors import one_line

if TYPE_CHECKING:
    import pyarrow as pa

WORLD_PREFIX = "world:"
HUB_PREFIX = "hub:"

READERS: Mapping[str, str] = {
    WORLD_PREFIX: "oger.worlds.world:read_split",
    "champ:": "oger.teachers.curate.layouts.champ:read_corpus",
}
"""Prefix -> who reads such sources: a function of what follows the prefix, a limit of rows or None, and whether rows
with all that teachers wrote are wanted, unverified. By name, since the rooms that it lies in stand above this one."""

FILE_FORMATS = (".jsonl", ".parquet")
_OTHER_FILES = (".json", ".csv", ".tsv", ".arrow", ".txt", ".yaml", ".gz", ".zst")
_TABLE = "table.parquet"

ROWS_PER_CHUNK = 256
_STREAMED_ROWS_PER_CHUNK = 32  # a row of a corpus can hold dozens of solutions
_BYTES_PER_CHUNK = 4 << 20
_LEAST_ROWS_PER_BATCH = 8
_LINES_LOOKED_AT = 100  # of a JSON lines file, for the names of its columns
_REASON_CHARACTERS = 200


class SourceError(ValueError):
    """Rows that cannot be had; the message is one line that says what to do."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one source, not parsed yet: another process may do that."""

    first_row: int
    num_rows: int
    payload: list[bytes] | list[dict[str, Any] | ValueError] | pa.RecordBatch | str
    """JSON lines, rows, Arrow rows; or why the rows cannot be read."""
    size: int = 0
    """Bytes of the file that this chunk stands for; 0 where that is not known."""

    def rows(self) -> Iterator[dict[str, Any] | ValueError]:
        """Each row; what cannot be read is a ValueError, as a value."""
        if isinstance(self.payload, str):
            yield from (ValueError(self.payload) for _ in range(self.num_rows))
        elif isinstance(self.payload, list):
            yield from (_json_row(row) if isinstance(row, bytes) else row for row in self.payload)
        else:
            yield from python_rows(self.payload)


def load_rows(source: str, limit: int | None = None) -> list[dict[str, Any]]:
    """The rows of `source`, the first `limit` of them where a limit is given.

    Raises:
        SourceError: no such source, unreadable, or without rows.
    """
    if limit is not None and limit < 1:
        raise SourceError(f"the limit of rows must be at least 1, got {limit}")
    if is_registered(source):
        rows = list(islice(read_registered(source, limit), limit))
    elif (path := _data_file(source)) is not None:
        rows = list(islice(_file_rows(path), limit))
    else:
        rows = list(map(_readable, python_rows(_hub_dataset(source).with_format("arrow")[:])))
    if not rows:
        raise SourceError(f"{source} has no rows")
    return rows[:limit]


def world_name(source: str) -> str | None:
    """NAME of "world:NAME" or "world:NAME/SPLIT", None for any other source or model."""
    return split_world(source.removeprefix(WORLD_PREFIX))[0] if source.startswith(WORLD_PREFIX) else None


def split_world(text: str) -> tuple[str, str]:
    """NAME and SPLIT of NAME/SPLIT, "" where one is missing. NAME may be path/to/file.py:Class.

    >>> split_world("arithmetic/test"), split_world("/my/world.py:World/test")
    (('arithmetic', 'test'), ('/my/world.py:World', 'test'))
    """
    path, colon, rest = text.partition(".py:")
    name, _, split = rest.partition("/") if colon else text.partition("/")
    return (f"{path}.py:{name}" if colon else name), split


def dataset_column(dataset: Any, name: str) -> list[Any]:
    """The values of a column of a `datasets.Dataset` as those of a file, whatever format was set for it."""
    table = dataset.with_format("arrow").select_columns(name)[:]
    return [_readable(row)[name] for row in python_rows(table)]


def is_registered(source: str) -> bool:
    """Whether one of READERS reads it."""
    return source.startswith(tuple(READERS))


def read_registered(source: str, limit: int | None = None, *, raw: bool = False) -> Iterator[dict[str, Any]]:
    """The rows of a source that one of READERS reads; `raw` with all that teachers wrote, unverified.

    Raises:
        ValueError: the reader's, about a name that is not there or a package that is not installed.
    """
    prefix = next(prefix for prefix in READERS if source.startswith(prefix))
    read = import_object(READERS[prefix], what="the reader")
    return iter(read(source.removeprefix(prefix), limit=limit, raw=raw))


def stream_from_hub(source: str) -> tuple[list[str], Iterator[dict[str, Any] | ValueError]]:
    """The columns of a dataset of the hub, and its rows as they arrive and as those of a file; see `python_rows`.

    Raises:
        SourceError: see `load_rows`.
    """
    stream = _hub_dataset(source, streaming=True)
    with _hub_faults(source):
        names = list(stream.features or next(iter(stream)))
    tables = stream.with_format("arrow").iter(batch_size=_STREAMED_ROWS_PER_CHUNK)
    return names, (row for table in tables for row in python_rows(table))


def data_files(path: Path) -> list[Path]:
    """A data file, or every one below a folder, sorted.

    Raises:
        FileNotFoundError: no such file or folder.
        SourceError: a file of another format, or a folder without a data file.
    """
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in FILE_FORMATS and p.is_file())
        if not found:
            raise SourceError(f"the folder {path} holds no {' or '.join(FILE_FORMATS)} file")
        return found
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}")
    if path.suffix.lower() not in FILE_FORMATS or not path.is_file():
        raise SourceError(_wrong_format(path))
    return [path]


def column_names(path: Path) -> list[list[str]]:
    """The columns of a Parquet file, or those of each object in the first lines of a JSON lines file.

    Raises:
        SourceError: not Parquet, or no object in those lines.
    """
    if path.suffix.lower() == ".parquet":
        with open_parquet(path) as parquet:
            return [parquet.schema_arrow.names]
    lines = [line for _, line in _json_lines(path, _LINES_LOOKED_AT)]
    rows = [row for row in map(_json_row, lines) if isinstance(row, dict)]
    if not rows:
        where = f" in its first {len(lines)} lines" if lines else ": it is empty"
        raise SourceError(f"{path} holds no JSON object{where}")
    return [list(row) for row in rows]


def file_chunks(path: Path, columns: Collection[str] | None = None) -> Iterator[Chunk]:
    """The rows of a data file in chunks, whose ends depend on the file alone.

    Args:
        path: the file.
        columns: those of a Parquet file that are read; None = all.

    Yields:
        Chunks; a damaged row group of a Parquet file is one that cannot be read.

    Raises:
        SourceError: not a Parquet file at all.
    """
    return _jsonl_chunks(path) if path.suffix.lower() == ".jsonl" else _parquet_chunks(path, columns)


def row_chunks(rows: Iterable[dict[str, Any] | ValueError]) -> Iterator[Chunk]:
    """Rows that are in no file, in chunks."""
    rows = iter(rows)
    first = 0
    while batch := list(islice(rows, _STREAMED_ROWS_PER_CHUNK)):
        yield Chunk(first, len(batch), batch)
        first += len(batch)


def open_parquet(path: str | os.PathLike[str]) -> Any:
    """The `pyarrow.parquet.ParquetFile` at a path, whose pages are checked as they are read.

    Raises:
        SourceError: it is none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path} is not a readable Parquet file: {one_line(error, _REASON_CHARACTERS)}") from error


def python_rows(table: pa.RecordBatch | pa.Table) -> Iterator[dict[str, Any] | ValueError]:
    """Each row of Arrow data; one that Python cannot hold, such as a time outside its calendar or a text that is no
    UTF-8, is a ValueError that names the column, as a value. A float of 32 or 16 bits is its own digits: 0.1 rather
    than the double beside it, 0.10000000149011612."""
    for place, field in enumerate(table.schema):
        if (digits := _own_digits(table.column(place))) is not None:
            table = table.set_column(place, field.name, digits)
    try:
        yield from table.to_pylist()
    except (ValueError, OverflowError):
        for number in range(table.num_rows):
            yield _python_row(table.slice(number, 1))


def _own_digits(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray | None:
    """Narrow floats, also in lists and structs, as the doubles of the same digits; None = a column without such."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if column.type == pa.float16():
        import numpy as np

        values = column.to_pylist()
        return pa.array([None if value is None else float(str(np.float16(value))) for value in values])
    written, read = (_in_place_of_float32(column.type, kind) for kind in (pa.string(), pa.float64()))
    return None if read == column.type else pc.cast(pc.cast(column, written), read)


def _in_place_of_float32(kind: pa.DataType, other: pa.DataType) -> pa.DataType:
    """A type with another one in place of floats of 32 bits."""
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        make = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return make(kind.value_field.with_type(_in_place_of_float32(kind.value_type, other)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_in_place_of_float32(field.type, other)) for field in kind])
    return other if kind == pa.float32() else kind


def _readable(row: dict[str, Any] | ValueError) -> dict[str, Any]:
    if isinstance(row, ValueError):
        raise SourceError(str(row)) from row
    return row


def _python_row(row: pa.RecordBatch | pa.Table) -> dict[str, Any] | ValueError:
    values = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            [values[name]] = column.to_pylist()
        except (ValueError, OverflowError) as error:
            return ValueError(f"no row that can be read: column {name!r}: {one_line(error, _REASON_CHARACTERS)}")
    return values


def _hub_dataset(source: str, **how: bool) -> Any:
    if looks_local(source):
        where = f"looked in {Path.cwd()}, not on the hub, since it is written as a path"
        raise SourceError(f"{source!r} is no source of rows: it does not exist ({where}){meant(source)}")
    name, _, split = source.removeprefix(HUB_PREFIX).partition(":")
    parts = name.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise SourceError(
            f"{source!r} is no source of rows: write {WORLD_PREFIX}NAME/SPLIT, a .jsonl or .parquet file that exists, "
            "or OWNER/NAME[/CONFIG][:SPLIT] on the hub"
        )
    from datasets import load_dataset

    with _hub_faults(source):
        return load_dataset("/".join(parts[:2]), parts[2] if len(parts) == 3 else None, split=split or "train", **how)


@contextmanager
def _hub_faults(source: str) -> Iterator[None]:
    """Whatever the hub, the network or the dataset raises, the user's question is the same: why not this source?"""
    try:
        yield
    except Exception as error:
        raise SourceError(f"cannot load {source} from the hub: {type(error).__name__}: {one_line(error)}") from error


def _data_file(source: str) -> Path | None:
    """The file that a source names; None = it names none."""
    path = Path(os.path.expanduser(source))
    if os.path.isfile(path / _TABLE):
        return path / _TABLE
    if path.suffix.lower() in FILE_FORMATS:
        if not os.path.isfile(path):
            raise SourceError(f"the data file {source} does not exist (looked in {Path.cwd()}){meant(source)}")
        return path
    if path.suffix.lower() in _OTHER_FILES or os.path.exists(path):
        raise SourceError(_wrong_format(source))
    return None


def _wrong_format(path: str | Path) -> str:
    return f"cannot read {path}: a file must be one of {', '.join(FILE_FORMATS)}"


def _file_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a data file, every one of which must be readable."""
    if path.suffix.lower() == ".parquet":
        for chunk in _parquet_chunks(path, None):
            if isinstance(chunk.payload, str):
                raise SourceError(f"{path} is not a readable Parquet file: {chunk.payload}")
            for number, row in enumerate(chunk.rows(), chunk.first_row):
                if isinstance(row, ValueError):
                    raise SourceError(f"{path} row {number} is {row}") from row
                yield row
        return
    for number, line in _json_lines(path):
        try:
            row = _json_row(line.decode())
        except UnicodeDecodeError as error:
            raise SourceError(f"{path} is not UTF-8 text: {error}") from error
        if isinstance(row, ValueError):
            raise SourceError(f"{path} line {number} is {row}") from row
        yield row


def _json_lines(path: Path, most: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The lines among the first `most` that are not empty, and their numbers, from 1."""
    with open(path, "rb") as file:
        for number, line in enumerate(islice(file, most), start=1):
            if line.strip():
                yield number, line


def _json_row(line: bytes | str) -> dict[str, Any] | ValueError:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return ValueError(f"not JSON: {error}")
    return row if isinstance(row, dict) else ValueError(f"JSON, but {type(row).__name__}, not an object")


def _jsonl_chunks(path: Path) -> Iterator[Chunk]:
    lines: list[bytes] = []
    first = size = 0
    for _, line in _json_lines(path):
        lines.append(line)
        size += len(line)
        if len(lines) == ROWS_PER_CHUNK or size >= _BYTES_PER_CHUNK:
            yield Chunk(first, len(lines), lines, size)
            first, lines, size = first + len(lines), [], 0
    if lines:
        yield Chunk(first, len(lines), lines, size)


def _parquet_chunks(path: Path, wanted: Collection[str] | None) -> Iterator[Chunk]:
    import pyarrow as pa

    first, num_bytes = 0, path.stat().st_size
    with open_parquet(path) as parquet:
        columns = [name for name in parquet.schema_arrow.names if wanted is None or name in wanted]
        for group in range(parquet.num_row_groups):
            metadata = parquet.metadata.row_group(group)
            row_bytes = max(1, metadata.total_byte_size // max(1, metadata.num_rows))
            batch_size = max(_LEAST_ROWS_PER_BATCH, min(ROWS_PER_CHUNK, _BYTES_PER_CHUNK // row_bytes))
            last = first + metadata.num_rows
            try:
                for batch in parquet.iter_batches(batch_size, row_groups=[group], columns=columns):
                    yield Chunk(first, batch.num_rows, batch, num_bytes * batch.num_rows // parquet.metadata.num_rows)
                    first += batch.num_rows
            except (pa.ArrowInvalid, OSError) as error:  # a damaged row group; the others may be whole
                yield Chunk(
                    first, last - first, f"row group {group} cannot be read: {one_line(error, _REASON_CHARACTERS)}"
                )
                first = last
