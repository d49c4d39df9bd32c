"""Bootstrap intervals: of one mean, and of several systems on several benchmarks, their averages and differences.

For studies, whose few seeds are too few for a bootstrap, see `crossed`.

A system is one policy, or the policies of several training seeds. One resample draws the problems of each benchmark
with replacement, the same for every system (the comparison is paired), and the seeds of each system, the same for every
benchmark. An average over benchmarks weighs each benchmark alike and resamples each on its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Accuracies = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""system -> benchmark -> matrix (seeds, problems) of accuracies in [0, 1]."""

_INDICES_AT_ONCE = 2_000_000
"""Resampled problems in one block: 16 MB, whatever the size of the benchmark."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float


def bootstrap_interval(
    values: ArrayLike, *, confidence: float = 0.95, num_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values`, one value per problem.

    Problems are resampled, not samples: the question is what another set of problems would have given. A single
    problem gives an interval of width 0, which says nothing.
    """
    values_P = np.asarray(values, dtype=np.float64)
    if values_P.ndim != 1 or values_P.size == 0:
        raise ValueError(f"need a non-empty list of values, one per problem; got shape {values_P.shape}")
    if not np.isfinite(values_P).all():
        raise ValueError("values hold NaN or infinity")
    _check_options(confidence, num_resamples)
    blocks = _resamples(np.random.default_rng(seed), values_P.size, num_resamples)
    return _percentiles(np.concatenate([values_P[index_BP].mean(axis=1) for index_BP in blocks]), confidence)


class Comparison:
    """Bootstrap distributions of every system's mean on every benchmark.

    Args:
        accuracies: every system has the same benchmarks, and these the same number of problems.
        num_resamples: bootstrap resamples.

    Raises:
        ValueError: nothing to compare, or systems that were not asked the same.
    """

    def __init__(
        self, accuracies: Accuracies, *, confidence: float = 0.95, num_resamples: int = 2000, seed: int = 0
    ) -> None:
        _check_options(confidence, num_resamples)
        _check(accuracies)
        self.systems = tuple(accuracies)
        self.benchmarks = tuple(next(iter(accuracies.values())))
        self._confidence = confidence
        self._means = {
            (system, name): float(matrix.mean()) for system, sets in accuracies.items() for name, matrix in sets.items()
        }
        self._draws: dict[tuple[str, str], NDArray[np.float64]] = {}
        for name in self.benchmarks:
            self._draws |= _draws(
                name, {system: accuracies[system][name] for system in self.systems}, num_resamples, seed
            )

    def mean(self, system: str, benchmarks: Sequence[str]) -> Estimate:
        """Mean accuracy over `benchmarks` (one, or the members of an average)."""
        return self._estimate(self._value(system, benchmarks), self._distribution(system, benchmarks))

    def difference(self, system: str, reference: str, benchmarks: Sequence[str]) -> Estimate:
        """Paired difference `system` - `reference`."""
        value = self._value(system, benchmarks) - self._value(reference, benchmarks)
        return self._estimate(value, self._distribution(system, benchmarks) - self._distribution(reference, benchmarks))

    def best(self, benchmarks: Sequence[str]) -> str | None:
        """The best system, where the interval of its difference to every other lies above 0; else None."""
        best, *others = sorted(self.systems, key=lambda system: -self._value(system, benchmarks))
        ahead = [self.difference(best, other, benchmarks).low > 0.0 for other in others]
        return best if ahead and all(ahead) else None

    def _value(self, system: str, benchmarks: Sequence[str]) -> float:
        return sum(self._means[system, name] for name in benchmarks) / len(benchmarks)

    def _distribution(self, system: str, benchmarks: Sequence[str]) -> NDArray[np.float64]:
        return np.mean([self._draws[system, name] for name in benchmarks], axis=0)

    def _estimate(self, value: float, draws: NDArray[np.float64]) -> Estimate:
        return Estimate(value, *_percentiles(draws, self._confidence))


def _draws(
    benchmark: str, matrices: Mapping[str, NDArray[np.float64]], num_resamples: int, seed: int
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """(system, benchmark) -> mean accuracy of each resample."""
    num_problems = next(iter(matrices.values())).shape[1]
    # Named streams: two benchmarks of equal size must not be resampled alike, nor two systems' seeds.
    problems = np.random.default_rng([seed, zlib.crc32(benchmark.encode())])
    seeds = {
        system: np.random.default_rng([seed, zlib.crc32(system.encode()), 1]).integers(
            len(matrix), size=(num_resamples, len(matrix))
        )
        for system, matrix in matrices.items()
    }
    pieces: dict[str, list[NDArray[np.float64]]] = {system: [] for system in matrices}
    start = 0
    for index_BP in _resamples(problems, num_problems, num_resamples):
        size = len(index_BP)
        for system, matrix_RP in matrices.items():
            of_seed_BR = np.stack([row_P[index_BP].mean(axis=1) for row_P in matrix_RP], axis=1)
            chosen_BR = seeds[system][start : start + size]
            pieces[system].append(np.take_along_axis(of_seed_BR, chosen_BR, axis=1).mean(axis=1))
        start += size
    return {(system, benchmark): np.concatenate(parts) for system, parts in pieces.items()}


def _resamples(generator: np.random.Generator, num_problems: int, num_resamples: int) -> Iterator[NDArray[np.int64]]:
    """(resamples of a block, problems): indices drawn with replacement."""
    block = max(1, _INDICES_AT_ONCE // num_problems)
    for start in range(0, num_resamples, block):
        yield generator.integers(num_problems, size=(min(block, num_resamples - start), num_problems))


def _percentiles(draws: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return float(low), float(high)


def _check_options(confidence: float, num_resamples: int) -> None:
    if not 0.0 < confidence < 1.0 or num_resamples < 1:
        raise ValueError(f"need 0 < confidence < 1 and num_resamples >= 1, got {confidence} and {num_resamples}")


def _check(accuracies: Accuracies) -> None:
    if not accuracies or not all(accuracies.values()):
        raise ValueError("a comparison needs at least one system and one benchmark")
    first_name, first = next(iter(accuracies.items()))
    for system, sets in accuracies.items():
        if sets.keys() != first.keys():
            raise ValueError(f"{system} and {first_name} have different benchmarks")
        for name, matrix in sets.items():
            if matrix.ndim != 2 or matrix.size == 0 or not np.isfinite(matrix).all():
                raise ValueError(f"{system}, {name}: accuracies must be a finite matrix of seeds x problems")
            if matrix.shape[1] != first[name].shape[1]:
                raise ValueError(
                    f"{name}: {system} was asked {matrix.shape[1]} problems, {first_name} {first[name].shape[1]}"
                )
