"""From stored results to numbers: who is ahead by how much, how sure that is, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oger.evaluation.statistics.accuracy import pass_at_k, powers_of_two
from oger.evaluation.statistics.crossed import (
    Matrix,
    crossed_p,
    difference_interval,
    holm,
    mean_interval,
    permutation_p,
    seed_record,
)
from oger.study.cell_folder import SIGNALS
from oger.study.cells import MAIN, STANDARD, TUNING, UNTRAINED, WIDE, choose_values, tuning_cells
from oger.study.numbers import Comparison, PassCurve, Place, Reach, Standing
from oger.study.plan import BASE, Study
from oger.study.store import ResultStore

_LAST_STEPS = 10
"""Over which the entropy at the end is averaged."""

MEANS = (
    "steps", "generated_tokens", "train_seconds", "wall_seconds", "length", "truncated", "undecided", "solutions",
    "correct_solutions", "solution_distance", "teacher_divergence",
)  # fmt: skip


class Analysis:
    """The numbers of a study, from what is stored.

    Args:
        study: says which cells count, their order, the reference and the targets.
        store: results of any number of sessions.
    """

    def __init__(self, study: Study, store: ResultStore) -> None:
        self.study = study
        wanted = {MAIN: _main_names(study), UNTRAINED: {(regime, BASE, 0) for regime in study.regimes}}
        rows = store.tables["results"].to_pylist()
        self.rows = [row for row in rows if _key(row) in wanted.get(row["kind"], ())]
        self.tuning_rows = [row for row in rows if row["kind"] == TUNING]
        self._problems = _by_problem(store, {row["cell"] for row in self.rows})
        names = {row["cell"] for row in self.rows}
        self._standings: dict[Place, list[Standing]] = {}
        self._curves: dict[str, list[dict[str, Any]]] = {}
        for row in sorted(store.tables["curves"].to_pylist(), key=lambda row: (row["cell"], row["step"])):
            if row["cell"] in names:
                self._curves.setdefault(row["cell"], []).append(row)

    @property
    def places(self) -> list[Place]:
        """Every table, in the order of the study."""
        return [
            Place(regime, split, policy)
            for regime in self.study.regimes
            for split in self.study.regimes[regime].test
            for policy in self.study.evaluation.policies
            if any(_place(row) == (regime, split, policy) for row in self.rows)
        ]

    def standings(self, place: Place) -> list[Standing]:
        """The methods of a place, the untrained policy first, then in the order of the study."""
        if place not in self._standings:
            self._standings[place] = self._standings_of(place)
        return self._standings[place]

    def _standings_of(self, place: Place) -> list[Standing]:
        by_method = self._by_method(place, STANDARD)
        reference = self.study.reference
        pairs = [(m, reference) for m in by_method if m not in (BASE, reference) and reference in by_method]
        comparisons = self._compare(by_method, pairs)
        return [
            Standing(
                place=place,
                method=method,
                tuned=rows[0]["tuned"],
                seeds=tuple(row["seed"] for row in rows),
                problems=rows[0]["problems"],
                samples=rows[0]["samples"],
                accuracy=mean_interval(self._matrix(rows, 1)),
                against_reference=comparisons.get((method, reference)),
                means={name: _mean([row[name] for row in rows]) for name in MEANS}
                | {"entropy": _mean([self._last_entropy(row["cell"]) for row in rows])},
            )
            for method, rows in by_method.items()
        ]

    def contrasts(self, place: Place) -> dict[tuple[str, str], Comparison]:
        """The comparisons that the study names, beside those to its reference; p values adjusted for these alone."""
        by_method = self._by_method(place, STANDARD)
        return self._compare(by_method, [pair for pair in self.study.contrasts if set(pair) <= by_method.keys()])

    def _compare(
        self, by_method: Mapping[str, list[dict[str, Any]]], pairs: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], Comparison]:
        matrices = {method: self._matrix(by_method[method], 1) for pair in pairs for method in pair}
        differences = {(a, b): difference_interval(matrices[a], matrices[b]) for a, b in pairs}
        several = [(a, b) for a, b in pairs if min(len(matrices[a]), len(matrices[b])) > 1]
        p_values = {pair: crossed_p(differences[pair]) for pair in several}
        adjusted = dict(zip(several, holm(list(p_values.values())), strict=True))
        return {
            (a, b): Comparison(
                difference=difference,
                p_problems=permutation_p(matrices[a], matrices[b]),
                p_crossed=p_values.get((a, b)),
                p_holm=adjusted.get((a, b)),
                record=seed_record(_by_seed(by_method[a]), _by_seed(by_method[b])),
            )
            for (a, b), difference in differences.items()
        }

    def families(self, place: Place) -> dict[str, dict[str, float]]:
        """Method -> family of problems -> accuracy, mean over seeds and problems."""
        found: dict[str, dict[str, float]] = {}
        for method, rows in self._by_method(place, STANDARD).items():
            accuracy_N = self._matrix(rows, 1).mean(axis=0)
            family_N = np.array([family for _, _, family in self._problems[_measure_key(rows[0])]])
            found[method] = {str(name): float(accuracy_N[family_N == name].mean()) for name in np.unique(family_N)}
        return found

    def pass_curves(self, place: Place) -> list[PassCurve]:
        """pass@k of every method with a wide evaluation of this policy."""
        by_method = self._by_method(place, WIDE)
        reference = by_method.get(self.study.reference)
        found = []
        for method, rows in by_method.items():
            samples = min(row["samples"] for row in rows)
            matrix = self._matrix(rows, samples)
            compared = reference is not None and method not in (BASE, self.study.reference)
            found.append(
                PassCurve(
                    place=place,
                    method=method,
                    problems=rows[0]["problems"],
                    values={k: float(self._matrix(rows, k).mean()) for k in powers_of_two(samples)},
                    largest=mean_interval(matrix),
                    difference=difference_interval(matrix, self._matrix(reference, samples))
                    if compared and reference is not None
                    else None,
                )
            )
        return found

    def target(self, regime: str) -> float | None:
        """Validation accuracy to reach: the study's, else what the reference ends with on average."""
        if self.study.regimes[regime].target is not None:
            return self.study.regimes[regime].target
        curves = self.curves(regime).get(self.study.reference, {}).values()
        last = [[row["validation"] for row in curve if row["validation"] is not None] for curve in curves]
        return _mean([values[-1] for values in last if values])

    def reach(self, regime: str) -> dict[str, Reach]:
        """Method -> tokens and seconds until a validation first shows the target accuracy."""
        target = self.target(regime)
        if target is None:
            return {}
        found = {}
        for method, curves in self.curves(regime).items():
            firsts = [
                next((row for row in curve if row["validation"] is not None and row["validation"] >= target), None)
                for curve in curves.values()
            ]
            found[method] = Reach(
                sum(first is not None for first in firsts),
                len(firsts),
                _median([None if first is None else first["generated_tokens"] for first in firsts]),
                _median([None if first is None else first["seconds"] for first in firsts]),
            )
        return found

    def signals(self, regime: str) -> dict[str, dict[str, float | None]]:
        """Method -> column of curves.parquet -> mean over steps and seeds, for methods that sample rollouts."""
        found = {}
        for method, curves in self.curves(regime).items():
            rows = [row for curve in curves.values() for row in curve]
            means = {name: _mean([row[name] for row in rows]) for name in ("divergence", *SIGNALS)}
            if means["divergence"] is not None:
                found[method] = means
        return found

    def curves(self, regime: str) -> dict[str, dict[int, list[dict[str, Any]]]]:
        """Method -> seed -> rows of curves.parquet, in the order of the study."""
        cells = {
            (row["method"], row["seed"]): row["cell"]
            for row in self.rows
            if row["regime"] == regime and row["kind"] == MAIN
        }
        found: dict[str, dict[int, list[dict[str, Any]]]] = {}
        for method in self.study.methods:
            for (label, seed), cell in sorted(cells.items()):
                if label == method and cell in self._curves:
                    found.setdefault(method, {})[seed] = self._curves[cell]
        return found

    def tuning(self) -> list[tuple[str, str, dict[str, float | None], str | None]]:
        """(regime, method, "key=value" -> mean validation accuracy, the chosen one) of every tuned method."""
        accuracies = {row["cell"]: row["accuracy"] for row in self.tuning_rows}
        cells = tuning_cells(self.study)
        chosen = choose_values(self.study, cells, accuracies)
        table: dict[tuple[str, str], dict[str, list[float | None]]] = {}
        values: dict[str, Any] = {}
        for cell in cells:
            table.setdefault((cell.regime, cell.method), {}).setdefault(cell.tuned, []).append(
                accuracies.get(cell.name)
            )
        if self.study.tuning is not None:
            order = list(dict.fromkeys(cell.tuned for cell in cells))
            values = dict(zip(order, self.study.tuning.values, strict=True))
        return [
            (
                regime,
                method,
                {tuned: _mean(found) for tuned, found in by_value.items()},
                next((t for t in by_value if (regime, method) in chosen and values[t] == chosen[regime, method]), None),
            )
            for (regime, method), by_value in table.items()
        ]

    def _by_method(self, place: Place, evaluation: str) -> dict[str, list[dict[str, Any]]]:
        """Method -> its rows in the order of the seeds; the untrained policy stands beside either policy."""
        wanted = (place.regime, place.split, place.policy)
        found: dict[str, list[dict[str, Any]]] = {}
        for method in (BASE, *self.study.methods):
            rows = [
                row
                for row in self.rows
                if row["method"] == method
                and row["evaluation"] == evaluation
                and (_place(row) == wanted or (method == BASE and _place(row)[:2] == wanted[:2]))
            ]
            if rows:
                found[method] = sorted(rows, key=lambda row: row["seed"])
        return found if found.keys() - {BASE} else {}

    def _matrix(self, rows: Sequence[Mapping[str, Any]], k: int) -> Matrix:
        """pass@k as (seeds, problems); k = 1 is the accuracy."""
        table = {
            (samples, correct): pass_at_k(samples, correct, k)
            for samples in {row["samples"] for row in rows}
            for correct in range(samples + 1)
        }
        return np.array(
            [[table[row["samples"], correct] for _, correct, _ in self._problems[_measure_key(row)]] for row in rows]
        )

    def _last_entropy(self, cell: str) -> float | None:
        values = [row["entropy"] for row in self._curves.get(cell, []) if row["entropy"] is not None]
        return _mean(values[-_LAST_STEPS:])


