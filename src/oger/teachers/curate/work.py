"""The folder OUT.work of a curation under way: what it was started with, and the shards it has finished.

A shard is one chunk of source rows after the stages that need no other row. It is there whole or not at all, so that a
killed curation continues behind its last one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

import oger
from oger.io.lock import HeldError, LockFile
from oger.io.objects import read_object
from oger.io.whole import (
    damage,
    is_leftover,
    put_in_place,
    remove_leftovers,
    whole_folder,
    write_json,
    write_manifest,
)
from oger.teachers.curate.check import Checked
from oger.teachers.curate.chunks import SourceFile
from oger.teachers.curate.merge import passed_schema, prompts_schema
from oger.teachers.curate.options import CurateOptions
from oger.teachers.curate.records import Counts

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_STARTED = "started.json"
_SHARDS = "shards"
_LOCK = "lock"
_OURS = {_SHARDS, _LOCK, "temporary", "texts", "result"}
_SHARD = re.compile("[0-9]{8,}")
_REJECTS, _COUNTS = "rejects.jsonl", "counts.json"
_TABLES = {"prompts": prompts_schema, "passed": passed_schema}
_ROWS_PER_BATCH = 256


class WorkFolder:
    """OUT.work, locked against a second curation; a context manager."""

    def __init__(self, out: Path, options: CurateOptions, files: Sequence[SourceFile], *, resume: bool) -> None:
        """Make the folder, or take over one that was left.

        Raises:
            FileExistsError: OUT exists; or OUT.work holds an unfinished curation and `resume` is false, or files of
                others.
            ValueError: OUT.work was started with other options or files (the line names the difference), or another
                process is at it.
        """
        if out.exists():
            raise FileExistsError(f"{out} exists already; name another folder")
        self.out = out
        self.path = out.with_name(out.name + ".work")
        self._shards = self.path / _SHARDS
        self.temporary = self.path / "temporary"
        """For what DuckDB does not hold in memory."""
        self.texts = self.path / "texts"
        """For the texts on their way into groups."""
        self.result = self.path / "result"
        """What becomes OUT."""
        started = _fingerprint(options, files)
        self._check(started, resume=resume)
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock = LockFile(self.path / _LOCK)
        except HeldError as error:
            raise ValueError(f"another process is curating into {self.path}") from error
        except OSError as error:
            raise ValueError(f"cannot write into {self.path} ({error.strerror}): name another --out") from error
        try:
            self._check(started, resume=resume)  # another process may have been at it meanwhile
            remove_leftovers(self.path)
            if not (self.path / _STARTED).exists():  # shards that nobody can say the options of
                _remove(self._shards)
            self._shards.mkdir(exist_ok=True)
            remove_leftovers(self._shards)
            for folder in (self.temporary, self.texts, self.result):
                _remove(folder)
                folder.mkdir()
            write_json(self.path / _STARTED, started)
        except BaseException:
            self._lock.release()
            raise

    def __enter__(self) -> WorkFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _check(self, started: Mapping[str, Any], *, resume: bool) -> None:
        """Whether the folder may be worked in. One without `_STARTED` has begun nothing, or was on its way out."""
        if (self.path / _STARTED).exists():
            if not resume:
                raise FileExistsError(
                    f"{self.path} holds an unfinished curation: continue it with --resume, or remove it"
                )
            _require_same(_read_started(self.path / _STARTED), started, self.path)
        elif os.path.lexists(self.path):
            if not self.path.is_dir():
                raise FileExistsError(f"{self.path} is no folder of a curation: move it, or name another --out")
            others = sorted(
                path.name for path in self.path.iterdir() if path.name not in _OURS and not is_leftover(path)
            )
            if others:
                raise FileExistsError(
                    f"{self.path} holds {others[0]!r}, which is no curation's: move it, or name another --out"
                )

    def shards(self) -> list[Path]:
        """Finished shards in order."""
        return sorted(path for path in self._shards.iterdir() if _SHARD.fullmatch(path.name))

    def drop_damaged(self) -> dict[str, str]:
        """Remove the shards that are not as they were written, so that their rows are checked again.

        Returns:
            Name of a removed shard -> what was wrong with it.

        Raises:
            OSError: a file of a shard cannot be read, which says nothing about what is in it.
        """
        found = {shard: wrong for shard in self.shards() if (wrong := damage(shard))}
        for shard in found:
            _remove(shard)
        return {shard.name: wrong for shard, wrong in found.items()}

    def open_tables(self, connection: DuckDBPyConnection) -> None:
        """Give a database the tables `prompts` and `passed` of all shards, which stay on disk."""
        for name, schema in _TABLES.items():
            paths = [_literal(shard / f"{name}.parquet") for shard in self.shards()]
            if paths:
                connection.read_parquet(paths).create_view(name)
            else:
                connection.register(name, schema().empty_table())

    def batches(self, name: str) -> Iterator[pa.RecordBatch]:
        """All rows of `prompts` or `passed`, ordered by `seq`."""
        for shard in self.shards():
            with pq.ParquetFile(shard / f"{name}.parquet", page_checksum_verification=True) as file:
                yield from file.iter_batches(_ROWS_PER_BATCH)

    def counts(self) -> Counts:
        """Of all shards together."""
        total = Counts()
        for shard in self.shards():
            total.add(json.loads((shard / _COUNTS).read_text()))
        return total

    def rejects(self) -> Iterator[str]:
        """Lines of the rejects of all shards, in order."""
        for shard in self.shards():
            with open(shard / _REJECTS, encoding="utf-8") as file:
                yield from file

    def finish(self) -> None:
        """Move the result into place, once it is on disk, and remove the folder."""
        put_in_place(self.result, self.out)
        # First: without it, what a kill or a disk leaves of the folder is in no one's way.
        with suppress(OSError):
            (self.path / _STARTED).unlink()
            shutil.rmtree(self.path)


def shard_folder(work: Path, number: int) -> Path:
    """Folder of a shard in OUT.work."""
    return work / _SHARDS / f"{number:08d}"


def write_shard(folder: Path, checked: Checked) -> None:
    """Write a shard and move it into place."""
    with whole_folder(folder) as beside:
        for name, schema in _TABLES.items():
            table = as_table(getattr(checked, name), schema())
            pq.write_table(table, beside / f"{name}.parquet", compression="zstd", write_page_checksum=True)
        with open(beside / _REJECTS, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(reject, ensure_ascii=False) + "\n" for reject in checked.rejects)
        (beside / _COUNTS).write_text(json.dumps(vars(checked.counts)))
        write_manifest(beside)


def as_table(items: Sequence[Any], schema: pa.Schema) -> pa.Table:
    """Dataclass instances as an Arrow table."""
    return pa.table({name: [getattr(item, name) for item in items] for name in schema.names}, schema=schema)


def _literal(path: Path) -> str:
    """The path as DuckDB reads it, which takes [, * and ? for patterns."""
    return re.sub(r"([\[*?])", r"[\1]", str(path))


def _fingerprint(options: CurateOptions, files: Sequence[SourceFile]) -> dict[str, Any]:
    """What a resumed curation must share with the one it continues."""
    stated = options.stated()
    stated["sources"] = [asdict(source) for source in options.sources]
    stated["oger"] = oger.__version__
    stated["files"] = [
        {"file": file.label, "bytes": file.size, "changed": file.path.stat().st_mtime_ns if file.path else None}
        for file in files
    ]
    plain: dict[str, Any] = json.loads(json.dumps(stated))
    return plain


def _remove(path: Path) -> None:
    """With all that is in it; a link is removed, not followed."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _read_started(path: Path) -> Mapping[str, Any]:
    try:
        return read_object(path)
    except ValueError as error:
        raise ValueError(f"{path} is damaged: remove {path.parent} to start anew") from error


def _require_same(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    for name, value in now.items():
        if before.get(name) != value:
            if name == "files":
                raise ValueError(
                    f"{folder} was started from other files, or they have changed; remove it to start anew"
                )
            old = before.get(name)
            raise ValueError(f"{folder} was started with {name} {old!r}, not {value!r}; resume as it was, or remove it")
