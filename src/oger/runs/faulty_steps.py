"""RUN/faults/step-NNNNNN.parquet: the rows of an optimiser step that was skipped because a number was not finite."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from oger.io.whole import write_table
from oger.runs.paths import FAULTS

SCHEMA = pa.schema(
    [
        ("rank", pa.int32()),
        ("micro_batch", pa.int32()),  # within the step
        ("loss", pa.float64()),  # of the micro-batch, NaN included
        ("origin", pa.string()),  # "online", "teacher" or "imitated"
        ("fault", pa.string()),  # what was not finite in this row before the update; null where nothing was
        ("prompt", pa.string()),  # decoded, with the special tokens
        ("text", pa.string()),  # the response, likewise
        ("advantage", pa.float64()),  # null in an imitated row
        ("num_tokens", pa.int32()),
    ]
)


def write_faulty_step(run: str | os.PathLike[str], step: int, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write the rows of `step`, whole or not at all, and return the path."""
    path = Path(run) / FAULTS / f"step-{step:06d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, pa.Table.from_pylist(list(rows), schema=SCHEMA))
    return path
