"""Reads the equations of a worked solution: "135 clams / 15 clams/minute = 9 minutes" is 135 / 15 = 9.

A number may carry a currency sign, thousands commas, a percent sign, and a few words that name what it counts. All
arithmetic is exact; a percentage counts hundredths.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?%?"
_UNIT = r"(?:\s+(?!x\s)[A-Za-z][A-Za-z'/-]*|/[A-Za-z][A-Za-z'/-]*)"  # "clams", "clams/minute"; a lone x multiplies
_OPERAND = rf"[$€£]?{_NUMBER}(?![\w.]){_UNIT}{{0,6}}?"
_OPERATOR = r"\s*(?:[-+*/×÷]|\bx\b)\s*"
_EQUATION = re.compile(
    rf"(?<![\w.%])(?P<left>{_OPERAND}(?:{_OPERATOR}{_OPERAND})+)"
    rf"\s*=\s*[$€£]?(?P<result>{_NUMBER})(?![\w(%]|[.,]\d)"
)
_ANY_NUMBER = re.compile(rf"(?<![\w.])({_NUMBER})(?!\w)")
_SIGNS = {"×": "*", "x": "*", "÷": "/"}


@dataclass(frozen=True)
class Equation:
    """One step: numbers joined by operators, and what they make."""

    numbers: tuple[str, ...]
    """As the solution writes them, without currency signs."""
    operators: tuple[str, ...]
    """Of + - * /, one fewer than the numbers."""
    result: str
    start: int
    """Where the left side starts in the text."""
    result_span: tuple[int, int]
    """Where the result stands in the text."""

    @property
    def text(self) -> str:
        """The bare equation, such as "135 / 15 = 9"."""
        left = self.numbers[0] + "".join(
            f" {operator} {number}" for operator, number in zip(self.operators, self.numbers[1:], strict=True)
        )
        return f"{left} = {self.result}"


def value_of(number: str) -> Fraction:
    """The value of a number as solutions write it.

    >>> str(value_of("1,250")), str(value_of("40%"))
    ('1250', '2/5')
    """
    plain = number.replace(",", "")
    return Fraction(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)


def evaluate(numbers: Sequence[str], operators: Sequence[str]) -> Fraction | None:
    """The value of numbers joined by + - * /, products first; None where it divides by zero.

    >>> str(evaluate(["2", "3", "8", "4"], ["+", "*", "/"]))
    '8'
    """
    terms = [value_of(numbers[0])]
    for operator, number in zip(operators, map(value_of, numbers[1:]), strict=True):
        if operator == "*":
            terms[-1] *= number
        elif operator == "/":
            if not number:
                return None
            terms[-1] /= number
        else:
            terms.append(number if operator == "+" else -number)
    return sum(terms, Fraction(0))


def find_equations(text: str) -> list[Equation]:
    """The equations of a text, in order; what is no plain arithmetic, such as "2x + 3 = 5", is passed over.

    >>> [e.text for e in find_equations("First find 4 boxes * $6/box = $24. Then 24 - 5 = 19 are left.")]
    ['4 * 6 = 24', '24 - 5 = 19']
    """
    return [_equation(match) for match in _EQUATION.finditer(text)]


def is_true(equation: Equation) -> bool:
    """Whether the left side makes exactly the result."""
    return evaluate(equation.numbers, equation.operators) == value_of(equation.result)


def replace_numbers(text: str, new: Mapping[Fraction, str]) -> str:
    """The text with every number that has one of these values written anew."""
    return _ANY_NUMBER.sub(lambda match: new.get(value_of(match[1]), match[1]), text)


def _equation(match: re.Match[str]) -> Equation:
    left = match["left"]
    found = list(_ANY_NUMBER.finditer(left))
    gaps = [left[a.end() : b.start()].rstrip(" $€£")[-1] for a, b in pairwise(found)]
    return Equation(
        numbers=tuple(number[1] for number in found),
        operators=tuple(_SIGNS.get(sign, sign) for sign in gaps),
        result=match["result"],
        start=match.start(),
        result_span=match.span("result"),
    )
