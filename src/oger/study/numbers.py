"""What the tables of a study are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oger.evaluation.statistics.crossed import Interval


@dataclass(frozen=True)
class Place:
    """What one table is about."""

    regime: str
    split: str
    policy: str


@dataclass(frozen=True)
class Comparison:
    """One method against another in one place."""

    difference: Interval
    """Paired by problem."""
    p_problems: float
    """Permutation test over problems, seeds averaged; not adjusted."""
    p_crossed: float | None
    """Problems and seeds both random; not adjusted. None where a method has one seed."""
    p_holm: float | None
    """`p_crossed` adjusted for all comparisons that stand in one table."""
    record: tuple[int, int, int]
    """Wins, ties and losses over the seeds that both have."""

    @property
    def verdict(self) -> int:
        """1 ahead, -1 behind, 0 not told apart: Holm-adjusted at 5 %."""
        if self.p_holm is None or self.p_holm >= 0.05:
            return 0
        return 1 if self.difference.value > 0 else -1


@dataclass(frozen=True)
class Standing:
    """One method in one place."""

    place: Place
    method: str
    tuned: str
    seeds: tuple[int, ...]
    problems: int
    samples: int
    accuracy: Interval
    against_reference: Comparison | None
    """None for the reference itself, the untrained policy, and without the reference."""
    means: Mapping[str, float | None]
    """Mean over seeds of the stored numbers in `oger.study.analysis.MEANS`."""


@dataclass(frozen=True)
class Reach:
    """What it took to get to a validation accuracy, medians over seeds; None where most seeds never did."""

    reached: int
    seeds: int
    tokens: float | None
    seconds: float | None


@dataclass(frozen=True)
class PassCurve:
    """pass@k of one method in one place, and its difference to the reference at the largest k."""

    place: Place
    method: str
    problems: int
    values: Mapping[int, float]
    largest: Interval
    difference: Interval | None
