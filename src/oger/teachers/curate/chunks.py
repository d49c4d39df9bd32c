"""Source rows in chunks, read once and in one order, by the process that hands them to the workers.

Where a chunk begins and ends depends on the files alone, so that a resumed curation, and one with another number of
workers, cuts the same chunks. A part of a file that cannot be read is a chunk of its own, whose rows count as broken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oger.teachers.curate.layouts import load_layout
from oger.teachers.curate.options import HUB_PREFIX, Source

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_CHUNK = 256
_STREAMED_ROWS_PER_CHUNK = 32  # a row of a corpus can hold dozens of solutions
_BYTES_PER_CHUNK = 4 << 20
_LEAST_ROWS_PER_BATCH = 8
_LINES_LOOKED_AT = 100  # of a JSON lines file, before it is said to have other columns
_SUFFIXES = (".jsonl", ".parquet")


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one file."""

    source: int
    """Position of the source among the sources."""
    file: str
    first_row: int
    num_rows: int
    payload: list[bytes] | list[dict[str, Any]] | pa.RecordBatch | str
    """JSON lines, rows, Arrow rows; or why the rows cannot be read."""
    size: int = 0
    """Bytes of the file that this chunk stands for; 0 where that is not known."""

    def rows(self) -> Iterator[Any]:
        """Each row as a mapping; what cannot be read is a ValueError, as a value."""
        if isinstance(self.payload, str):
            yield from (ValueError(self.payload) for _ in range(self.num_rows))
        elif isinstance(self.payload, list):
            yield from (_json_row(row) if isinstance(row, bytes) else row for row in self.payload)
        else:
            yield from self.payload.to_pylist()


@dataclass(frozen=True)
class SourceFile:
    """One file of a source (or the whole of a source that is no file)."""

    source: int
    label: str
    """How rejects name it: its path as the user wrote it, inside a folder its path from there."""
    path: Path | None
    size: int
    """Bytes; 0 where that is not known."""
    problem: str | None = None
    """Why it cannot be read at all."""


def plan_files(sources: Sequence[Source]) -> list[SourceFile]:
    """The files of all sources, in order; every file is opened, so that a wrong one is known before anything is done.

    In a folder, a file that cannot be read is set aside if another can.

    Raises:
        FileNotFoundError: no such file or folder.
        ValueError: a file that is not what its layout reads; the message is one line.
    """
    return [file for number, source in enumerate(sources) for file in _source_files(number, source)]


def read_chunks(source: Source, file: SourceFile) -> Iterator[Chunk]:
    """The rows of one file in chunks."""
    if file.problem is not None:
        yield Chunk(file.source, file.label, 0, 1, file.problem)
    elif file.path is None:
        yield from _row_chunks(source, file)
    elif file.path.suffix == ".jsonl":
        yield from _jsonl_chunks(file)
    else:
        yield from _parquet_chunks(source, file)


def _source_files(number: int, source: Source) -> list[SourceFile]:
    if source.layout in ("champ", "world") or source.path.startswith(HUB_PREFIX):
        next(_rows(source), None)  # an absent package, world or data set is said now
        return [SourceFile(number, source.path or source.layout, None, 0)]
    path = Path(source.path)
    if path.is_dir():
        paths = sorted(p for p in path.rglob("*") if p.suffix in _SUFFIXES and p.is_file())
        if not paths:
            raise ValueError(f"source {source.name}: the folder {path} holds no {' or '.join(_SUFFIXES)} file")
        problems = [_file_problem(p, source) for p in paths]
        if all(problems):
            raise ValueError(f"source {source.name}: {problems[0]}")
        return [
            SourceFile(number, p.relative_to(path).as_posix(), p, p.stat().st_size, problem)
            for p, problem in zip(paths, problems, strict=True)
        ]
    if not path.exists():
        raise FileNotFoundError(f"source {source.name}: there is no file or folder {source.path!r}")
    if path.suffix not in _SUFFIXES:
        raise ValueError(f"source {source.name}: cannot read {path}: a file must be one of {', '.join(_SUFFIXES)}")
    problem = _file_problem(path, source)
    if problem is not None:
        raise ValueError(f"source {source.name}: {problem}")
    return [SourceFile(number, source.path, path, path.stat().st_size)]


