"""Stored outcomes of problems, as matrices of seeds by problems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from oger.evaluation.statistics.accuracy import pass_at_k
from oger.evaluation.statistics.crossed import Matrix
from oger.study.measure import CORRECT
from oger.study.store import ResultStore


class Problem(NamedTuple):
    """A row of outcomes.parquet; see `oger.study.store`."""

    problem: int
    correct: int
    family: str
    blind: str | None
    distinct: int | None
    strategies: str | None


class Outcomes:
    """The problems of stored evaluations; a row of results.parquet names one of these.

    Args:
        store: results of any number of sessions.
        cells: names of those that count.
    """

    def __init__(self, store: ResultStore, cells: set[str]) -> None:
        table = store.tables["outcomes"].select(["cell", "evaluation", "policy", "split", *Problem._fields])
        found: dict[tuple[str, ...], list[Problem]] = {}
        for cell, evaluation, policy, split, *problem in zip(
            *(column.to_pylist() for column in table.columns), strict=True
        ):
            if cell in cells:
                found.setdefault((cell, evaluation, policy, split), []).append(Problem(*problem))
        self._problems = {key: sorted(entries, key=lambda entry: entry.problem) for key, entries in found.items()}

    def problems(self, row: Mapping[str, Any]) -> list[Problem]:
        """Those of one evaluation, in their order."""
        return self._problems[row["cell"], row["evaluation"], row["policy"], row["split"]]

    def pass_at(self, k: int, rows: Sequence[Mapping[str, Any]]) -> Matrix:
        """pass@k as (seeds, problems); k = 1 is the accuracy."""
        table = {
            (samples, correct): pass_at_k(samples, correct, k)
            for samples in {row["samples"] for row in rows}
            for correct in range(samples + 1)
        }
        return np.array([[table[row["samples"], problem.correct] for problem in self.problems(row)] for row in rows])

    def stored(self, column: str, rows: Sequence[Mapping[str, Any]]) -> list[list[Any]] | None:
        """A column of outcomes.parquet by seed and problem; None where it was not stored for all."""
        found = [[getattr(problem, column) for problem in self.problems(row)] for row in rows]
        return None if any(None in row for row in found) else found

    def format_blind(self, rows: Sequence[Mapping[str, Any]]) -> Matrix | None:
        """Accuracy without regard to format, as (seeds, problems); None where it was not stored for all."""
        blind = self.stored("blind", rows)
        return None if blind is None else np.array([[text.count(CORRECT) / len(text) for text in row] for row in blind])

    def distinct(self, rows: Sequence[Mapping[str, Any]]) -> Matrix | None:
        """Different correct solutions, as (seeds, problems); None where they were not stored for all."""
        distinct = self.stored("distinct", rows)
        return None if distinct is None else np.array(distinct, dtype=np.float64)
