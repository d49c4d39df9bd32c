r"""The three teachers: each knows one strategy, checks every attempt, and is wrong at its own rate.

A teacher writes nothing about problems that its strategy cannot solve. Before the attempt that succeeds it makes up to
three that fail, the more often the nearer they look to success. A teacher that errs slips once in the attempt that
seems to succeed and carries the slip on, so only checking the boxed expression finds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from oger.worlds.arithmetic.pen import Pen
from oger.worlds.numbers.problems import Problem
from oger.worlds.numbers.strategies import Attempt, attempts

_MAX_FAILED = 3
_TRY_AGAIN = 0.5
"""Chance of one more failed attempt: the policy's own attempts are not better."""


@dataclass(frozen=True)
class Teacher:
    """A name, a strategy and an error rate."""

    name: str
    strategy: str
    error_rate: float


TEACHERS = (
    Teacher("methodical", "products", 0.01),
    Teacher("brisk", "pairs", 0.05),
    Teacher("hasty", "backward", 0.18),
)


def boxed(steps: Sequence[str], expression: str) -> str:
    """The text of a response: steps, then the boxed expression."""
    return " ".join((*steps, f"\\boxed{{{expression}}}"))


def solve(strategy: str, problem: Problem, rng: Random) -> str | None:
    """A faultless solution with the failed attempts before it; None where the strategy has none."""
    made = attempts(strategy, problem.numbers, problem.target)
    right = [attempt for attempt in made if attempt.solution]
    return _written(rng.choice(right), made, rng) if right else None


def solve_with_slip(strategy: str, problem: Problem, rng: Random) -> str | None:
    """A solution that a slip made wrong; None where no slip leads to what looks like a solution."""
    slips = [
        attempt
        for slip_at in (0, 1)
        for attempt in attempts(strategy, problem.numbers, problem.target, lambda at=slip_at: Pen(at, rng))  # type: ignore[misc]
        if attempt.solution and attempt.solution.true_value != problem.target
    ]
    made = attempts(strategy, problem.numbers, problem.target)
    return _written(rng.choice(slips), made, rng) if slips else None


def _written(last: Attempt, made: Sequence[Attempt], rng: Random) -> str:
    assert last.solution
    failed = {attempt.steps: attempt for attempt in made if not attempt.solution}
    steps: list[str] = []
    for _ in range(_MAX_FAILED):
        if not failed or rng.random() >= _TRY_AGAIN:
            break
        (chosen,) = rng.choices(list(failed.values()), [1 / (2 + attempt.gap) for attempt in failed.values()])
        del failed[chosen.steps]
        steps += chosen.steps
    return boxed((*steps, *last.steps), last.solution.text)


def trajectory(teacher: Teacher, problem: Problem) -> str | None:
    """What this teacher writes about this problem: always the same, because the draw is seeded by both."""
    rng = Random(f"{teacher.name}|{problem}")
    if rng.random() < teacher.error_rate:
        return solve_with_slip(teacher.strategy, problem, rng)
    return solve(teacher.strategy, problem, rng)
