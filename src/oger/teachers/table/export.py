"""A teachers table in the forms that other trainers read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from oger.io.whole import whole_file
from oger.teachers.table.schema import ROWS_PER_GROUP, Prompt, iterate_table, messages_of, table_schema, validate_table
from oger.words import choose

Row = Mapping[str, Any]


def export_table(table: str | os.PathLike[str], form: str, out: str | os.PathLike[str]) -> int:
    """Write a table in another form; the number of rows written.

    Args:
        table: A teachers table; it is validated first.
        form: A key of FORMS.
        out: The Parquet file to write, which must not exist.

    Raises:
        FileExistsError: `out` exists.
        FileNotFoundError: no such table, or no folder for `out`.
        ValueError: an unknown form, a broken table, or a name that does not end in .parquet.
    """
    make_schema, convert = choose(FORMS, form, "form of an export")
    target = Path(out)
    if target.suffix != ".parquet":
        raise ValueError(f"an export is a .parquet file, got {target}")
    if target.exists():
        raise FileExistsError(f"{target} exists already; name another file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {target.parent}")
    chat = validate_table(table).chat
    schema = make_schema(chat)
    number = 0
    rows = (made for row in iterate_table(table) for made in convert(row))
    with whole_file(target) as beside, pq.ParquetWriter(beside, schema, compression="zstd") as writer:
        while batch := list(islice(rows, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist(batch, schema))
            number += len(batch)
    return number


def luffy_rows(row: Row) -> Iterator[dict[str, Any]]:
    """LUFFY reads one `target` per row and further ones in `target_lst`; a prompt without teachers has no row."""
    targets = [_said(trajectory["text"]) for trajectory in row["teachers"]]
    if targets:
        yield {
            "data_source": row["kind"],
            "prompt": messages_of(row["prompt"]),
            "target": targets[:1],
            "ability": row["kind"],
            "reward_model": {"style": "rule", "ground_truth": row["answer"]},
            "extra_info": {"index": row["prompt_id"], "teachers": [t["teacher"] for t in row["teachers"]]},
            "target_lst": [[target] for target in targets],
        }


def trl_rows(row: Row) -> Iterator[dict[str, Any]]:
    """TRL's GRPO reads `prompt` and hands the other columns to the reward functions; `teachers` stays whole."""
    yield {name: row[name] for name in ("prompt", "answer", "kind", "metadata", "teachers")}


def sft_rows(row: Row) -> Iterator[dict[str, Any]]:
    """TRL's SFT reads `prompt` and `completion`: one row per trajectory, chat where the table is."""
    prompt: Prompt = row["prompt"]
    for trajectory in row["teachers"]:
        text = trajectory["text"]
        yield {"prompt": prompt, "completion": text if isinstance(prompt, str) else [_said(text)]}


def _said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _luffy_schema(chat: bool) -> pa.Schema:
    messages = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
    return pa.schema(
        [
            ("data_source", pa.string()),
            ("prompt", messages),
            ("target", messages),
            ("ability", pa.string()),
            ("reward_model", pa.struct([("ground_truth", pa.string()), ("style", pa.string())])),
            ("extra_info", pa.struct([("index", pa.string()), ("teachers", pa.list_(pa.string()))])),
            ("target_lst", pa.list_(messages)),
        ]
    )


def _trl_schema(chat: bool) -> pa.Schema:
    schema = table_schema(chat=chat)
    return schema.remove(schema.get_field_index("prompt_id"))


def _sft_schema(chat: bool) -> pa.Schema:
    prompt = table_schema(chat=chat).field("prompt").type
    return pa.schema([("prompt", prompt), ("completion", prompt)])


FORMS: Mapping[str, tuple[Callable[[bool], pa.Schema], Callable[[Row], Iterator[dict[str, Any]]]]] = {
    "luffy": (_luffy_schema, luffy_rows),
    "trl": (_trl_schema, trl_rows),
    "sft": (_sft_schema, sft_rows),
}
"""Form -> (schema for text or chat prompts, rows from a row of the table)."""
