"""What the tables of a study are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oger.evaluation.statistics.crossed import Interval
from oger.study.plan import Claim


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
    detectable: float | None
    """Least true difference that Holm's first step would have found with a power of 0.8; None without that test."""
    record: tuple[int, int, int]
    """Wins, ties and losses over the seeds that both have."""

    @property
    def verdict(self) -> int:
        """1 ahead, -1 behind, 0 not told apart: Holm-adjusted at 5 %."""
        if self.p_holm is None or self.p_holm >= 0.05:
            return 0
        return 1 if self.difference.value > 0 else -1


@dataclass(frozen=True)
class Stage:
    """One stage of a method's training, means over seeds."""

    steps: float
    tokens: float | None
    """That the policy generated; None where it was not stored by stage."""


@dataclass(frozen=True)
class Standing:
    """One method in one place."""

    place: Place
    method: str
    tuned: str
    """"key=value", and where the value is from; "" without tuning."""
    seeds: tuple[int, ...]
    problems: int
    samples: int
    accuracy: Interval
    blind: Interval | None
    """Accuracy without regard to format; None where no box is asked for, or it was not stored."""
    against_reference: Comparison | None
    """None for the reference itself, the untrained policy, and without the reference."""
    means: Mapping[str, float | None]
    """Mean over seeds of the stored numbers in `oger.study.analysis.MEANS`."""
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Reach:
    """What it took to get to a validation accuracy, medians over seeds; None where most seeds never did."""

    reached: int
    seeds: int
    tokens: float | None
    seconds: float | None


@dataclass(frozen=True)
class PassCurve:
    """pass@k of one method in one place, its difference to the reference at the largest k, and its variety."""

    method: str
    problems: int
    values: Mapping[int, Interval]
    difference: Interval | None
    distinct: Interval | None
    """Different correct solutions per problem; None where they were not stored."""


@dataclass(frozen=True)
class Finding:
    """What became of one claim in one place."""

    claim: Claim
    place: Place
    difference: Interval
    p_holm: float
    """Problems and seeds both random, adjusted for all claims of the study."""

    @property
    def verdict(self) -> str:
        """holds, does not hold (the opposite is shown), or cannot tell: at 5 %."""
        if self.p_holm >= 0.05:
            return "cannot tell"
        ahead = self.difference.value > 0
        return "holds" if ahead == (self.claim.direction == "ahead") else "does not hold"
