"""The files of a curation's sources, and their rows in chunks, read once and in one order.

Where a chunk begins and ends depends on the files alone, so that a resumed curation, and one with another number of
workers, cuts the same chunks. A part of a file that cannot be read is a chunk of its own, whose rows count as broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from oger.io.rows import (
    HUB_PREFIX,
    Chunk,
    SourceError,
    column_names,
    data_files,
    file_chunks,
    is_registered,
    read_registered,
    row_chunks,
    stream_from_hub,
)
from oger.teachers.curate.layouts import load_layout
from oger.teachers.curate.options import Source


@dataclass(frozen=True)
class SourceFile:
    """One file of a source (or the whole of a source that is no file)."""

    source: int
    """Position of the source among the sources."""
    label: str
    """How rejects name it: its path as the user wrote it, inside a folder its path from there."""
    path: Path | None = None
    size: int = 0
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
    files = []
    for number, source in enumerate(sources):
        try:
            files += _source_files(number, source)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"source {source.name}: {error}") from error
        except ValueError as error:
            raise ValueError(f"source {source.name}: {error}") from error
    return files


def read_chunks(source: Source, file: SourceFile) -> Iterator[Chunk]:
    """The rows of one file in chunks."""
    if file.problem is not None:
        return iter([Chunk(0, 1, file.problem)])
    if file.path is None:
        return row_chunks(_streamed_rows(source))
    return file_chunks(file.path, {source.columns.get(field, field) for field in load_layout(source.layout).fields})


def _source_files(number: int, source: Source) -> list[SourceFile]:
    if _is_streamed(source):
        next(_streamed_rows(source), None)  # an absent package, world or data set is said now
        return [SourceFile(number, source.path or source.layout)]
    root = Path(source.path)
    paths = data_files(root)
    problems = [_problem(path, source) for path in paths]
    if all(problems):
        raise ValueError(problems[0])
    labels = [path.relative_to(root).as_posix() if path != root else source.path for path in paths]
    return [
        SourceFile(number, label, path, path.stat().st_size, problem)
        for label, path, problem in zip(labels, paths, problems, strict=True)
    ]


def _problem(path: Path, source: Source) -> str | None:
    """Why a file cannot be read at all, None = it can."""
    try:
        problems = [_missing_columns(path, source, names) for names in column_names(path)]
    except SourceError as error:
        return str(error)
    return problems[0] if all(problems) else None


def _missing_columns(path: Path | str, source: Source, names: Sequence[str]) -> str | None:
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


def _is_streamed(source: Source) -> bool:
    return is_registered(f"{source.layout}:") or source.path.startswith(HUB_PREFIX)


def _streamed_rows(source: Source) -> Iterator[dict[str, Any] | ValueError]:
    """Rows of a source that is no file: "LAYOUT:PATH" is what a recipe would write."""
    if is_registered(f"{source.layout}:"):
        return read_registered(f"{source.layout}:{source.path}", raw=True)
    names, rows = stream_from_hub(source.path)
    problem = _missing_columns(source.path, source, names)
    if problem is not None:
        raise ValueError(problem)
    return rows
