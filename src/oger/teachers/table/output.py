"""What a curation writes: the table, the rejects; and what it reads back from them to check itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from oger.teachers.curate.choose import Finished
from oger.teachers.curate.counts import Outcome
from oger.teachers.curate.records import reject_line
from oger.teachers.table.schema import ROWS_PER_GROUP, iterate_table, messages_of, table_schema

TABLE_FILE, REJECTS_FILE = "table.parquet", "rejects.jsonl"


def table_row(finished: Finished, *, chat: bool) -> dict[str, Any]:
    """One row of the table; where `chat`, a text becomes the user's message."""
    row = finished.prompt
    prompt = json.loads(row.prompt)
    return {
        "prompt_id": row.prompt_id,
        "prompt": messages_of(prompt) if chat else prompt,
        "answer": row.answer,
        "kind": row.kind,
        "metadata": row.metadata,
        "teachers": [
            {
                "teacher": trajectory.teacher,
                "text": trajectory.text,
                "num_tokens": trajectory.num_tokens,
                "verdict": "correct",
                "source": trajectory.source,
            }
            for trajectory in finished.kept
        ],
    }


def reject_lines(finished: Finished) -> Iterator[dict[str, Any]]:
    """Lines of the rejects for the trajectories dropped under one prompt, and for the prompt if it is dropped."""
    for trajectory, reason, detail in finished.dropped:
        yield trajectory.rejected(reason, detail)
    prompt, problem = finished.prompt, finished.problem
    if problem is not None:
        detail = prompt.contaminated or "" if problem == "contaminated" else ""
        yield reject_line(prompt, "prompt", problem, detail, json.loads(prompt.prompt), prompt_id=prompt.prompt_id)


def write_results(folder: Path, finished: Iterable[Finished], earlier_rejects: Iterable[str], *, chat: bool) -> None:
    """Write the table, and the rejects behind those of the earlier stages (JSON lines).

    Row groups have a fixed size and the file no times, so that the same rows give the same bytes.
    """
    schema = table_schema(chat=chat)
    with (
        open(folder / REJECTS_FILE, "w", encoding="utf-8") as rejects,
        pq.ParquetWriter(folder / TABLE_FILE, schema, compression="zstd", write_page_checksum=True) as table,
    ):
        rejects.writelines(earlier_rejects)
        rows = _kept_rows(finished, rejects, chat)
        while batch := list(islice(rows, ROWS_PER_GROUP)):
            table.write_table(pa.Table.from_pylist(batch, schema), row_group_size=ROWS_PER_GROUP)


def read_back(folder: Path) -> Outcome:
    """Count what the table and the rejects on disk hold."""
    outcome = Outcome()
    for row in iterate_table(folder / TABLE_FILE, columns=["teachers"]):
        outcome.add_row(row["teachers"])
    with open(folder / REJECTS_FILE, encoding="utf-8") as file:
        for line in file:
            outcome.add_reject(json.loads(line))
    return outcome


def _kept_rows(finished: Iterable[Finished], rejects: IO[str], chat: bool) -> Iterator[dict[str, Any]]:
    for one in finished:
        rejects.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in reject_lines(one))
        if one.problem is None:
            yield table_row(one, chat=chat)
