"""Products of small factors such as 7*8*9*2; a problem is its factors."""

from collections import Counter
from collections.abc import Mapping
from math import prod
from typing import Any

from oger.worlds.arithmetic.families.factors import prime_factors
from oger.worlds.arithmetic.families.family import Family, Problem, Range
from oger.worlds.arithmetic.pen import Pen, Solution


def _parse(metadata: Mapping[str, Any]) -> Problem:
    return tuple(int(factor) for factor in metadata["expression"].split(" * "))


def _render(factors: Problem) -> str:
    return "*".join(map(str, factors)) + "=?\n"


def _multiply_all(factors: Problem, pen: Pen, steps: list[str]) -> int:
    product = factors[0]
    for factor in factors[1:]:
        before, product = product, pen(product * factor)
        steps.append(f"{before}*{factor}={product}")
    return product


def left_to_right(factors: Problem, pen: Pen) -> Solution:
    """7*8=56 56*9=504 504*2=1008"""
    steps: list[str] = []
    answer = _multiply_all(factors, pen, steps)
    return Solution(tuple(steps), str(answer))


def halves_then_split(factors: Problem, pen: Pen) -> Solution:
    """7*8=56 9*2=18 56*10=560 56*8=448 560+448=1008: two halves, the second one split into tens and units."""
    steps: list[str] = []
    middle = len(factors) // 2
    left = _multiply_all(factors[:middle], pen, steps)
    right = _multiply_all(factors[middle:], pen, steps)
    parts = [part for part in (right - right % 10, right % 10) if part]
    products = []
    for part in parts:
        products.append(pen(left * part))
        steps.append(f"{left}*{part}={products[-1]}")
    answer = products[0]
    if len(products) > 1:
        answer = pen(sum(products))
        steps.append(f"{products[0]}+{products[1]}={answer}")
    return Solution(tuple(steps), str(answer))


def prime_powers(factors: Problem, pen: Pen) -> Solution:
    """2^4 3^2 7^1 16*9=144 144*7=1008: collect the primes, then multiply their powers."""
    exponents = Counter(prime for factor in factors for prime in prime_factors(factor, Pen()))
    written = [(prime, pen(exponents[prime])) for prime in sorted(exponents)]
    steps = [f"{prime}^{exponent}" for prime, exponent in written]
    powers = tuple(pen(prime**exponent) for prime, exponent in written)
    if len(powers) == 1:
        steps.append(f"={powers[0]}")
    answer = _multiply_all(powers, pen, steps)
    return Solution(tuple(steps), str(answer))


PRODUCTS = Family(
    name="products",
    in_distribution={"min_terms": 3, "max_terms": 4, "min_digits": 1, "max_digits": 1},
    hard=Range(
        {"min_terms": 5, "max_terms": 5, "min_digits": 1, "max_digits": 1},
        accepts=lambda factors: prod(factors) <= 1000,  # above, hardly anything is ever solved
    ),
    hard_ood=Range(
        {"min_terms": 5, "max_terms": 5, "min_digits": 1, "max_digits": 1},
        accepts=lambda factors: 1000 < prod(factors) <= 1500,
    ),
    parse=_parse,
    render=_render,
    accepts=lambda factors: min(factors) > 1,  # 0 and 1 leave nothing to work out
    commutes=True,
    styles=(left_to_right, halves_then_split, prime_powers),
)
