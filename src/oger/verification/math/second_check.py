r"""The second check of mathematical equality: high-precision values, compared relatively.

math-verify compares numbers with an absolute tolerance, so it takes 1/2004! for 1/2006! and 10^{-30} for 10^{-31}. Here
both expressions are evaluated by `evaluator`, never by sympy:

- rationals stay exact fractions, so polynomial identities with rational coefficients are decided exactly;
- everything else is evaluated by mpmath at two or three precisions. A difference that stays the same at the higher
  precision is real, one that keeps shrinking with the precision is zero: no tolerance, hence no wrong scale;
- the free symbols take fixed rational values, positive ones first. Expressions that agree there but not at negative
  values (\sqrt{x^2} and x) are left to the first grader;
- a value whose exponent no longer fits 400 bits, and a node the evaluator does not know (sums, integrals, limits), is
  not decided here.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

from oger.verification.math.evaluator import (
    MAX_EXACT_BITS,
    Point,
    TooLargeError,
    UnsupportedError,
    add,
    evaluate,
    multiply,
)

_DIGITS = (150, 300, 600)  # guard digits included: an argument of 100 digits loses at most 100 of them
_MAX_EQUAL_BITS = (
    330  # of a value that is not rational: beyond 100 digits, agreement of the leading ones proves nothing
)
_SETTLED = 1e-10  # a difference this stable from one precision to the next is not a rounding error
_MAX_SYMPY_BITS = 512
_MAX_BESIDE_LOGARITHMS = 100
_VANISHING = 1e-60  # a difference that shrinks this much is one


def same_value(gold: Any, answer: Any) -> bool | None:
    """Have two sympy expressions the same value? None: this check cannot tell.

    Args:
        gold, answer: sympy expressions, not evaluated; free symbols stand for reals, `i` for the imaginary unit.

    Raises:
        TooLargeError: A value is beyond what can be represented (10^{10^{10^{10}}}).
    """
    symbols = sorted({symbol.name for side in (gold, answer) for symbol in side.free_symbols} - {"i"})
    if not symbols:
        return _same_at(gold, answer, {})
    positive = [_same_at(gold, answer, _point(symbols, seed, 1)) for seed in (1, 2)]
    if False in positive:
        return False
    if None in positive:
        return None
    negative = [_same_at(gold, answer, _point(symbols, seed, -1)) for seed in (3, 4)]
    return None if False in negative else True


def constant_ratio(gold: Any, answer: Any) -> bool | None:
    """Is gold/answer the same finite, non-zero number everywhere? Two equations lhs - rhs = 0 then say the same."""
    symbols = sorted({symbol.name for side in (gold, answer) for symbol in side.free_symbols} - {"i"})
    points = [_point(symbols, seed, sign) for seed, sign in ((1, 1), (2, 1), (3, -1))]
    try:
        first = [evaluate(side, points[0], _DIGITS[0]) for side in (gold, answer)]
        if 0 in first:
            return None
        for point in points[1:]:
            other = [evaluate(side, point, _DIGITS[0]) for side in (gold, answer)]
            cross = [multiply(first[0], other[1]), multiply(first[1], other[0])]
            if not _is_zero_near(add(cross[0], multiply(cross[1], Fraction(-1))), cross[0]):
                return False
    except (UnsupportedError, TooLargeError):
        return None
    return True


def _is_zero_near(difference: Any, scale: Any) -> bool:
    return difference == 0 or (not isinstance(difference, Fraction) and abs(difference) < abs(scale) * _VANISHING)


def _same_at(gold: Any, answer: Any, point: Point) -> bool | None:
    try:
        low, high = (_difference(gold, answer, point, digits) for digits in _DIGITS[:2])
        if isinstance(high, Fraction):
            return high == 0
        if abs(high - low) <= abs(high) * _SETTLED and high != 0:
            return False
        if not _is_small(gold, point):
            return None
        highest = _difference(gold, answer, point, _DIGITS[2])
    except UnsupportedError:
        return None
    if _vanishes(low, high, _DIGITS[1]) and _vanishes(high, highest, _DIGITS[2]):
        return True
    return False if highest != 0 and abs(highest - high) <= abs(highest) * _SETTLED else None


def _vanishes(before: Any, after: Any, digits: int) -> bool:
    """Did the difference shrink with the precision, to the size of a rounding error at `digits`?"""
    import mpmath

    return bool(abs(after) <= abs(before) * _VANISHING or abs(after) < mpmath.mpf(10) ** (-0.6 * digits))


def _is_small(expression: Any, point: Point) -> bool:
    import mpmath

    value = evaluate(expression, point, _DIGITS[0])
    return isinstance(value, Fraction) or value == 0 or int(mpmath.mag(value)) <= _MAX_EQUAL_BITS


def _difference(gold: Any, answer: Any, point: Point, digits: int) -> Any:
    import mpmath

    with mpmath.workdps(digits):
        return add(evaluate(gold, point, digits), multiply(Fraction(-1), evaluate(answer, point, digits)))


def _point(symbols: list[str], seed: int, sign: int) -> Point:
    # Denominators are powers of two: at an odd one, (-1)^{7/5} would be taken for a real root.
    return {name: Fraction(sign * ((37 * index + 53 * seed) % 89 + 3), 64) for index, name in enumerate(symbols)}


def irrational_value(expression: Any) -> Fraction | None:
    """The value of a constant that is real and not rational, to 100 digits; None when it is anything else."""
    import mpmath

    try:
        value = evaluate(expression, {}, _DIGITS[0])
    except (UnsupportedError, TooLargeError):
        return None
    if isinstance(value, Fraction):
        return None
    with mpmath.workdps(_DIGITS[0]):
        if mpmath.im(value) != 0 or abs(mpmath.mag(value)) > MAX_EXACT_BITS:
            return None
        return Fraction(mpmath.nstr(mpmath.re(value), 100))


def is_slow(gold: Any, answer: Any) -> bool:
    """Would sympy's simplification take seconds and more? It writes logarithms beside integers as powers."""
    from sympy import log, preorder_traversal

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
                yield evaluate(node, {}, _DIGITS[0])
            except UnsupportedError:
                continue


def is_costly(expression: Any) -> bool:
    """Does the expression hold a constant power, factorial or binomial whose digits nobody should work out?

    Raises:
        TooLargeError: One of them is beyond what can be represented.
    """
    import mpmath
    from sympy import preorder_traversal

    return any(
        not isinstance(value, Fraction) and value and abs(mpmath.mag(value)) > MAX_EXACT_BITS
        for value in _constants(preorder_traversal(expression))
    )
