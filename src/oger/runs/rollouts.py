"""RUN/rollouts/step-NNNNNN.parquet: every row of the groups of one step, in the one schema defined here.

A group of G rows has G - 1 online rows and a teacher row; the rollout that the teacher row replaced follows as a row
of its own with the origin "replaced": it has its outcome, divergence and base reward, but was never trained on, so it
has no entropy, bonus or advantage.

RUN/probes/step-NNNNNN.parquet: rollouts to the same few prompts at every stored step, which were not trained on, and
all teachers of these prompts; the same columns, and the encoder's vector of each text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from oger.io.whole import write_table
from oger.runs import paths
from oger.terminal.errors import one_line

SCHEMA_VERSION = 2
ORIGINS = ("online", "teacher", "replaced")

_STEP = "step-"
_VERSION_KEY = b"oger.rollouts.version"


def _field(name: str, kind: pa.DataType, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable)


SCHEMA = pa.schema(
    [
        _field("step", pa.int64()),  # optimiser step at which the group was generated
        _field("group", pa.int64()),  # number of the group within the step
        _field("row", pa.int32()),  # place in the group; a replaced row has the place of its teacher row
        _field("origin", pa.string()),  # one of ORIGINS
        _field("teacher", pa.string(), nullable=True),  # name of the teacher, null for a rollout
        _field("prompt", pa.string()),  # a chat prompt as JSON
        _field("text", pa.string()),  # the response, decoded
        _field("outcome", pa.float64(), nullable=True),  # 1 correct, 0 wrong, null undecided
        _field("divergence", pa.float64(), nullable=True),
        _field("entropy_last", pa.float64(), nullable=True),  # nats
        _field("entropy_mean", pa.float64(), nullable=True),  # nats
        _field("confidence", pa.float64(), nullable=True),
        _field("shaping", pa.map_(pa.string(), pa.float64()), nullable=True),  # shaping rewards before their weights
        _field("bonus", pa.float64(), nullable=True),  # their weighted sum, what the reward has beyond the outcome
        _field("reward", pa.float64(), nullable=True),  # total reward
        _field("advantage", pa.float64(), nullable=True),
        _field("truncated", pa.bool_()),
        _field("num_tokens", pa.int32()),
        _field(
            "given_tokens", pa.int32(), nullable=True
        ),  # of them, that a guided rollout was given; null in old files
    ],
    metadata={_VERSION_KEY: str(SCHEMA_VERSION).encode()},
)
"""The schema of rollout files; changing it means a new SCHEMA_VERSION, unless a nullable column is added."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """A folder of step files inside a run folder, and their schema."""

    folder: str
    schema: pa.Schema


ROLLOUTS = Store(folder=paths.ROLLOUTS, schema=SCHEMA)
"""Groups that were trained on."""
PROBES = Store(folder=paths.PROBES, schema=SCHEMA.append(_field("vector", pa.list_(pa.float32()))))
"""Rollouts to fixed prompts, which were not."""


def prompt_text(prompt: Any) -> str:
    """A prompt as it is stored: a text as it is, a chat as JSON."""
    return prompt if isinstance(prompt, str) else json.dumps(prompt, ensure_ascii=False)


def write_rollouts(
    run: str | os.PathLike[str], step: int, rows: Iterable[Mapping[str, Any]], *, store: Store = ROLLOUTS
) -> Path:
    """Write the rows of `step` to RUN/rollouts/step-NNNNNN.parquet, whole or not at all, and return that path.

    A row may leave out `step` and every nullable column; a chat prompt (a list of messages) is stored as JSON.

    Raises:
        ValueError: a missing or unknown column, an unknown origin, a value of the wrong type.
    """
    complete = [_complete_row(row, step, store.schema) for row in rows]
    try:
        table = pa.Table.from_pylist(complete, schema=store.schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"a rollout row of step {step} does not fit the schema: {error}") from error
    path = _path(run, step, store)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(path, table)
    return path


def read_rollouts(run: str | os.PathLike[str], step: int | None = None, *, store: Store = ROLLOUTS) -> pa.Table:
    """Rollouts of a run: of all steps in order, or of one.

    Raises:
        FileNotFoundError: there are no rollouts, or none of that step.
        ValueError: a file was written in another version of the schema, or is damaged (every page has a checksum).
    """
    folder = Path(run) / store.folder
    files = stored_files(run, store) if step is None else [_path(run, step, store)]
    if not files or not files[0].is_file():
        raise FileNotFoundError(f"no {store.folder}{'' if step is None else f' of step {step}'} in {folder}")
    return pa.concat_tables([_read(path, store) for path in files])


def cut_rollouts_after(run: str | os.PathLike[str], step: int, *, store: Store = ROLLOUTS) -> None:
    """Remove the rollouts of every step of a run after `step`."""
    for path in stored_files(run, store):
        if int(path.stem.removeprefix(_STEP)) > step:
            path.unlink()


def stored_files(run: str | os.PathLike[str], store: Store) -> list[Path]:
    """The files of a store by step; what merely looks like one, such as step-abc.parquet or a pipe, is not ours."""
    named = (Path(run) / store.folder).glob(f"{_STEP}*.parquet")
    ours = [path for path in named if path.stem.removeprefix(_STEP).isdecimal() and path.is_file()]
    return sorted(ours, key=lambda path: int(path.stem.removeprefix(_STEP)))


def _path(run: str | os.PathLike[str], step: int, store: Store) -> Path:
    return Path(run) / store.folder / f"{_STEP}{step:06d}.parquet"


def _read(path: Path, store: Store) -> pa.Table:
    try:
        version = (pq.read_schema(path).metadata or {}).get(_VERSION_KEY, b"none").decode()
        if version != str(SCHEMA_VERSION):
            raise ValueError(f"{path} has rollout schema version {version}; this oger reads version {SCHEMA_VERSION}")
        return pq.read_table(path, schema=store.schema, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {one_line(error)}") from error


def _complete_row(row: Mapping[str, Any], step: int, schema: pa.Schema) -> dict[str, Any]:
    row = {"step": step, **row}
    unknown = sorted(set(row) - set(schema.names))
    if unknown:
        raise ValueError(f"unknown rollout column: {', '.join(unknown)}; columns: {', '.join(schema.names)}")
    missing = [field.name for field in schema if not field.nullable and row.get(field.name) is None]
    if missing:
        raise ValueError(f"a rollout row lacks: {', '.join(missing)}")
    if row["origin"] not in ORIGINS:
        raise ValueError(f"origin must be one of {', '.join(ORIGINS)}, got {row['origin']!r}")
    if row["step"] != step:
        raise ValueError(f"a row of step {row['step']} among the rollouts of step {step}")
    return {name: row.get(name) for name in schema.names} | {"prompt": prompt_text(row["prompt"])}
