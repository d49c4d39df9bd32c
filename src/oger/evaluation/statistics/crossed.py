"""Means and differences with problems and seeds both random.

Accuracies of a method are a matrix of seeds x problems. A mean over both varies because other seeds, and because other
problems, would have given another one. With the two-way model

    a_rp = m + S_r + P_p + I_rp        (r = 1..R seeds, p = 1..N problems)

the variance of the mean is V(S)/R + V(P)/N + V(I)/(RN). The variance of the row means estimates V(S) + V(I)/N, that of
the column means V(P) + V(I)/R, so their sum counts the last term twice, and the residual mean square takes it off once:

    SE^2 = s_row^2 / R + s_column^2 / N - s_residual^2 / (R N)

For a difference of two methods on the same problems, the columns are the per-problem differences of the seed means, and
each method brings its own rows and residuals. Intervals use Student's t with Satterthwaite's degrees of freedom: five
seeds are too few for a normal quantile or a percentile bootstrap (Cornfield and Tukey 1956, "Average values of mean
squares in factorials"; Satterthwaite 1946). With one seed per method its part is unknown, and the interval speaks of
other problems alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from oger.evaluation.statistics.intervals import Estimate

Matrix = NDArray[np.float64]
"""Accuracies in [0, 1], (seeds, problems)."""

CONFIDENCE = 0.95
POWER = 0.8

_PERMUTATIONS = 10_000
_PERMUTATIONS_AT_ONCE = 1_000


@dataclass(frozen=True)
class Interval(Estimate):
    """A mean or a difference of means."""

    standard_error: float
    degrees: float
    """Of freedom, Satterthwaite; infinite where the standard error is 0."""

    def detectable(self, tests: int = 1) -> float:
        """Least true difference that a two-sided test finds with a power of 0.8, as the first of Holm's steps.

        (t_{1 - 0.025 / tests} + t_0.8) SE: the smallest of `tests` p values is held against 5 % / tests.
        """
        quantiles = stats.t.ppf([1 - (1 - CONFIDENCE) / (2 * tests), POWER], self.degrees)
        return float(quantiles.sum() * self.standard_error)


def mean_interval(accuracy_RN: Matrix, *, most: float = 1.0) -> Interval:
    """Mean over seeds and problems with its 95 % interval, within 0 and `most`.

    Raises:
        ValueError: not a finite matrix with at least two problems.
    """
    return _interval([_checked(accuracy_RN)], [1.0], (0.0, most))


def difference_interval(accuracy_RN: Matrix, reference_QN: Matrix, *, most: float = 1.0) -> Interval:
    """Mean of the first minus mean of the second, paired by problem; seeds of the two are independent draws.

    Raises:
        ValueError: as `mean_interval`, or different numbers of problems.
    """
    first, second = _checked(accuracy_RN), _checked(reference_QN)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"paired by problem, but there are {first.shape[1]} and {second.shape[1]} problems")
    return _interval([first, second], [1.0, -1.0], (-most, most))


def permutation_p(accuracy_RN: Matrix, reference_QN: Matrix) -> float:
    """Two-sided paired permutation test over problems, seeds averaged: the signs of the differences are exchanged.

    It asks whether these trained policies differ on other problems, not whether other seeds would.

    Returns:
        (1 + permutations at least as extreme) / (1 + 10,000).
    """
    difference_N = _checked(accuracy_RN).mean(axis=0) - _checked(reference_QN).mean(axis=0)
    observed = abs(difference_N.sum()) - 1e-9  # equal sums in another order of addition count as equal
    extreme = 0
    for signs_BN in _signs(len(difference_N)):
        extreme += int((np.abs(signs_BN.astype(np.float64) @ difference_N) >= observed).sum())
    return (1 + extreme) / (1 + _PERMUTATIONS)


@lru_cache(maxsize=2)
def _signs(problems: int) -> list[NDArray[np.int8]]:
    """-1 and 1 of all permutations, in blocks of (permutations, problems), a byte each; made once for a table."""
    generator = np.random.default_rng(0)
    shape = _PERMUTATIONS_AT_ONCE, problems
    blocks = range(_PERMUTATIONS // _PERMUTATIONS_AT_ONCE)
    return [generator.integers(2, size=shape, dtype=np.int8) * 2 - 1 for _ in blocks]


def crossed_p(difference: Interval) -> float:
    """Two-sided p of a difference of 0 with problems and seeds both random: the test that the interval inverts."""
    if difference.standard_error == 0.0:
        return 1.0 if difference.value == 0.0 else 0.0
    return float(2 * stats.t.sf(abs(difference.value) / difference.standard_error, difference.degrees))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment for several tests at once, in the order given (Holm 1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def seed_record(accuracy: dict[int, float], reference: dict[int, float]) -> tuple[int, int, int]:
    """(wins, ties, losses) over the seeds that both have.

    >>> seed_record({0: 0.5, 1: 0.4, 2: 0.6}, {0: 0.4, 1: 0.4, 3: 0.9})
    (1, 1, 0)
    """
    pairs = [(accuracy[seed], reference[seed]) for seed in accuracy.keys() & reference.keys()]
    wins = sum(mine > theirs for mine, theirs in pairs)
    ties = sum(mine == theirs for mine, theirs in pairs)
    return wins, ties, len(pairs) - wins - ties


def _interval(matrices: Sequence[Matrix], signs: Sequence[float], bounds: tuple[float, float]) -> Interval:
    """Sum of signed means, its interval cut to what such a sum can be; see the module."""
    column_N = sum((sign * matrix.mean(axis=0) for sign, matrix in zip(signs, matrices, strict=True)), np.zeros(1))
    num_problems = column_N.size
    parts = [(float(column_N.var(ddof=1)) / num_problems, num_problems - 1)]  # (variance of the mean, degrees)
    residual = 0.0
    for matrix in matrices:
        num_seeds = len(matrix)
        if num_seeds < 2:
            continue
        parts.append((float(matrix.mean(axis=1).var(ddof=1)) / num_seeds, num_seeds - 1))
        inner = matrix - matrix.mean(axis=0) - matrix.mean(axis=1, keepdims=True) + matrix.mean()
        mean_square = float((inner**2).sum()) / ((num_seeds - 1) * (num_problems - 1))
        residual += mean_square / (num_seeds * num_problems)
    # A negative estimate of a variance component is chance: the mean varies at least as its largest part does.
    variance = max(sum(part for part, _ in parts) - residual, max(part for part, _ in parts))
    squares = sum(part**2 / degrees for part, degrees in parts)
    fewest = min(degrees for part, degrees in parts if part > 0.0) if squares > 0.0 else 0
    degrees = max(variance**2 / squares, fewest) if squares > 0.0 else float("inf")
    error = float(np.sqrt(variance))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, degrees)) * error
    value = float(sum(sign * matrix.mean() for sign, matrix in zip(signs, matrices, strict=True)))
    return Interval(value, max(value - half, bounds[0]), min(value + half, bounds[1]), error, degrees)


def _checked(matrix: Matrix) -> Matrix:
    if matrix.ndim != 2 or matrix.shape[0] < 1 or matrix.shape[1] < 2 or not np.isfinite(matrix).all():
        raise ValueError(f"accuracies must be a finite matrix of seeds x at least two problems, got {matrix.shape}")
    return matrix
