"""From stored results to numbers: who is ahead by how much, how sure that is, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import Any

import numpy as np

from oger.evaluation.statistics.accuracy import powers_of_two
from oger.evaluation.statistics.crossed import (
    Interval,
    Matrix,
    crossed_p,
    difference_interval,
    holm,
    mean_interval,
    permutation_p,
    seed_record,
)
from oger.study.cell_folder import SIGNALS
from oger.study.cells import (
    MAIN,
    STANDARD,
    TUNING,
    UNTRAINED,
    WIDE,
    accuracies_by_value,
    choose_values,
    tuning_cells,
)
from oger.study.numbers import Comparison, Finding, PassCurve, Place, Reach, Stage, Standing
from oger.study.outcomes import Outcomes
from oger.study.plan import ACCURACY, BASE, DISTINCT, FORMAT_BLIND, PASS_AT, Study
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
        wanted = {MAIN: {*study.grid}, UNTRAINED: {(regime, BASE, 0) for regime in study.regimes}}
        rows = store.tables["results"].to_pylist()
        self.rows = [row for row in rows if _key(row) in wanted.get(row["kind"], ())]
        self.tuning_rows = [row for row in rows if row["kind"] == TUNING]
        self._outcomes = Outcomes(store, {row["cell"] for row in self.rows})
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
                tuned=self._origin_of_tuned(method, rows[0]["tuned"]),
                seeds=tuple(row["seed"] for row in rows),
                problems=rows[0]["problems"],
                samples=rows[0]["samples"],
                accuracy=mean_interval(self._outcomes.pass_at(1, rows)),
                blind=_interval_of(self._outcomes.format_blind(rows)),
                against_reference=comparisons.get((method, reference)),
                means={name: _mean([row[name] for row in rows]) for name in MEANS}
                | {"entropy": _mean([self._last_entropy(row["cell"]) for row in rows])},
                stages=self._stages(rows),
            )
            for method, rows in by_method.items()
        ]

    @cached_property
    def findings(self) -> list[Finding]:
        """What became of every claim in each of its places that has results of both methods."""
        compared = []
        wide = self.study.evaluation.wide
        for claim in self.study.claims:
            evaluation, policy, most = STANDARD, self.study.evaluation.policies[0], 1.0
            if claim.metric not in (ACCURACY, FORMAT_BLIND):
                assert wide is not None  # as the study's file was checked for
                evaluation, policy = WIDE, wide.policy
                most = float(wide.samples) if claim.metric == DISTINCT else 1.0
            for regime, split in claim.places:
                place = Place(regime, split, policy)
                by_method = self._by_method(place, evaluation)
                mine, theirs = (
                    self._of_claim(by_method.get(name, ()), claim.metric) for name in (claim.method, claim.other)
                )
                if mine is None or theirs is None:
                    continue
                # One seed tells nothing of others; the untrained policy has none.
                if len(mine) > 1 and (claim.other == BASE or len(theirs) > 1):
                    difference = difference_interval(mine, theirs, most=most)
                    compared.append((claim, place, difference))
        p_values = holm([crossed_p(difference) for _, _, difference in compared])
        return [Finding(*entry, p) for entry, p in zip(compared, p_values, strict=True)]

    def contrasts(self, place: Place) -> dict[tuple[str, str], Comparison]:
        """The comparisons that the study names, beside those to its reference; p values adjusted for these alone."""
        by_method = self._by_method(place, STANDARD)
        return self._compare(by_method, [pair for pair in self.study.contrasts if set(pair) <= by_method.keys()])

    def _compare(
        self, by_method: Mapping[str, list[dict[str, Any]]], pairs: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], Comparison]:
        matrices = {method: self._outcomes.pass_at(1, by_method[method]) for pair in pairs for method in pair}
        differences = {(a, b): difference_interval(matrices[a], matrices[b]) for a, b in pairs}
        several = [(a, b) for a, b in pairs if min(len(matrices[a]), len(matrices[b])) > 1]
        p_values = {pair: crossed_p(differences[pair]) for pair in several}
        adjusted = dict(zip(several, holm(list(p_values.values())), strict=True))
        tests = len(several)
        return {
            (a, b): Comparison(
                difference=difference,
                p_problems=permutation_p(matrices[a], matrices[b]),
                p_crossed=p_values.get((a, b)),
                p_holm=adjusted.get((a, b)),
                detectable=difference.detectable(tests) if (a, b) in adjusted else None,
                record=seed_record(_by_seed(by_method[a]), _by_seed(by_method[b])),
            )
            for (a, b), difference in differences.items()
        }

    def families(self, place: Place) -> dict[str, dict[str, float]]:
        """Method -> family of problems -> accuracy, mean over seeds and problems; what has no family is left out."""
        found: dict[str, dict[str, float]] = {}
        for method, rows in self._by_method(place, STANDARD).items():
            accuracy_N = self._outcomes.pass_at(1, rows).mean(axis=0)
            family_N = np.array([problem.family for problem in self._outcomes.problems(rows[0])], dtype=object)
            names = sorted({name for name in family_N if name is not None})
            found[method] = {name: float(accuracy_N[family_N == name].mean()) for name in names}
        return found

    def strategies(self, place: Place) -> dict[str, dict[str, Interval]]:
        """Method -> way of solving -> part of the samples that are correct in that way: they add up to the accuracy.

        Empty where the world names no ways, or they were not stored.
        """
        counts = {}
        by_method = self._by_method(place, STANDARD)
        for method, rows in by_method.items():
            if (stored := self._outcomes.stored("strategies", rows)) is not None:
                counts[method] = [[json.loads(text) for text in row] for row in stored]
        names = sorted({name for found in counts.values() for row in found for entry in row for name in entry})
        samples = {method: rows[0]["samples"] for method, rows in by_method.items()}
        return {
            method: {
                name: mean_interval(np.array([[e.get(name, 0) / samples[method] for e in row] for row in found]))
                for name in names
            }
            for method, found in counts.items()
            if names
        }

    def pass_curves(self, place: Place) -> list[PassCurve]:
        """pass@k of every method with a wide evaluation of this policy."""
        by_method = self._by_method(place, WIDE)
        reference = by_method.get(self.study.reference)
        found = []
        for method, rows in by_method.items():
            samples = min(row["samples"] for row in rows)
            difference = None
            if reference is not None and method not in (BASE, self.study.reference):
                mine, theirs = (self._outcomes.pass_at(samples, each) for each in (rows, reference))
                difference = difference_interval(mine, theirs)
            found.append(
                PassCurve(
                    method=method,
                    problems=rows[0]["problems"],
                    values={k: mean_interval(self._outcomes.pass_at(k, rows)) for k in powers_of_two(samples)},
                    difference=difference,
                    distinct=_interval_of(self._outcomes.distinct(rows), most=samples),
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
        values = self.study.tuning.values if self.study.tuning is not None else ()
        found = []
        for pair, by_value in accuracies_by_value(cells, accuracies).items():
            tried = zip(by_value, values, strict=True)
            best = next((tuned for tuned, value in tried if pair in chosen and value == chosen[pair]), None)
            found.append((*pair, {tuned: _mean(each) for tuned, each in by_value.items()}, best))
        return found

    def _by_method(self, place: Place, evaluation: str) -> dict[str, list[dict[str, Any]]]:
        """Method -> its rows in the order of the seeds; the untrained policy stands beside either policy.

        Alone it stands only where accuracy is measured, as while a study begins.
        """
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
        alone = not found.keys() - {BASE}
        return {} if alone and evaluation != STANDARD else found

    def _of_claim(self, rows: Sequence[Mapping[str, Any]], metric: str) -> Matrix | None:
        """What a claim compares, as (seeds, problems); None where it is not stored."""
        if not rows:
            return None
        if metric == FORMAT_BLIND:
            return self._outcomes.format_blind(rows)
        if metric == DISTINCT:
            return self._outcomes.distinct(rows)
        k = int(metric.removeprefix(PASS_AT)) if metric.startswith(PASS_AT) else 1
        return self._outcomes.pass_at(k, rows)

    def _origin_of_tuned(self, method: str, tuned: str) -> str:
        if method == BASE:
            return ""
        if not tuned:
            return "not tuned"
        parent = self.study.methods[method].like
        return f"{tuned}, {f'of {parent}' if parent else 'tuned'}"

    def _stages(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Stage, ...]:
        """Stages in the order of training, means over seeds; of results that do not say, the last is what the curve
        shows. A seed that needed no first stage spent nothing there."""
        if all(row["stages"] for row in rows):
            stored = [reversed(json.loads(row["stages"])) for row in rows]
            aligned = [*zip_longest(*stored, fillvalue={"steps": 0, "generated_tokens": 0})][::-1]
            return tuple(
                Stage(*(float(np.mean([stage[name] for stage in stages])) for name in ("steps", "generated_tokens")))
                for stages in aligned
            )
        steps = _mean([row["steps"] for row in rows]) or 0.0
        last = _mean([len(self._curves.get(row["cell"], ())) for row in rows]) or 0.0
        if not steps:
            return ()
        parts = (steps - last, last) if last < steps else (steps,)
        return tuple(Stage(part, None) for part in parts)

    def _last_entropy(self, cell: str) -> float | None:
        values = [row["entropy"] for row in self._curves.get(cell, []) if row["entropy"] is not None]
        return _mean(values[-_LAST_STEPS:])


def _interval_of(matrix: Matrix | None, *, most: float = 1.0) -> Interval | None:
    return None if matrix is None else mean_interval(matrix, most=most)


def _key(row: Mapping[str, Any]) -> tuple[str, str, int]:
    return row["regime"], row["method"], row["seed"]


def _place(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["regime"], row["split"], row["policy"]


def _by_seed(rows: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    return {row["seed"]: row["accuracy"] for row in rows}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _median(values: Sequence[float | None]) -> float | None:
    """Median where None is infinitely late; None where that is the median."""
    median = float(np.median([float("inf") if value is None else value for value in values]))
    return median if np.isfinite(median) else None
