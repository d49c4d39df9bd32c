"""Stored results with a damaged row cost their own cell: it counts as not stored, and what is wrong is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from oger.io.rows import python_rows
from oger.study.measure import CORRECT, UNDECIDED, WRONG

if TYPE_CHECKING:
    Tables = Mapping[str, pa.Table]

_MAY_BE_NULL = {
    "results": {"best_step", "source", "commit", "stages", "tuned", "teacher_divergence", "solution_distance", "length",
                "solutions", "correct_solutions", "undecided", "truncated", "machine", "command"},
    "outcomes": {"family", "blind", "distinct", "strategies"},
    "curves": {"reward", "validation", "entropy", "length", "divergence"},
}  # fmt: skip
_SIGNALS_BEGIN = "divergence"
"""Column of curves.parquet behind which every number may be null."""
_OUTCOMES = f"^[{CORRECT}{WRONG}{UNDECIDED}]*$"
_MEASURE = ["cell", "evaluation", "policy", "split"]
"""Names one row of results.parquet, and its problems in outcomes.parquet."""


def damaged_cells(tables: Tables) -> dict[str, str]:
    """Name of every cell with a damaged row -> what is wrong with it, in file and row.

    A text is no UTF-8, a number is not finite or negative where it counts something, JSON is none, an outcome is no
    outcome, a value that is always there is missing, or a result has other problems than it says.
    """
    found: dict[str, str] = {}
    for name, table in tables.items():
        for number, why in _damaged_rows(name, table):
            cell = table["cell"][number]
            try:
                owner = cell.as_py() or ""
            except ValueError:  # no UTF-8: no cell of ours is named so
                owner = ""
            found.setdefault(owner, f"{name}.parquet row {number}: {why}")
    whole = without_cells(tables, found) if found else tables
    for cell, why in _incomplete(whole["results"], whole["outcomes"]):
        found.setdefault(cell, why)
    return found


def without_cells(tables: Tables, names: Mapping[str, str]) -> dict[str, pa.Table]:
    """The tables without these cells, and without rows of no cell that can be named."""
    kept = {}
    for name, table in tables.items():
        wanted = []
        for cell in table["cell"]:
            try:
                wanted.append(cell.as_py() is not None and cell.as_py() not in names)
            except ValueError:
                wanted.append(False)
        kept[name] = table.filter(pa.array(wanted, pa.bool_()))
    return kept


def _incomplete(results: pa.Table, outcomes: pa.Table) -> Iterator[tuple[str, str]]:
    """(cell, what is wrong) of results whose problems are not in outcomes.parquet, or not once each."""
    groups = outcomes.group_by(_MEASURE).aggregate([("samples", "count"), ("samples", "min"), ("samples", "max")])
    stored = {tuple(row[:4]): tuple(row[4:]) for row in zip(*(c.to_pylist() for c in groups.columns), strict=True)}
    told: set[tuple[str, ...]] = set()
    columns = results.select([*_MEASURE, "problems", "samples"]).columns
    for *measure, problems, samples in zip(*(column.to_pylist() for column in columns), strict=True):
        key = tuple(measure)
        if key in told:
            yield key[0], f"results.parquet holds {', '.join(key[1:])} twice"
        elif stored.get(key) != (problems, samples, samples):
            yield key[0], f"outcomes.parquet does not hold its {problems} x {samples} outcomes of {', '.join(key[1:])}"
        told.add(key)


def _damaged_rows(name: str, table: pa.Table) -> Iterator[tuple[int, str]]:
    nullable = set(_MAY_BE_NULL[name])
    if name == "curves":
        names = table.schema.names
        nullable |= set(names[names.index(_SIGNALS_BEGIN) :]) - {"generated_tokens", "seconds"}
    for column in table.schema.names:
        values = table[column]
        if column not in nullable:
            yield from _where(pc.is_null(values), f"{column} is missing")
        if pa.types.is_floating(values.type):
            yield from _where(pc.invert(pc.is_finite(values)), f"{column} is not finite")
    if name == "outcomes":
        for column in ("outcomes", "blind"):
            right = pc.match_substring_regex(table[column].cast(pa.binary()), _OUTCOMES)
            yield from _where(pc.invert(right), f"{column} holds what is no outcome")
            length = pc.binary_length(table[column])
            yield from _where(pc.not_equal(length, table["samples"]), f"{column} are not as many as samples")
        right = pc.equal(pc.count_substring(table["outcomes"].cast(pa.binary()), CORRECT), table["correct"])
        yield from _where(pc.invert(right), "correct is not the number of correct outcomes")
    if name == "results":
        for column in ("problems", "samples"):
            yield from _where(pc.less(table[column], 1), f"{column} is below 1")
    broken: dict[int, str] = {}
    try:
        table.validate(full=True)
    except pa.ArrowInvalid:  # a text that is no UTF-8
        broken = {number: str(row) for number, row in enumerate(python_rows(table)) if isinstance(row, ValueError)}
    yield from broken.items()
    readable = pc.invert(pc.is_in(pa.array(range(len(table))), pa.array(list(broken), pa.int64())))
    for column, is_right in _JSON.get(name, {}).items():
        different = table.filter(readable)[column].unique().to_pylist()
        wrong = [text for text in different if text is not None and not _is(text, is_right)]
        if wrong:
            is_wrong = pc.is_in(table[column].cast(pa.binary()), pa.array([text.encode() for text in wrong]))
            yield from _where(is_wrong, f"{column} is not what is stored there")


def _where(mask: Any, why: str) -> Iterator[tuple[int, str]]:
    for number in pc.indices_nonzero(pc.fill_null(mask, False)):
        yield number.as_py(), why


def _is(text: str, right: Callable[[Any], bool]) -> bool:
    try:
        return right(json.loads(text))
    except (ValueError, RecursionError):
        return False


def _numbers(content: Any) -> bool:
    return isinstance(content, dict) and all(isinstance(value, int | float) for value in content.values())


def _stages(content: Any) -> bool:
    return isinstance(content, list) and all(_numbers(s) and {"steps", "generated_tokens"} <= s.keys() for s in content)


_JSON: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "results": {"settings": lambda content: isinstance(content, dict), "pass_at": _numbers, "stages": _stages,
                "versions": lambda content: isinstance(content, dict)},
    "outcomes": {"strategies": _numbers},
}  # fmt: skip
"""File -> column of JSON -> whether its content is of the right form."""
