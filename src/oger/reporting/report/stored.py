"""The stored rollout groups of a run, read one Parquet file at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from oger.reporting.report.run_folder import RunFolder
from oger.runs.rollouts import ORIGINS, ROLLOUTS, Store, read_rollouts

Rows = Sequence[Mapping[str, Any]]

_INDEXED = ("group", "prompt", "origin", "outcome", "num_tokens", "bonus")
"""Columns that the index of all stored groups is made of."""


@dataclass(frozen=True, kw_only=True)
class GroupKey:
    """Where a stored group lies, and which prompt it is of."""

    step: int
    group: int
    prompt: str
    """Digest of the prompt: equal for equal prompts."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A correct online row."""

    step: int
    tokens: int
    bonus: float


def index_groups(run: RunFolder) -> tuple[list[GroupKey], list[Point]]:
    """Every stored group, in the order of steps and groups, and length and bonus of every correct online row.

    Reads every stored step once; a damaged file adds a line to the run's problems.
    """
    steps = stored_steps(run)
    if not steps:
        run.add_problem(f"{ROLLOUTS.folder}/ holds no stored step: no groups, no map, no bonus against length")
    groups: list[GroupKey] = []
    points: list[Point] = []
    for step in steps:
        for group, rows in _read(run, step, columns=_INDEXED).items():
            groups.append(GroupKey(step=step, group=group, prompt=_digest(rows[0]["prompt"])))
            points += [
                Point(step=step, tokens=row["num_tokens"], bonus=row["bonus"])
                for row in rows
                if row["origin"] == "online" and row["outcome"] == 1 and row["bonus"] is not None
            ]
    return groups, points


def stored_steps(run: RunFolder, store: Store = ROLLOUTS) -> list[int]:
    """Steps of which a file is stored, in order; a file that is named otherwise adds a line to the run's problems."""
    steps = []
    for path in sorted((run.path / store.folder).glob("step-*.parquet")):
        digits = path.stem.removeprefix("step-")
        if digits.isdecimal() and path.is_file():
            steps.append(int(digits))
        else:
            run.add_problem(f"{store.folder}/{path.name} is not a file named after a step")
    return sorted(steps)


def load_groups(run: RunFolder, wanted: Sequence[GroupKey]) -> Iterator[tuple[GroupKey, Rows]]:
    """The rows of the wanted groups, in their order; one that has gone since it was indexed is left out."""
    by_step: dict[int, list[GroupKey]] = {}
    for key in wanted:
        by_step.setdefault(key.step, []).append(key)
    for step, keys in by_step.items():
        groups = _read(run, step, only={key.group for key in keys})
        yield from ((key, groups[key.group]) for key in keys if key.group in groups)


def spread_evenly(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of `items`, in their order and evenly apart.

    >>> spread_evenly("abcdefghij", 3)
    ['b', 'f', 'i']
    """
    if len(items) <= count:
        return list(items)
    return [items[int((place + 0.5) * len(items) / count)] for place in range(count)]


def sample_groups(groups: Sequence[GroupKey], count: int) -> list[GroupKey]:
    """At most `count` groups: evenly over the stored steps, then evenly over the groups of each step."""
    by_step: dict[int, list[GroupKey]] = {}
    for key in groups:
        by_step.setdefault(key.step, []).append(key)
    steps = spread_evenly(list(by_step), count)
    chosen: list[GroupKey] = []
    for place, step in enumerate(steps):
        share = (count - len(chosen)) // (len(steps) - place)
        chosen += spread_evenly(by_step[step], share)
    return chosen


def _digest(prompt: str) -> str:
    return hashlib.blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def _read(
    run: RunFolder, step: int, *, columns: Sequence[str] | None = None, only: Collection[int] | None = None
) -> dict[int, list[dict[str, Any]]]:
    """Groups of one step; a damaged file costs its own step.

    Args:
        columns: that are wanted; None = all. To make Python objects of a table costs more than to read it.
        only: groups that are wanted; None = all.
    """
    groups: dict[int, list[dict[str, Any]]] = {}
    with run.reading(f"{ROLLOUTS.folder}: step {step}"):
        table = whole_rows(run, step)
        if only is not None:
            table = table.filter(
                pc.is_in(table.column("group"), pa.array(sorted(only), table.schema.field("group").type))
            )
        for row in table.select(columns or table.column_names).to_pylist():
            groups.setdefault(row["group"], []).append(row)
    return groups


def whole_rows(run: RunFolder, step: int, store: Store = ROLLOUTS) -> pa.Table:
    """Rows of a step that have all that every row must have and an origin; others add a line to the run's problems."""
    table = read_rollouts(run.path, step, store=store)
    whole = pc.is_in(table.column("origin"), pa.array(ORIGINS))
    for field in ROLLOUTS.schema:
        if not field.nullable:
            whole = pc.and_(whole, pc.is_valid(table.column(field.name)))
    if lost := len(table) - pc.sum(whole).as_py() if len(table) else 0:
        run.add_problem(f"{store.folder}: step {step}: {lost} of {len(table)} rows lack a value and are left out")
    return table.filter(whole)
