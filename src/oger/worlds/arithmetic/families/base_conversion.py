"""Base conversions such as 213_4=?_7 (213 in base 4 to base 7); a problem is (value, source base, target base)."""

from collections.abc import Mapping
from typing import Any

from oger.worlds.arithmetic.families.family import Family, Problem, Range
from oger.worlds.arithmetic.pen import Pen, Solution


def _parse(metadata: Mapping[str, Any]) -> Problem:
    return metadata["decimal_value"], metadata["source_base"], metadata["target_base"]


def _digits(value: int, base: int) -> list[int]:
    digits = []
    while value:
        value, digit = divmod(value, base)
        digits.append(digit)
    return digits[::-1] or [0]


def _render(problem: Problem) -> str:
    value, source, target = problem
    return f"{''.join(map(str, _digits(value, source)))}_{source}=?_{target}\n"


def multiply_then_divide(problem: Problem, pen: Pen) -> Solution:
    """2,9,39 5r4,0r5: multiply by 4 and add the next digit; divide by 7 and keep remainders."""
    value, source, target = problem
    first, *rest = _digits(value, source)
    read = [first]
    for digit in rest:
        read.append(pen(read[-1] * source + digit))
    left, divisions, answer = read[-1], [], ""
    while left:
        quotient, remainder = pen(left // target), pen(left % target)
        divisions.append(f"{quotient}r{remainder}")
        left, answer = quotient, f"{remainder}{answer}"
    return Solution((",".join(map(str, read)), ",".join(divisions)), answer or "0")


def place_values(problem: Problem, pen: Pen) -> Solution:
    """32+4+3=39 39=5*7+4: a sum of place values, then the target's place values."""
    value, source, target = problem
    digits = _digits(value, source)
    parts = [pen(digit * source**place) for place, digit in zip(range(len(digits))[::-1], digits, strict=True)]
    total = pen(sum(parts))
    written = [pen(digit) for digit in _digits(total, target)]
    places = [target**place for place in range(len(written))[::-1]]
    terms = [f"{digit}*{place}" if place > 1 else str(digit) for digit, place in zip(written, places, strict=True)]
    return Solution((f"{'+'.join(map(str, parts))}={total}", f"{total}={'+'.join(terms)}"), "".join(map(str, written)))


def units_first_then_greedy(problem: Problem, pen: Pen) -> Solution:
    """3,7,39 39-35=4-4=0: add places from the units up; take away the largest multiple of each place."""
    value, source, target = problem
    sums: list[int] = []
    for place, digit in enumerate(reversed(_digits(value, source))):
        sums.append(pen((sums[-1] if sums else 0) + digit * source**place))
    left, chain, answer = sums[-1], str(sums[-1]), ""
    for place in range(len(_digits(left, target)))[::-1]:
        digit = left // target**place
        taken = digit * target**place
        left = pen(left - taken)
        chain += f"-{taken}={left}"
        answer += str(digit)
    return Solution((",".join(map(str, sums)), chain), answer)


BASE_CONVERSION = Family(
    name="base_conversion",
    in_distribution={"min_base": 3, "max_base": 9, "min_value": 9, "max_value": 40},
    longer={"min_base": 3, "max_base": 4, "min_value": 41, "max_value": 80},  # small bases: more digits
    larger={"min_base": 5, "max_base": 9, "min_value": 41, "max_value": 80},
    # Binary numbers: pre-training has no base 2. To base 2 nothing is ever solved.
    hard=Range({"min_base": 2, "max_base": 9, "min_value": 9, "max_value": 50}, accepts=lambda p: p[1] == 2),
    hard_ood=Range({"min_base": 3, "max_base": 10, "min_value": 9, "max_value": 40}, accepts=lambda p: 10 in p[1:]),
    parse=_parse,
    render=_render,
    styles=(multiply_then_divide, place_values, units_first_then_greedy),
)