def _main_names(study: Study) -> set[tuple[str, str, int]]:
    """(regime, method, seed) of the cells that the grid names."""
    return {
        (regime, method, seed)
        for block in study.blocks
        for regime in block.regimes
        for method in block.methods
        for seed in block.seeds
    }


def _by_problem(store: ResultStore, cells: set[str]) -> dict[tuple[str, str, str, str], list[tuple[int, int, str]]]:
    """(cell, evaluation, policy, split) -> (problem, correct samples, family), in the order of the problems."""
    table = store.tables["outcomes"].select(["cell", "evaluation", "policy", "split", "problem", "correct", "family"])
    found: dict[tuple[str, str, str, str], list[tuple[int, int, str]]] = {}
    for cell, evaluation, policy, split, *problem in zip(
        *(column.to_pylist() for column in table.columns), strict=True
    ):
        if cell in cells:
            found.setdefault((cell, evaluation, policy, split), []).append(tuple(problem))
    return {key: sorted(entries) for key, entries in found.items()}


def _key(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["regime"], row["method"], row["seed"]


def _place(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["regime"], row["split"], row["policy"]


def _measure_key(row: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return row["cell"], row["evaluation"], row["policy"], row["split"]


def _by_seed(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    return {row["seed"]: row["accuracy"] for row in rows}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _median(values: Sequence[float | None]) -> float | None:
    """Median where None is infinitely late; None where that is the median."""
    median = float(np.median([float("inf") if value is None else value for value in values]))
    return median if np.isfinite(median) else None
