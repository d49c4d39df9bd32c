"""Sources of rows, as recipes and the command line name them.

world:NAME/SPLIT           a split of an embedded world
PATH.jsonl, PATH.parquet   a local file, one row per line or row
FOLDER                     a folder of `oger teachers curate`: its table.parquet
[hub:]OWNER/NAME[/CONFIG][:SPLIT]  a dataset of the Hugging Face hub, split "train" unless named
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

WORLD_PREFIX = "world:"

_TABLE = "table.parquet"
_FILE_FORMATS = (".jsonl", ".parquet")
_OTHER_FILES = (".json", ".csv", ".tsv", ".arrow", ".txt", ".yaml", ".gz", ".zst")


class SourceError(ValueError):
    """Rows that cannot be had; the message is one line that says what to do."""


def load_rows(source: str, limit: int | None = None) -> list[dict[str, Any]]:
    """The rows of `source`, the first `limit` of them where a limit is given.

    Raises:
        SourceError: no such source, unreadable, or without rows.
    """
    if limit is not None and limit < 1:
        raise SourceError(f"the limit of rows must be at least 1, got {limit}")
    if not source.startswith(WORLD_PREFIX) and os.path.isfile(Path(source) / _TABLE):
        source = str(Path(source) / _TABLE)
    suffix = Path(source).suffix.lower()
    if source.startswith(WORLD_PREFIX):
        rows = _world_rows(source, limit)
    elif suffix in _FILE_FORMATS:
        path = Path(source)
        if not os.path.isfile(path):
            raise SourceError(f"the data file {source} does not exist (looked in {Path.cwd()})")
        rows = _jsonl_rows(path, limit) if suffix == ".jsonl" else _parquet_rows(path)
    elif suffix in _OTHER_FILES or os.path.exists(source):
        raise SourceError(f"cannot read {source}: a data file must be one of {', '.join(_FILE_FORMATS)}")
    else:
        rows = _hub_rows(source)
    if not rows:
        raise SourceError(f"{source} has no rows")
    return rows[:limit]


def world_name(source: str) -> str | None:
    """NAME of "world:NAME" or "world:NAME/SPLIT", None for any other source or model."""
    return source.removeprefix(WORLD_PREFIX).split("/")[0] if source.startswith(WORLD_PREFIX) else None


def _world_rows(source: str, limit: int | None) -> list[dict[str, Any]]:
    from oger.worlds import load_world

    name, _, split = source.removeprefix(WORLD_PREFIX).partition("/")
    if not name or not split:
        raise SourceError(f"{source!r} names no split of a world; write {WORLD_PREFIX}NAME/SPLIT")
    return [dict(row) for row in load_world(name).rows(split, limit=limit)]


def _jsonl_rows(path: Path, limit: int | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if len(rows) == limit:
                    break
                if line.strip():
                    rows.append(_jsonl_row(path, number, line))
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text: {error}") from error
    return rows


def _jsonl_row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} line {number} is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise SourceError(f"{path} line {number} is not a JSON object")
    return row


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, page_checksum_verification=True).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"{path} is not a readable Parquet file: {error}") from error


def _hub_rows(source: str) -> list[dict[str, Any]]:
    name, _, split = source.removeprefix("hub:").partition(":")
    parts = name.split("/")
    if len(parts) not in (2, 3) or not all(parts) or name.startswith((".", "~")):
        raise SourceError(
            f"{source!r} is no source of rows: write {WORLD_PREFIX}NAME/SPLIT, a .jsonl or .parquet file that exists, "
            "or OWNER/NAME[/CONFIG][:SPLIT] on the hub"
        )
    from datasets import load_dataset

    # Whatever the hub, the network or the dataset raises, the user's question is the same: why not this source?
    try:
        dataset = load_dataset("/".join(parts[:2]), parts[2] if len(parts) == 3 else None, split=split or "train")
    except Exception as error:
        raise SourceError(f"cannot load {source} from the hub: {type(error).__name__}: {error}") from error
    return dataset.to_list()
