"""The three teachers: each reasons in its own way in every family, and each is wrong at its own rate.

The rates follow the paper's teachers (99.3 %, 94.9 % and 82.1 % correct). A teacher that errs slips once in the middle
of the trace and carries on from there to a wrong answer, so only checking the answer finds it.
"""

from dataclasses import dataclass
from random import Random

from oger.worlds.arithmetic.families import Family, Problem
from oger.worlds.arithmetic.pen import Pen, Solution

_MAX_SLIP_DRAWS = 64  # far above what is needed: gcd, the most forgiving family, needs a handful


@dataclass(frozen=True)
class Teacher:
    """A name, an error rate, and the index of its style in `Family.styles`."""

    name: str
    error_rate: float
    style: int


TEACHERS = (Teacher("methodical", 0.01, 0), Teacher("brisk", 0.05, 1), Teacher("hasty", 0.18, 2))


def solve(family: Family, problem: Problem, style: int) -> Solution:
    """The faultless solution of a problem in one style."""
    return family.styles[style](problem, Pen())


def solve_with_slip(family: Family, problem: Problem, style: int, rng: Random) -> Solution:
    """A solution with exactly one slip that makes the answer wrong; faultless where no slip can do that.

    Rarely none can: whatever slips in gcd(7,29,33), the remainders end in 1 all the same.
    """
    counting = Pen()
    right = family.styles[style](problem, counting)
    for _ in range(_MAX_SLIP_DRAWS):
        attempt = family.styles[style](problem, Pen(rng.randrange(counting.num_written), rng))
        if attempt.answer != right.answer:
            return attempt
    return right


def trajectory(teacher: Teacher, family: Family, problem: Problem) -> str:
    """What this teacher writes for this problem: always the same, because the draw is seeded by both."""
    rng = Random(f"{teacher.name}|{family.name}|{problem}")
    if rng.random() < teacher.error_rate:
        return solve_with_slip(family, problem, teacher.style, rng).text
    return solve(family, problem, teacher.style).text
