"""What the tables of a study are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oger.study.statistics import Interval


@dataclass(frozen=True)
class Place:
    """What one table is about."""

    regime: str
    split: str
    policy: str


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
    difference: Interval | None
    """To the reference, paired by problem; None for the reference itself, the untrained policy, and without it."""
    p_problems: float | None
    """Permutation test over problems, seeds averaged; not adjusted."""
    p_crossed: float | None
    """Problems and seeds both random; not adjusted."""
    p_holm: float | None
    """`p_crossed` adjusted for all methods of the place; None where a method has one seed."""
    record: tuple[int, int, int] | None
    """Wins, ties and losses over the seeds that both have."""
    means: Mapping[str, float | None]
    """Mean over seeds of the stored numbers in `oger.study.analysis.MEANS`."""

    @property
    def verdict(self) -> int:
        """1 ahead of the reference, -1 behind it, 0 not told apart: Holm-adjusted at 5 %."""
        if self.p_holm is None or self.p_holm >= 0.05 or self.difference is None:
            return 0
        return 1 if self.difference.value > 0 else -1


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
