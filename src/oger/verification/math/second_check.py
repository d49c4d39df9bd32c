r"""The second check of mathematical equality: high-precision values, compared relatively.

math-verify compares numbers with an absolute tolerance, so it takes 1/2004! for 1/2006! and 10^{-30} for 10^{-31}. Here
both expressions are evaluated by `evaluator`, never by sympy:

- rationals stay exact fractions; everything else is evaluated by mpmath at two or three precisions. A difference that
  stays the same at the higher precision is real, one that keeps shrinking with the precision is zero: no tolerance,
  hence no wrong scale. The third precision reaches beyond the smallest and the largest part of either side;
- letters take random rational values, drawn from the text of both sides so that no answer can know them, of several
  sizes and both signs. Only points where every part of both sides is real count. One where the values differ refutes;
- points alone never prove. What they agree on is an identity where both sides are analytic between the zeros of what
  stands under roots, logarithms and absolute values, and a point of every piece was tried (`points`); where that cannot
  be said (\arctan(\tan x), |\sin x|), nothing is decided here;
- values that differ in their sign alone, and never at positive letters, are equal for two products with a square root
  each and several letters, which stand for positive numbers: a\sqrt{b} is \sqrt{a^2 b}; but \sqrt{x^2} is not x,
  x\sqrt{x^2+1} not \sqrt{x^4+x^2}, nor is \sqrt[6]{x^2} \sqrt[3]{x}.
- a node that the evaluator does not know (sums, integrals, limits) is not decided here.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any, Literal

import mpmath
from sympy import Abs, I, Pow, Symbol, binomial, factorial, gamma, log, preorder_traversal

from oger.verification.math.evaluator import (
    MAX_EXACT_BITS,
    Point,
    TooLargeError,
    UnknownNodeError,
    UnsupportedError,
    Walk,
    add,
    evaluate,
    multiply,
)
from oger.verification.math.points import (
    branch_arguments,
    integer_letters,
    letters,
    points,
    points_of_pieces,
    with_integers,
)

_CONSTANT_DIGITS = 150  # guard digits included: an argument of 100 digits loses at most 100 of them
_POINT_DIGITS = 60
_MAX_DIGITS = 40_000
_SETTLED = 1e-10  # a difference this stable from one precision to the next is not a rounding error
_MIN_POINTS = 2  # at which both sides are real and agree
_MIN_INTEGERS = 5  # where letters stand for integers
_MAX_SYMPY_BITS = 512
_MAX_BESIDE_LOGARITHMS = 100
_GAMMA_FUNCTIONS = (factorial, binomial, gamma)  # they take minutes at large numbers that are no integers

Relation = Literal["equal", "opposite", "different", "unknown"]
_Pair = Callable[[Point, int, "Walk"], tuple[Any, Any]]  # two values at a point with so many digits


def same_value(gold: Any, answer: Any) -> bool | None:
    """Have two sympy expressions the same value? None: this check cannot tell.

    Args:
        gold, answer: sympy expressions, not evaluated; free symbols stand for reals, `i` for the imaginary unit.

    Raises:
        TooLargeError: A value is beyond what can be represented (10^{10^{10^{10}}}).
    """

    def pair(point: Point, digits: int, walk: Walk) -> tuple[Any, Any]:
        return evaluate(gold, point, digits, walk), evaluate(answer, point, digits, walk)

    if letters(gold, answer):
        return _same_everywhere(gold, answer, pair, signs=_products_with_roots(gold, answer))
    try:
        relation = _relation(pair, {}, _CONSTANT_DIGITS, real=False)
    except UnknownNodeError:
        return None
    return None if relation == "unknown" else relation == "equal"


def same_up_to_a_factor(gold: Any, answer: Any) -> bool | None:
    """Is gold/answer the same finite, non-zero number everywhere? Two equations lhs - rhs = 0 then say the same."""
    names = letters(gold, answer)
    place = points(names, random.Random(f"{answer} | {gold}"))[1]

    def pair(point: Point, digits: int, walk: Walk) -> tuple[Any, Any]:
        here = [evaluate(side, point, digits, walk) for side in (gold, answer)]
        there = [evaluate(side, place, digits) for side in (gold, answer)]
        if 0 in there:
            raise UnsupportedError("zero divided by zero")
        return multiply(here[0], there[1]), multiply(here[1], there[0])

    if not names:
        return None
    return _same_everywhere(gold, answer, pair, signs=False)


def _same_everywhere(gold: Any, answer: Any, pair: _Pair, *, signs: bool) -> bool | None:
    """Equal at every point where both are real, and for a reason; `signs`: up to the sign beside negative letters."""
    generator = random.Random(f"{gold} | {answer}")
    names = letters(gold, answer)
    real = not any(_is_complex(side) for side in (gold, answer))
    integers = integer_letters(gold, answer)
    branches = [branch_arguments(side, integers) for side in (gold, answer)]
    slow = any(side.has(*_GAMMA_FUNCTIONS) for side in (gold, answer))
    others = [name for name in names if name not in integers]
    places = with_integers(points(others, generator, sizes=3 if slow else 5), integers, generator)
    pieces = None
    if branches[0] is not None and branches[1] is not None and (real or not any(branches)):
        arguments = list(dict.fromkeys(branches[0] + branches[1]))
        if not {symbol.name for argument in arguments for symbol in argument.free_symbols} & integers:
            pieces = with_integers(points_of_pieces(others, arguments, generator), integers, generator)
    agree, turned = 0, False
    try:
        for place in (*places, *(pieces or ())):
            relation = _relation_or_unknown(pair, place, real=real)
            positive = all(value > 0 for value in place.values())
            if relation == "different" or (relation == "opposite" and (positive or not signs)):
                return False
            turned |= relation == "opposite"
            agree += relation == "equal" and (positive or not signs)
        if real and not agree and not turned:  # real nowhere: complex values can still differ
            relations = [_relation_or_unknown(pair, place, real=False) for place in places[:2]]
            return False if {"different", "opposite"} & set(relations) else None
    except UnknownNodeError:
        return None
    return True if pieces is not None and agree >= (_MIN_INTEGERS if integers else _MIN_POINTS) else None


def _is_complex(expression: Any) -> bool:
    return bool(expression.has(I)) or any(s.name == "i" for s in expression.atoms(Symbol))


def _products_with_roots(*sides: Any) -> bool:
    """Is each side one product that holds an even root of letters, of several in all, and no absolute value?"""
    return len(letters(*sides)) > 1 and all(
        not side.is_Add
        and not side.has(Abs)
        and any(p.free_symbols and p.exp.is_Rational and p.exp.q % 2 == 0 for p in side.atoms(Pow))
        for side in sides
    )


def _relation_or_unknown(pair: _Pair, point: Point, *, real: bool) -> Relation:
    try:
        return _relation(pair, point, _POINT_DIGITS, real=real)
    except TooLargeError:
        return "unknown"


def _relation(pair: _Pair, point: Point, digits: int, *, real: bool) -> Relation:
    """How two values stand to each other at one point."""
    walk = Walk(point, real)
    try:
        low, high = (_sum_and_difference(pair, point, d, walk) for d in (digits, 2 * digits))
        if isinstance(high[1], Fraction) and isinstance(high[0], Fraction):
            return "equal" if high[1] == 0 else "opposite" if high[0] == 0 else "different"
        if _is_settled(low[1], high[1]):
            return (
                "opposite" if not _is_settled(low[0], high[0]) and _vanishes(low[0], high[0], digits) else "different"
            )
        span = int(walk.span * 0.302)
        if 3 * span < digits:
            return "equal" if _vanishes(low[1], high[1], digits) else "unknown"
        most = max(4 * digits, 2 * span + 100)
        if most > _MAX_DIGITS:
            return "unknown"
        highest = _sum_and_difference(pair, point, most, walk)
        if highest[1] != 0 and high[1] == 0:  # it shows for the first time: is it real?
            high, highest = highest, _sum_and_difference(pair, point, 2 * most, walk)
    except UnknownNodeError:
        raise
    except UnsupportedError:
        return "unknown"
    if _is_settled(high[1], highest[1]):
        return "different"
    return "equal" if _vanishes(high[1], highest[1], most) else "unknown"


def _is_settled(before: Any, after: Any) -> bool:
    return bool(after != 0 and abs(after - before) <= abs(after) * _SETTLED)


def _vanishes(before: Any, after: Any, digits: int) -> bool:
    """Did the difference shrink with the precision, to the size of a rounding error?"""
    shrink = mpmath.mpf(10) ** (-0.4 * digits)
    return bool(abs(after) <= abs(before) * shrink or abs(after) < shrink**3)


def _sum_and_difference(pair: _Pair, point: Point, digits: int, walk: Walk) -> tuple[Any, Any]:
    walk.nodes = 0
    gold, answer = pair(point, digits, walk)
    with mpmath.workdps(digits):
        return add(gold, answer), add(gold, multiply(Fraction(-1), answer))


def irrational_value(expression: Any) -> Fraction | None:
    """The value of a constant that is real and not rational, to 100 digits; None when it is anything else."""
    try:
        value = evaluate(expression, {}, _CONSTANT_DIGITS)
    except (UnsupportedError, TooLargeError):
        return None
    if isinstance(value, Fraction):
        return None
    with mpmath.workdps(_CONSTANT_DIGITS):
        if mpmath.im(value) != 0 or abs(mpmath.mag(value)) > MAX_EXACT_BITS:
            return None
        return Fraction(mpmath.nstr(mpmath.re(value), 100))


def is_slow(gold: Any, answer: Any) -> bool:
    """Would sympy's simplification take seconds and more? It writes logarithms beside integers as powers."""
    nodes = [node for side in (gold, answer) for node in preorder_traversal(side)]
    sizes = [max(abs(value.numerator), value.denominator) for value in _constants(nodes) if isinstance(value, Fraction)]
    largest = max(sizes, default=0)
    return largest.bit_length() > _MAX_SYMPY_BITS or (
        largest > _MAX_BESIDE_LOGARITHMS and any(n.func == log for n in nodes)
    )


def _constants(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        if type(node).__name__ in ("Pow", "factorial", "binomial", "Integer") and not node.free_symbols:
            try:
                yield evaluate(node, {}, _CONSTANT_DIGITS)
            except UnsupportedError:
                continue


def is_costly(expression: Any) -> bool:
    """Does the expression hold a constant power, factorial or binomial whose digits nobody should work out?

    Raises:
        TooLargeError: One of them is beyond what can be represented.
    """
    return any(
        not isinstance(value, Fraction) and value and abs(mpmath.mag(value)) > MAX_EXACT_BITS
        for value in _constants(preorder_traversal(expression))
    )
