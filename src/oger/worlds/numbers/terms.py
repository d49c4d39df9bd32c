"""Arithmetic of the numbers game: terms over given numbers whose values stay whole, positive and small."""

from __future__ import annotations

import ast
from dataclasses import dataclass

MAX_VALUE = 99
"""No value of a computation is larger: the policy knows arithmetic up to here."""

OPERATORS = "+-*/"
_SIGNS: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def operate(left: int, operator: str, right: int) -> int | None:
    """left operator right, or None where the game does not allow it: not whole, not in 1..MAX_VALUE.

    >>> operate(6, "/", 3), operate(7, "/", 3), operate(3, "-", 3), operate(11, "*", 11)
    (2, None, None, None)
    """
    match operator:
        case "+":
            value = left + right
        case "-":
            value = left - right
        case "*":
            value = left * right
        case "/":
            value = left // right if right and left % right == 0 else 0
    return value if 1 <= value <= MAX_VALUE else None


@dataclass(frozen=True)
class Term:
    """A given number, or two terms joined by an operator."""

    value: int
    """What the term is taken to be worth: wrong where a slip is carried on."""
    parts: tuple[Term, str, Term] | None = None

    @property
    def text(self) -> str:
        """(3*7)+5"""
        if self.parts is None:
            return str(self.value)
        left, operator, right = self.parts
        return f"{left._inner}{operator}{right._inner}"

    @property
    def _inner(self) -> str:
        return f"({self.text})" if self.parts else self.text

    @property
    def true_value(self) -> int | None:
        """What the expression is worth, slips undone; None if it breaks a rule of the game."""
        if self.parts is None:
            return self.value
        left, right = self.parts[0].true_value, self.parts[2].true_value
        return None if left is None or right is None else operate(left, self.parts[1], right)

    @property
    def numbers(self) -> list[int]:
        """The given numbers, from left to right."""
        return [self.value] if self.parts is None else self.parts[0].numbers + self.parts[2].numbers

    @property
    def all_steps(self) -> list[str]:
        """The steps of the whole computation, the last one last."""
        return [] if self.parts is None else [*self.parts[0].all_steps, *self.parts[2].all_steps, self.step]

    @property
    def step(self) -> str:
        """The last operation with its result: 21+5=26."""
        assert self.parts
        left, operator, right = self.parts
        return f"{left.value}{operator}{right.value}={self.value}"


def joined(left: Term, operator: str, right: Term) -> Term | None:
    """Two terms as one, None where the game does not allow it."""
    value = operate(left.value, operator, right.value)
    return None if value is None else Term(value, (left, operator, right))


def read_term(text: str) -> Term | None:
    """The term that an expression denotes with its true values; None if it is no term of the game.

    >>> read_term("((3*7)+5)-2").value, read_term("3*7=21"), read_term("7/2")
    (24, None, None)
    """
    try:
        return _term(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _term(node: ast.expr) -> Term | None:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return Term(value)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _SIGNS:
            first, second = _term(left), _term(right)
            return joined(first, _SIGNS[type(sign)], second) if first and second else None
    return None
