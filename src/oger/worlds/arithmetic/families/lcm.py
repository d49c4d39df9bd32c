"""Least common multiples such as lcm(12,18), the family that RL never trains on; a problem is its two numbers."""

from collections.abc import Mapping
from math import lcm, prod
from typing import Any

from oger.worlds.arithmetic.families.factors import common_factors, euclid, prime_factors
from oger.worlds.arithmetic.families.family import Family, Problem, Range
from oger.worlds.arithmetic.pen import Pen, Solution


def _parse(metadata: Mapping[str, Any]) -> Problem:
    return tuple(metadata["numbers"])


def _render(numbers: Problem) -> str:
    return f"lcm({','.join(map(str, numbers))})=?\n"


def product_over_gcd(numbers: Problem, pen: Pen) -> Solution:
    """18%12=6 12%6=0 12/6=2 2*18=36"""
    a, b = numbers
    steps: list[str] = []
    divisor = euclid(max(a, b), min(a, b), pen, steps)
    quotient = pen(a // divisor)
    answer = pen(quotient * b)
    return Solution((*steps, f"{a}/{divisor}={quotient}", f"{quotient}*{b}={answer}"), str(answer))


def merged_primes(numbers: Problem, pen: Pen) -> Solution:
    """12=2*2*3 18=2*3*3 2*2*3*3=36"""
    a, b = numbers
    left, right = prime_factors(a, pen), prime_factors(b, pen)
    missing = list(right)
    for factor in common_factors(left, right):
        missing.remove(factor)
    merged = [factor for factor in sorted(left + missing) if factor > 1] or [1]
    answer = pen(prod(merged))
    written = ("*".join(map(str, factors)) for factors in (left, right, merged))
    steps = tuple(f"{name}={factors}" for name, factors in zip((a, b), written, strict=False))
    return Solution((*steps, f"{'*'.join(map(str, merged))}={answer}"), str(answer))


def reduced_ratio(numbers: Problem, pen: Pen) -> Solution:
    """12:18=6:9=2:3 12*3=36"""
    a, b = numbers
    x, y = a, b
    ratios = [f"{a}:{b}"]
    while True:
        shared = common_factors(prime_factors(x, Pen()), prime_factors(y, Pen()))
        factor = shared[0] if shared else 1
        if factor == 1:
            break
        x, y = max(pen(x // factor), 1), max(pen(y // factor), 1)
        ratios.append(f"{x}:{y}")
    answer = pen(a * y)
    return Solution(("=".join(ratios), f"{a}*{y}={answer}"), str(answer))


LCM = Family(
    name="lcm",
    in_distribution={"min_numbers": 2, "max_numbers": 2, "min_value": 4, "max_value": 24},
    hard_ood=Range(
        {"min_numbers": 2, "max_numbers": 2, "min_value": 4, "max_value": 40},
        accepts=lambda numbers: max(numbers) > 24 and lcm(*numbers) <= 100,
    ),
    parse=_parse,
    render=_render,
    commutes=True,
    styles=(product_over_gcd, merged_primes, reduced_ratio),
)
