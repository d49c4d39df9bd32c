"""Several systems on several benchmarks: means, averages and paired differences with bootstrap intervals.

A system is one policy, or the policies of several training seeds. One resample draws the problems of each benchmark
with replacement, the same for every system (the comparison is paired), and the seeds of each system, the same for every
benchmark. An average over benchmarks weighs each benchmark alike and resamples each on its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Accuracies = Mapping[str, Mapping[str, NDArray[np.float64]]]
"""system -> benchmark -> matrix (seeds, problems) of accuracies in [0, 1]."""

_INDICES_AT_ONCE = 2_000_000
"""Resampled problems in one block: 16 MB, whatever the size of the benchmark."""


@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0.0 or self.high < 0.0


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
        if not 0.0 < confidence < 1.0 or num_resamples < 1:
            raise ValueError(f"need 0 < confidence < 1 and num_resamples >= 1, got {confidence} and {num_resamples}")
        _check(accuracies)
        self.systems = tuple(accuracies)
        self.benchmarks = tuple(next(iter(accuracies.values())))
        self._tail = (1.0 - confidence) / 2.0
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
        low, high = np.quantile(draws, [self._tail, 1.0 - self._tail])
        return Estimate(value, float(low), float(high))


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
    block = max(1, _INDICES_AT_ONCE // num_problems)
    pieces: dict[str, list[NDArray[np.float64]]] = {system: [] for system in matrices}
    for start in range(0, num_resamples, block):
        size = min(block, num_resamples - start)
        index_BP = problems.integers(num_problems, size=(size, num_problems))
        for system, matrix_RP in matrices.items():
            of_seed_BR = np.stack([row_P[index_BP].mean(axis=1) for row_P in matrix_RP], axis=1)
            chosen_BR = seeds[system][start : start + size]
            pieces[system].append(np.take_along_axis(of_seed_BR, chosen_BR, axis=1).mean(axis=1))
    return {(system, benchmark): np.concatenate(parts) for system, parts in pieces.items()}


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
