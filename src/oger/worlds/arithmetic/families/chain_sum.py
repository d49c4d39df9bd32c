"""Chain sums such as 3-5+8+4; a problem is its signed terms."""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from oger.worlds.arithmetic.families.family import Family, Problem, Range
from oger.worlds.arithmetic.pen import Pen, Solution


def _parse(metadata: Mapping[str, Any]) -> Problem:
    first, *rest = metadata["expression"].split(" ")
    signed = (int(number) if sign == "+" else -int(number) for sign, number in zip(rest[::2], rest[1::2], strict=True))
    return (int(first), *signed)


def _render(terms: Problem) -> str:
    # A subtracted zero is parsed as 0 and rendered as "+0": the same problem with the same answer.
    return "".join([str(terms[0]), *(f"{term:+d}" for term in terms[1:])]) + "=?\n"


def running_total(terms: Problem, pen: Pen) -> Solution:
    """3-5=-2 -2+8=6 6+4=10"""
    total, steps = terms[0], []
    for term in terms[1:]:
        before, total = total, pen(total + term)
        steps.append(f"{before}{term:+d}={total}")
    return Solution(tuple(steps), str(total))


def positives_minus_negatives(terms: Problem, pen: Pen) -> Solution:
    """+:3+8+4=15 -:5=5 15-5=10"""
    added = [term for term in terms if term >= 0]
    removed = [-term for term in terms if term < 0]
    gain, loss = pen(sum(added)), pen(sum(removed))
    answer = pen(gain - loss)
    steps = (
        f"+:{'+'.join(map(str, added))}={gain}",
        f"-:{'+'.join(map(str, removed)) or '0'}={loss}",
        f"{gain}-{loss}={answer}",
    )
    return Solution(steps, str(answer))


def tree(terms: Problem, pen: Pen) -> Solution:
    """3-5=-2 8+4=12 -2+12=10: each half is summed on its own, down to pairs."""
    steps: list[str] = []

    def total(part: Problem) -> int:
        if len(part) == 1:
            return part[0]
        middle = len(part) // 2
        left, right = total(part[:middle]), total(part[middle:])
        result = pen(left + right)
        steps.append(f"{left}{right:+d}={result}")
        return result

    answer = total(terms)
    return Solution(tuple(steps), str(answer))


def _largest_total(terms: Problem) -> int:
    return max(map(abs, accumulate(terms)))


CHAIN_SUM = Family(
    name="chain_sum",
    in_distribution={"min_terms": 3, "max_terms": 5, "min_digits": 1, "max_digits": 1},
    longer={"min_terms": 6, "max_terms": 6, "min_digits": 1, "max_digits": 1},
    hard=Range(
        {"min_terms": 7, "max_terms": 7, "min_digits": 1, "max_digits": 1},
        accepts=lambda terms: _largest_total(terms) <= 18,
    ),
    hard_ood=Range(
        {"min_terms": 8, "max_terms": 8, "min_digits": 1, "max_digits": 1},
        accepts=lambda terms: _largest_total(terms) <= 9,  # small totals keep the longer traces short
    ),
    parse=_parse,
    render=_render,
    accepts=any,  # a sum of zeros leaves nothing to do
    styles=(running_total, positives_minus_negatives, tree),
)
