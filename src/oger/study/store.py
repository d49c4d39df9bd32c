"""The stored results of a study: three Parquet files, from which every table and figure is made again.

results.parquet     one row per cell x split x policy x evaluation: numbers, cost, and what it was made with
outcomes.parquet    one row per problem of each of those: counts, and the outcome of every sample
curves.parquet      one row per optimiser step of each cell

Rows are sorted and files replaced in one step; the results of several sessions, also of several machines, are merged by
cell. Tuning cells are stored like the others, on the split "validation".
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oger.io.objects import read_content, read_object
from oger.io.whole import regular, write_table
from oger.study.cell_folder import OUTCOMES as CELL_OUTCOMES
from oger.study.cell_folder import RESULT, SIGNALS
from oger.study.cells import TUNING, Cell
from oger.study.damage import damaged_cells, without_cells
from oger.study.fields import StudyError
from oger.study.measure import CORRECT
from oger.terminal.errors import one_line

_CELL = (
    ("cell", pa.string()),
    ("identity", pa.string()),
    ("kind", pa.string()),
    ("regime", pa.string()),
    ("method", pa.string()),
    ("seed", pa.int32()),
    ("tuned", pa.string()),
)
_MEASURE = (("evaluation", pa.string()), ("policy", pa.string()), ("split", pa.string()))

RESULTS = pa.schema(
    [
        *_CELL,
        *_MEASURE,
        ("source", pa.string()),
        ("problems", pa.int32()),
        ("samples", pa.int32()),
        ("accuracy", pa.float64()),
        ("pass_at", pa.string()),  # JSON: k -> pass@k
        ("undecided", pa.float64()),
        ("truncated", pa.float64()),
        ("length", pa.float64()),
        ("solutions", pa.float64()),
        ("correct_solutions", pa.float64()),
        ("solution_distance", pa.float64()),
        ("teacher_divergence", pa.float64()),
        ("steps", pa.int32()),
        ("best_step", pa.int32()),
        ("generated_tokens", pa.int64()),
        ("train_seconds", pa.float64()),
        ("wall_seconds", pa.float64()),  # of the cell, measuring included
        ("workers", pa.int32()),
        ("threads", pa.int32()),
        ("machine", pa.string()),
        ("versions", pa.string()),  # JSON
        ("commit", pa.string()),
        ("date", pa.string()),
        ("command", pa.string()),
        ("settings", pa.string()),  # JSON: what the identity is a hash of
        ("stages", pa.string()),  # JSON: steps and generated tokens of each stage; null in results before
    ]
)
OUTCOMES = pa.schema(
    [
        ("cell", pa.string()),
        *_MEASURE,
        ("problem", pa.int32()),
        ("family", pa.string()),
        ("samples", pa.int16()),
        ("correct", pa.int16()),
        ("outcomes", pa.string()),  # one character per sample; see `oger.study.measure`
        ("blind", pa.string()),  # the same without regard to format; null where no box is asked for
        ("distinct", pa.int16()),  # different correct solutions
        ("strategies", pa.string()),  # JSON: correct samples by the world's rule; null where it has none
    ]
)
CURVES = pa.schema(
    [
        ("cell", pa.string()),
        ("step", pa.int32()),
        ("reward", pa.float64()),  # share of correct rollouts; TRL's mean reward where its own objective trains
        ("validation", pa.float64()),  # accuracy; null between validations
        ("entropy", pa.float64()),  # nats
        ("length", pa.float64()),  # tokens
        ("divergence", pa.float64()),  # of the rollouts from the teachers
        *((name, pa.float64()) for name in SIGNALS),
        ("generated_tokens", pa.int64()),  # so far
        ("seconds", pa.float64()),  # of training so far
    ]
)

_LATER = frozenset({"stages", "blind", "distinct", "strategies"})
"""Columns that results stored before November 30, 2026 lack; null in them."""

_FILES = {"results": RESULTS, "outcomes": OUTCOMES, "curves": CURVES}
_VERSIONS = ("torch", "transformers", "trl", "numpy", "reasoning-gym", "math-verify")


class ResultStore:
    """The results in a folder, in memory.

    Args:
        folder: made with the first `save`.

    Raises:
        StudyError: a file is not one of ours.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tables = {name: _read(folder / f"{name}.parquet", schema) for name, schema in _FILES.items()}
        self.damaged = damaged_cells(tables)
        """Cell -> what is wrong with what is stored of it, so that it counts as not stored."""
        self.tables = without_cells(tables, self.damaged) if self.damaged else tables

    def cells(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Name of every stored cell -> (identity, settings)."""
        rows = self.tables["results"].select(["cell", "identity", "settings"]).to_pylist()
        unique = {row["cell"]: row for row in rows}
        return {name: (row["identity"], json.loads(row["settings"])) for name, row in unique.items()}

    def tuning_accuracies(self) -> dict[str, float]:
        """Name of every stored tuning cell -> accuracy."""
        rows = self.tables["results"].select(["cell", "kind", "accuracy"]).to_pylist()
        return {row["cell"]: row["accuracy"] for row in rows if row["kind"] == TUNING}

    def add(self, cells: Iterable[tuple[Cell, Path]], how: Mapping[str, Any]) -> None:
        """Merge finished cells, each from its folder, and save.

        Args:
            how: "command", "workers", "threads": of the process that ran them.
        """
        found = {cell.name: cell_rows(cell, folder, how) for cell, folder in cells}
        names = pa.array(list(found), pa.string())
        for name, table in self.tables.items():
            # A session that was killed between two files has left rows of its last cell in the first of them.
            others = table.filter(pc.invert(pc.is_in(table["cell"], value_set=names)))
            rows = [row for of_cell in found.values() for row in of_cell[name]]
            self.tables[name] = pa.concat_tables([others, pa.Table.from_pylist(rows, schema=_FILES[name])])
        self.save()

    def save(self) -> None:
        """Replace the three files; results last, since a cell in it counts as stored."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("outcomes", "curves", "results"):
            schema = _FILES[name]
            keys = [key for key in ("cell", "evaluation", "policy", "split", "problem", "step") if key in schema.names]
            table = self.tables[name].sort_by([(key, "ascending") for key in keys])
            write_table(self.folder / f"{name}.parquet", table, compression_level=9, write_page_checksum=False)
            self.tables[name] = table


def cell_rows(cell: Cell, folder: Path, how: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """File name -> rows of one finished cell."""
    result = read_object(folder / RESULT, {"measures": list, "curve": list, "environment": dict, "train": dict})
    train, machine = result["train"], result["environment"]
    common = {
        "cell": cell.name,
        "identity": cell.identity,
        "kind": cell.kind,
        "regime": cell.regime,
        "method": cell.method,
        "seed": cell.seed,
        "tuned": cell.tuned,
        "steps": train.get("steps", 0),
        "best_step": (train.get("best") or {}).get("step"),
        "generated_tokens": train.get("generated_tokens", 0),
        "train_seconds": train.get("train_seconds", 0.0),
        "wall_seconds": result["wall_seconds"],
        **how,
        "machine": _machine(machine),
        "versions": json.dumps(_versions(machine)),
        "commit": machine["source_commit"],
        "date": result["date"],
        "settings": json.dumps(cell.settings, sort_keys=True),
        "stages": json.dumps(train["stages"]) if "stages" in train else None,
    }
    results = [{**common, **row, "pass_at": json.dumps(row["pass_at"])} for row in result["measures"]]
    outcomes = [
        {**row, "cell": cell.name, "samples": len(row["outcomes"]), "correct": row["outcomes"].count(CORRECT)}
        for row in read_content(folder / CELL_OUTCOMES)
    ]
    return {
        "results": results,
        "outcomes": outcomes,
        "curves": [{**row, "cell": cell.name} for row in result["curve"]],
    }


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    if not os.path.lexists(path):
        return schema.empty_table()
    try:
        table = pq.read_table(regular(path))
        for name in _LATER.intersection(schema.names).difference(table.column_names):
            table = table.append_column(name, pa.nulls(len(table)))
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, KeyError, OSError, ValueError) as error:
        raise StudyError(f"{path} holds no results of a study: {one_line(error, 200)}") from error


def _machine(environment: Mapping[str, Any]) -> str:
    devices = [device["name"] for device in environment["devices"]]
    return ", ".join([f"{environment['cpu_count']} x {environment['machine']} cores", *devices])


def _versions(environment: Mapping[str, Any]) -> dict[str, str]:
    packages = environment["packages"]
    known = {name: packages[name] for name in _VERSIONS if packages.get(name)}
    return {"oger": environment["oger"], "python": environment["python"], **known}