def _file_problem(path: Path, source: Source) -> str | None:
    """Why a file cannot be read at all, None = it can."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        try:
            return _missing_columns(path, source, pq.read_schema(path).names)
        except (pa.ArrowInvalid, OSError) as error:
            return f"{path} is not a readable Parquet file: {' '.join(str(error).split())[:200]}"
    with open(path, "rb") as file:
        lines = [line for line in islice(file, _LINES_LOOKED_AT) if line.strip()]
    rows = [row for row in map(_json_row, lines) if isinstance(row, dict)]
    if not rows:
        return f"{path} holds no JSON object" + (f" in its first {len(lines)} lines" if lines else ": it is empty")
    problems = [_missing_columns(path, source, list(row)) for row in rows]
    return None if not all(problems) else problems[0]


def _missing_columns(path: Path, source: Source, names: Sequence[str]) -> str | None:
    layout = load_layout(source.layout)
    columns = {field: source.columns.get(field, field) for field in layout.fields}
    wanted = [columns[field] for field in layout.required]
    if layout.one_of and not any(columns[field] in names for field in layout.one_of):
        wanted.append(columns[layout.one_of[0]])
    wanted += [column for field, column in source.columns.items() if column and column not in wanted]
    for column in wanted:
        if column and column not in names:
            near = get_close_matches(column, names, n=1, cutoff=0.0)
            has = f"; nearest is {near[0]!r} (--map {source.name}.FIELD=COLUMN)" if near else ""
            return f"{path} has no column {column!r}, which the layout {source.layout!r} reads{has}"
    return None


def _json_row(line: bytes) -> dict[str, Any] | ValueError:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return ValueError(f"not JSON: {error}")
    return row if isinstance(row, dict) else ValueError(f"JSON, but {type(row).__name__}, not an object")


def _jsonl_chunks(file: SourceFile) -> Iterator[Chunk]:
    assert file.path is not None
    lines: list[bytes] = []
    first = size = 0
    with open(file.path, "rb") as stream:
        for line in stream:
            if not line.strip():
                continue
            lines.append(line)
            size += len(line)
            if len(lines) == ROWS_PER_CHUNK or size >= _BYTES_PER_CHUNK:
                yield Chunk(file.source, file.label, first, len(lines), lines, size)
                first, lines, size = first + len(lines), [], 0
    if lines:
        yield Chunk(file.source, file.label, first, len(lines), lines, size)


def _parquet_chunks(source: Source, file: SourceFile) -> Iterator[Chunk]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    layout = load_layout(source.layout)
    wanted = {source.columns.get(field, field) for field in layout.fields}
    first = 0
    with pq.ParquetFile(file.path, page_checksum_verification=True) as parquet:
        columns = [name for name in parquet.schema_arrow.names if name in wanted]
        for group in range(parquet.num_row_groups):
            metadata = parquet.metadata.row_group(group)
            row_bytes = max(1, metadata.total_byte_size // max(1, metadata.num_rows))
            batch_size = max(_LEAST_ROWS_PER_BATCH, min(ROWS_PER_CHUNK, _BYTES_PER_CHUNK // row_bytes))
            last = first + metadata.num_rows
            try:
                for batch in parquet.iter_batches(batch_size, row_groups=[group], columns=columns):
                    size = file.size * batch.num_rows // parquet.metadata.num_rows
                    yield Chunk(file.source, file.label, first, batch.num_rows, batch, size)
                    first += batch.num_rows
            except (pa.ArrowInvalid, OSError) as error:  # a damaged row group; the others may be whole
                problem = f"row group {group} cannot be read: {' '.join(str(error).split())[:200]}"
                yield Chunk(file.source, file.label, first, last - first, problem)
                first = last


def _row_chunks(source: Source, file: SourceFile) -> Iterator[Chunk]:
    rows = _rows(source)
    first = 0
    while batch := list(islice(rows, _STREAMED_ROWS_PER_CHUNK)):
        yield Chunk(file.source, file.label, first, len(batch), batch)
        first += len(batch)


def _rows(source: Source) -> Iterator[dict[str, Any]]:
    """Rows of a source that is no file."""
    if source.layout == "champ":
        from oger.teachers.curate.layouts.champ import champ_rows

        if source.path:
            raise ValueError(f"source {source.name}: the layout champ reads an installed package; write champ: alone")
        return champ_rows()
    if source.layout == "world":
        from oger.worlds import load_world

        name, _, split = source.path.partition("/")
        if not name or not split:
            raise ValueError(f"source {source.name}: {source.path!r} names no split of a world; write world:NAME/SPLIT")
        return iter(load_world(name).raw_trajectories(split))
    return _hub_rows(source)


def _hub_rows(source: Source) -> Iterator[dict[str, Any]]:
    name, _, split = source.path.removeprefix(HUB_PREFIX).partition(":")
    parts = name.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise ValueError(f"source {source.name}: write hub:OWNER/NAME[/CONFIG][:SPLIT], got {source.path!r}")
    from datasets import load_dataset

    # Whatever the hub, the network or the data set raises, the user's question is the same: why not this source?
    try:
        stream = load_dataset(
            "/".join(parts[:2]), parts[2] if len(parts) == 3 else None, split=split or "train", streaming=True
        )
        problem = _missing_columns(Path(name), source, list(stream.features or next(iter(stream))))
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise ValueError(f"source {source.name}: cannot read {source.path} from the hub: {reason}") from error
    if problem is not None:
        raise ValueError(f"source {source.name}: {problem}")
    return iter(stream)


def canonical(row: Mapping[str, Any], source: Source) -> dict[str, Any]:
    """The row by the names of the layout's fields; an absent column is None."""
    layout = load_layout(source.layout)
    return {field: row.get(source.columns.get(field, field)) for field in layout.fields}
