"""Greatest common divisors such as gcd(48,36); a problem is its numbers."""

from collections.abc import Mapping
from functools import reduce
from math import gcd, prod
from typing import Any

from oger.worlds.arithmetic.families.factors import common_factors, euclid, prime_factors
from oger.worlds.arithmetic.families.family import Family, Problem, Range
from oger.worlds.arithmetic.pen import Pen, Solution


def _parse(metadata: Mapping[str, Any]) -> Problem:
    return tuple(metadata["numbers"])


def _render(numbers: Problem) -> str:
    return f"gcd({','.join(map(str, numbers))})=?\n"


def remainders(numbers: Problem, pen: Pen) -> Solution:
    """48%36=12 36%12=0"""
    steps: list[str] = []
    answer = numbers[0]
    for number in numbers[1:]:
        answer = euclid(max(answer, number), min(answer, number), pen, steps)
    return Solution(tuple(steps), str(answer))


def shared_primes(numbers: Problem, pen: Pen) -> Solution:
    """48=2*2*2*2*3 36=2*2*3*3 2*2*3=12"""
    factored = [prime_factors(number, pen) for number in numbers]
    common = reduce(common_factors, factored) or [1]
    answer = pen(prod(common))
    steps = [f"{number}={'*'.join(map(str, factors))}" for number, factors in zip(numbers, factored, strict=True)]
    return Solution((*steps, f"{'*'.join(map(str, common))}={answer}"), str(answer))


def divisors_downwards(numbers: Problem, pen: Pen) -> Solution:
    """36:36,18,12 48/12=4"""
    smallest, *others = sorted(numbers)
    listed: list[int] = []
    for divisor in (d for d in range(smallest, 0, -1) if smallest % d == 0):
        listed.append(max(pen(divisor), 1))
        if all(other % listed[-1] == 0 for other in others):
            break
    answer = listed[-1]
    checks = [f"{other}/{answer}={other // answer}" for other in others]
    return Solution((f"{smallest}:{','.join(map(str, listed))}", *checks), str(answer))


GCD = Family(
    name="gcd",
    in_distribution={"min_numbers": 2, "max_numbers": 2, "min_value": 4, "max_value": 40},
    longer={"min_numbers": 3, "max_numbers": 3, "min_value": 4, "max_value": 40},
    larger={"min_numbers": 2, "max_numbers": 2, "min_value": 41, "max_value": 80},
    # 1 and 2 are so frequent as answers that guessing them would be within reach.
    hard=Range(
        {"min_numbers": 2, "max_numbers": 2, "min_value": 81, "max_value": 160},
        accepts=lambda numbers: gcd(*numbers) >= 3,
    ),
    hard_ood=Range(
        {"min_numbers": 3, "max_numbers": 3, "min_value": 41, "max_value": 80},
        accepts=lambda numbers: gcd(*numbers) >= 3,
    ),
    parse=_parse,
    render=_render,
    commutes=True,
    styles=(remainders, shared_primes, divisors_downwards),
)
