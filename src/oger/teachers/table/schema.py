"""The teachers table: the only definition of its columns, and the validator every command uses.

One row per prompt, at most one table per file (Parquet). The table is a training source as it is: a recipe's
`train: OUT/table.parquet` reads it.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oger.io.rows import SourceError, open_parquet
from oger.terminal.errors import one_line

if TYPE_CHECKING:
    import pyarrow as pa

Prompt = str | list[dict[str, str]]
"""A text, or chat messages {role, content}."""

TEACHERS = "teachers"

COLUMNS = {
    "prompt_id": "what `prompt_id` gives for the prompt",
    "prompt": "a text, or a list of {role, content}; one of the two in the whole table",
    "answer": "the gold answer",
    "kind": "how an answer is compared with it; a name that `oger.verification` knows",
    "metadata": "JSON text for the grader, or null",
    "teachers": "list of {teacher, text, num_tokens, verdict, source}, possibly empty",
}
TRAJECTORY_FIELDS = ("teacher", "text", "num_tokens", "verdict", "source")
VERDICTS = ("correct", "wrong", "undecided")

ROWS_PER_GROUP = 512  # fixed, because the row groups are part of the bytes that two curations must agree on
_SPACE = re.compile(r"\s+")


class TableError(ValueError):
    """A file that is not a teachers table; the message is one line."""


@dataclass(frozen=True)
class TableSummary:
    """What a valid table holds."""

    rows: int
    chat: bool
    """Prompts are chat messages."""
    trajectories: int


def table_schema(*, chat: bool) -> pa.Schema:
    """Arrow schema of the table."""
    import pyarrow as pa

    text = pa.string()
    trajectory = pa.struct([(name, pa.int64() if name == "num_tokens" else text) for name in TRAJECTORY_FIELDS])
    types = {"teachers": pa.list_(trajectory)}
    if chat:
        types["prompt"] = pa.list_(pa.struct([("role", text), ("content", text)]))
    return pa.schema([(name, types.get(name, text)) for name in COLUMNS])


def messages_of(prompt: Prompt) -> list[dict[str, str]]:
    """The prompt as chat messages; a text is one message of the user."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt


def prompt_id(prompt: Prompt) -> str:
    r"""32 hexadecimal digits that name a prompt: of its messages (no system messages), in Unicode's form C, runs of
    white space as one space. A text and the same text as the user's message share it.

    >>> prompt_id("1+1 = ?") == prompt_id([{"role": "user", "content": "1+1  = ?\n"}])
    True
    """
    messages = [message for message in messages_of(prompt) if message["role"] != "system"]
    parts = [
        (message["role"], _SPACE.sub(" ", unicodedata.normalize("NFC", message["content"])).strip())
        for message in messages
    ]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def row_problem(row: Mapping[str, Any]) -> str | None:
    """What is wrong with one row of a table, given as Python values; None = nothing."""
    prompt = row["prompt"]
    if isinstance(prompt, str):
        if not prompt.strip():
            return "the prompt is empty"
    elif not prompt or any(m is None or m["role"] is None or m["content"] is None for m in prompt):
        return "the prompt has no messages, or one without role or content"
    if row["prompt_id"] != prompt_id(prompt):
        return "prompt_id does not belong to the prompt"
    if not row["answer"]:
        return "no answer"
    if not row["kind"]:
        return "no kind"
    if row["metadata"] is not None and not _is_json(row["metadata"]):
        return "metadata is not JSON"
    return _teachers_problem(row["teachers"])


def _teachers_problem(cell: Sequence[Mapping[str, Any]] | None) -> str | None:
    if cell is None:
        return "teachers is null; a prompt without teachers has an empty list"
    for position, trajectory in enumerate(cell):
        if trajectory is None or any(trajectory[field] is None for field in TRAJECTORY_FIELDS):
            return f"trajectory {position} lacks one of {', '.join(TRAJECTORY_FIELDS)}"
        if not trajectory["text"].strip() or not trajectory["teacher"]:
            return f"trajectory {position} has no text or no teacher"
        if trajectory["verdict"] not in VERDICTS:
            return f"trajectory {position} has the verdict {trajectory['verdict']!r}; valid: {', '.join(VERDICTS)}"
        if trajectory["num_tokens"] < 1:
            return f"trajectory {position} has num_tokens {trajectory['num_tokens']}"
    return None


def validate_table(path: str | PathLike[str]) -> TableSummary:
    """Read a whole table, in batches, and check every row.

    Raises:
        FileNotFoundError: no such file.
        TableError: not Parquet, other columns or types, or a row that breaks a rule; the message names the row.
    """
    trajectories = 0
    seen: set[str] = set()
    with open_table(path) as file:
        is_chat = file.schema_arrow == table_schema(chat=True)
    for number, row in enumerate(iterate_table(path)):
        problem = row_problem(row)
        if problem is None and row["prompt_id"] in seen:
            problem = "the prompt stands in an earlier row"
        if problem is not None:
            raise TableError(f"{path} row {number}: {problem}")
        seen.add(row["prompt_id"])
        trajectories += len(row["teachers"])
    return TableSummary(len(seen), is_chat, trajectories)


def iterate_table(path: str | PathLike[str], columns: list[str] | None = None) -> Iterator[Mapping[str, Any]]:
    """Rows of a table one by one, in batches; raises what `open_table` raises."""
    import pyarrow as pa

    with open_table(path) as file:
        try:
            for batch in file.iter_batches(batch_size=ROWS_PER_GROUP, columns=columns):
                yield from batch.to_pylist()
        except (pa.ArrowInvalid, OSError) as error:  # a damaged page
            raise TableError(f"{path} is damaged: {one_line(error)}") from error


def open_table(path: str | PathLike[str]) -> Any:
    """The `pyarrow.parquet.ParquetFile` of a table whose columns and types are right (the rows are not read).

    Raises:
        FileNotFoundError: no such file.
        TableError: not Parquet, or other columns or types.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no table {path}")
    try:
        file = open_parquet(path)
    except SourceError as error:
        raise TableError(str(error)) from error
    schema = file.schema_arrow
    expected = [table_schema(chat=False), table_schema(chat=True)]
    if not any(schema.equals(other) for other in expected):
        names = set(schema.names)
        missing, extra = set(COLUMNS) - names, names - set(COLUMNS)
        wrong = [n for n in COLUMNS if n in names and all(schema.field(n).type != e.field(n).type for e in expected)]
        said = [f"without {', '.join(sorted(missing))}"] if missing else []
        said += [f"with {', '.join(sorted(extra))}"] if extra else []
        said += [f"{name} is {schema.field(name).type}" for name in wrong]
        file.close()
        raise TableError(f"{path} is not a teachers table: {'; '.join(said) or 'its columns are in another order'}")
    return file


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
