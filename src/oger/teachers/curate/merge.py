"""Group the checked trajectories of all sources by prompt.

Two tables go in, whatever holds them (Parquet files or Arrow): `prompts`, a row per source row with a readable prompt,
and `passed`, a row per trajectory. Groups come out one by one, in the order in which their prompts first appeared.
DuckDB sees the narrow columns only and says where every row belongs; texts pass once through files on disk.

The same prompt may have come with several gold answers. The first readable one is the prompt's; a trajectory that was
verified against another is verified again, against that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from oger.teachers.curate.choose import Group
from oger.teachers.curate.records import PromptRow, Trajectory
from oger.teachers.curate.spill import Buckets

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MEMORY_LIMIT = "192MB"
"""Of DuckDB; what needs more goes to its folder of temporary files."""
_ROWS_PER_REGRADE = 256

Regrade = Callable[[Sequence[Mapping[str, Any]]], list[str | None]]
"""Rows (prompt, text, answer, kind, metadata) -> for each, why its text does not answer that gold; None = it does."""

_RULING = """
create temp table ruling as
select prompt_id, row_number() over (order by first_seq) as position, coalesce(gold_seq, first_seq) as seq
from (select prompt_id, min(seq) as first_seq, min(seq) filter (gold_problem is null) as gold_seq
      from prompts group by prompt_id)
order by seq
"""

_OTHER_GOLDS = """
create temp table others as
select passed.seq, prompts.answer, prompts.kind, prompts.metadata, prompts.prompt
from passed join ruling using (prompt_id) join prompts on prompts.seq = ruling.seq
     join prompts own on (own.origin, own.file, own.row) = (passed.origin, passed.file, passed.row)
where passed.answer is distinct from prompts.answer or passed.kind is distinct from prompts.kind
      or own.metadata is distinct from prompts.metadata
"""

_PLACES = """
create temp table places as
select passed.seq, ruling.position, conflicts.why as conflict,
       row_number() over (partition by passed.text_hash, {scope}, conflicts.why is null order by passed.seq) as copy
from passed join ruling using (prompt_id) left join conflicts on conflicts.seq = passed.seq
order by passed.seq
"""


def prompts_schema() -> pa.Schema:
    """Arrow schema of `prompts`."""
    texts = ("prompt_id", "prompt", "answer", "kind", "metadata", "gold_problem", "contaminated", "origin", "file")
    numbers = [("seq", pa.int64()), ("row", pa.int64()), ("chat", pa.bool_())]
    return pa.schema([*numbers, *((name, pa.string()) for name in texts)])


def passed_schema() -> pa.Schema:
    """Arrow schema of `passed`."""
    texts = ("prompt_id", "answer", "kind", "teacher", "text", "text_hash", "source", "origin", "file")
    numbers = ("seq", "num_tokens", "row")
    return pa.schema([*((name, pa.int64()) for name in numbers), *((name, pa.string()) for name in texts)])


def connect(temporary: Path) -> DuckDBPyConnection:
    """An in-memory database that keeps what its memory does not hold in the folder `temporary`."""
    import duckdb

    connection = duckdb.connect()
    if connection.execute("select current_setting('enable_progress_bar')").fetchall() == [(True,)]:
        connection.execute("set enable_progress_bar = false")  # fails in a notebook without ipywidgets, where it is off
    connection.execute("set threads = 1")  # each thread holds its own buffers
    connection.execute(f"set memory_limit = '{_MEMORY_LIMIT}'")
    connection.execute("set temp_directory = ?", [str(temporary)])
    return connection


@dataclass(frozen=True)
class PromptTotals:
    """What `prompts` holds, counted apart from the grouping, so that the grouping can be checked."""

    rows: int
    prompts: int
    """Distinct ones."""
    chat: bool
    """Any of them is a chat."""


def count_prompts(connection: DuckDBPyConnection) -> PromptTotals:
    """See `PromptTotals`."""
    query = "select count(*), count(distinct prompt_id), coalesce(bool_or(chat), false) from prompts"
    return PromptTotals(*_one(connection, query))


def groups(
    connection: DuckDBPyConnection,
    prompts: Iterable[pa.RecordBatch],
    passed: Iterable[pa.RecordBatch],
    folder: Path,
    *,
    scope: str,
    regrade: Regrade,
) -> Iterator[Group]:
    """The prompts with their trajectories, in order of first appearance.

    Args:
        connection: has the tables `prompts` and `passed`.
        prompts: the rows of `prompts` once more, ordered by `seq`.
        passed: those of `passed`, ordered by `seq`.
        folder: takes the files of the texts; empty.
        scope: "anywhere" or "prompt": where a repeated text counts as a duplicate.
        regrade: verifies texts against another gold.
    """
    connection.execute(_RULING)
    _find_conflicts(connection, regrade)
    connection.execute(_PLACES.format(scope="passed.prompt_id" if scope == "prompt" else "true"))
    [last] = _one(connection, "select count(*) from ruling")
    [num_bytes] = _one(connection, "select coalesce(sum(strlen(text)), 0)::bigint from passed")
    place = [pa.field("position", pa.int64())]
    schemas = {
        "prompts": pa.schema([*place, *prompts_schema()]),
        "passed": pa.schema([*place, ("conflict", pa.string()), ("copy", pa.int64()), *passed_schema()]),
    }
    with Buckets(folder, schemas, last=last, num_bytes=num_bytes) as buckets:
        for batch in prompts:
            buckets.add("prompts", _placed(connection, "ruling", batch, schemas["prompts"]))
        for batch in passed:
            buckets.add("passed", _placed(connection, "places", batch, schemas["passed"]))
        for bucket in buckets.read():
            passed = {
                position: [Trajectory(**_without_position(row)) for row in rows]
                for position, rows in groupby(bucket["passed"], key=lambda row: row["position"])
            }
            for row in bucket["prompts"]:
                yield Group(PromptRow(**_without_position(row)), passed.get(row["position"], []))


def _find_conflicts(connection: DuckDBPyConnection, regrade: Regrade) -> None:
    """Fill the table `conflicts` (seq, why)."""
    connection.execute("create temp table conflicts (seq bigint, why varchar)")
    connection.execute(_OTHER_GOLDS)
    stream = connection.sql("select others.*, passed.text from passed join others using (seq)")
    batches = (batch.to_pylist() for batch in stream.to_arrow_reader(_ROWS_PER_REGRADE))
    found = [  # a list, because an open query would not survive the insertion
        (row["seq"], why) for rows in batches for row, why in zip(rows, regrade(rows), strict=True) if why is not None
    ]
    if found:
        connection.executemany("insert into conflicts values (?, ?)", found)


def _placed(connection: DuckDBPyConnection, table: str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The rows of a batch that `table` gives a place, with the columns of that table."""
    if not batch.num_rows:
        return pa.RecordBatch.from_pylist([], schema)
    seqs = batch["seq"].to_numpy()
    query = f"select * from {table} where seq between ? and ? order by seq"
    places = connection.sql(query, params=[int(seqs[0]), int(seqs[-1])]).to_arrow_table()
    rows = batch.take(np.searchsorted(seqs, places["seq"].to_numpy()))
    columns = [rows[name] if name in batch.schema.names else places[name].combine_chunks() for name in schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _without_position(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "position"}


def _one(connection: DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    [row] = connection.sql(query).fetchall()
    return tuple(row)
