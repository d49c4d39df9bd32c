"""RUN/batches/batch-NNNNNN.parquet: what generation returned, kept exactly, one file per rollout batch.

A row per rollout of all processes, in the order of the batch: the G rows of a group together, those of rank 0 first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from oger.io.whole import write_table
from oger.runs.paths import BATCHES
from oger.terminal.errors import one_line

SCHEMA = pa.schema(
    [
        pa.field("batch", pa.int32(), nullable=False),  # number of the rollout batch within its run, from 1
        pa.field("row", pa.int32(), nullable=False),  # place in the batch of all processes
        pa.field("prompt", pa.string(), nullable=False),  # a chat prompt as JSON
        pa.field("prompt_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("completion_ids", pa.list_(pa.int32()), nullable=False),
        pa.field("token_mask", pa.list_(pa.int8())),  # 0 on tokens that a rollout function put in; null = all sampled
        pa.field("sampling_logps", pa.list_(pa.float64())),  # as the engine reported them; null = it reported none
    ]
)


def write_batch(run: Path, number: int, rows: Sequence[Sequence[Any]], origin: Mapping[str, str]) -> None:
    """Writes a batch, whole or not at all.

    Args:
        rows: values of the columns from `prompt` on.
        origin: what the file says of the run that made it.
    """
    table = pa.Table.from_pylist(
        [
            {"batch": number, "row": row} | dict(zip(SCHEMA.names[2:], values, strict=True))
            for row, values in enumerate(rows)
        ],
        schema=SCHEMA.with_metadata(dict(origin)),
    )
    path = run / BATCHES / f"batch-{number:06d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, table)


def batch_files(path: Path) -> list[Path]:
    """The files of a run folder, in order, or the one file itself."""
    return (
        [path] if path.is_file() else sorted(one for one in (path / BATCHES).glob("batch-*.parquet") if one.is_file())
    )


def origin_of(file: Path) -> dict[str, str]:
    """What the file says of the run that made it.

    Raises:
        ValueError: it is damaged or no recorded batch.
    """
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(file, error) from error
    return {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}


def batch_sizes(file: Path) -> dict[int, int]:
    """Number of each batch in the file -> its rollouts.

    Raises:
        ValueError: as `origin_of`.
    """
    return Counter(_read(file, columns=["batch"])["batch"].to_pylist())


def read_batch(file: Path, number: int) -> pa.Table:
    """The rows of one batch, in order.

    Raises:
        ValueError: as `origin_of`, or rows are missing or doubled.
    """
    table = _read(file, filters=[("batch", "=", number)]).sort_by("row")
    if table["row"].to_pylist() != list(range(len(table))):
        raise ValueError(f"{file}: rows of batch {number} are missing or doubled: record it again.")
    return table


def _read(file: Path, **options: Any) -> pa.Table:
    try:
        return pq.read_table(file, schema=SCHEMA, page_checksum_verification=True, **options)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> ValueError:
    return ValueError(f"{file} is damaged or no recorded batch ({one_line(error)}): record it again.")
