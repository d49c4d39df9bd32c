r"""High-precision values of sympy expressions, without ever asking sympy to evaluate.

Rationals stay exact fractions; everything else is an mpmath number, whose exponent has no limit of its own, so
10^{10^{10}} and (10^8)! have values here that sympy would write out digit by digit.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath

MAX_EXACT_BITS = 60_000
_MAX_EXPONENT_BITS = 400
_MAX_EXACT_FACTORIAL = 3000
_MAX_NODES = 5000

Point = Mapping[str, Fraction]


class UnsupportedError(ArithmeticError):
    """The expression is not defined at this point, or not real where it is to be."""


class UnknownNodeError(UnsupportedError):
    """The expression holds something that the evaluator does not know: no point will help."""


class TooLargeError(ArithmeticError):
    """The value is too large to be represented, whatever it is."""


@dataclass
class Walk:
    """One evaluation of an expression, node by node."""

    point: Point
    real: bool = False
    """Refuse every part whose value is not real."""
    span: int = 0
    """Bits between 1 and the largest or smallest size met: what a difference may hide behind."""
    nodes: int = 0

    def value(self, node: Any) -> Any:
        """The value of one node, a Fraction or an mpmath number."""
        self.nodes += 1
        if self.nodes > _MAX_NODES:
            raise UnknownNodeError("too many terms")
        if node.is_Rational:
            return Fraction(int(node.p), int(node.q))
        if node.is_Float:
            return Fraction(str(node))  # as it was written, not its binary neighbour
        if node.is_Symbol:
            return mpmath.mpc(0, 1) if node.name == "i" else self.point[node.name]
        name = type(node).__name__
        rule = _RULES.get(name)
        if rule is None:
            raise UnknownNodeError(f"no rule for {name}")
        arguments = [self.value(argument) for argument in node.args]
        value = _real_power(*arguments) if self.real and name == "Pow" else rule(*arguments)
        if isinstance(value, Fraction):
            self.span = max(self.span, abs(value.numerator.bit_length() - value.denominator.bit_length()))
        elif value and mpmath.isfinite(value):
            if self.real and mpmath.im(value):
                raise UnsupportedError("not real")
            self.span = max(self.span, abs(int(mpmath.mag(value))))
        return value


def evaluate(expression: Any, point: Point, digits: int, walk: Walk | None = None) -> Any:
    """The value of a sympy expression: a Fraction when rational, else an mpmath number of `digits` digits.

    Args:
        expression: A sympy expression.
        point: The values of its symbols.
        digits: Decimal digits of everything that is not rational.
        walk: Where to note what was met on the way, and whether every part is to be real; None = a new one.

    Raises:
        UnsupportedError: A node has no rule, or no value at `point`.
        TooLargeError: The value cannot be represented.
    """
    with mpmath.workdps(digits):
        try:
            value = (walk or Walk(point)).value(expression)
        except (ValueError, ZeroDivisionError, OverflowError, TypeError, mpmath.libmp.NoConvergence) as error:
            raise UnsupportedError(str(error)) from error
    if not isinstance(value, Fraction) and not mpmath.isfinite(value):
        raise UnsupportedError("not finite")
    return value


def _to_mp(value: Any) -> Any:
    if isinstance(value, Fraction):
        return mpmath.mpf(value.numerator) / value.denominator
    return value


def _fits(value: Any) -> Any:
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_EXACT_BITS:
            return _to_mp(value)
    elif value and mpmath.isfinite(value) and abs(int(mpmath.mag(value))).bit_length() > _MAX_EXPONENT_BITS:
        raise TooLargeError("the value is too large to be evaluated")
    return value


def add(*terms: Any) -> Any:
    exact = sum((term for term in terms if isinstance(term, Fraction)), Fraction(0))
    rest = [term for term in terms if not isinstance(term, Fraction)]
    return _fits(sum(rest, _to_mp(exact)) if rest else exact)


def multiply(*factors: Any) -> Any:
    result: Any = Fraction(1)
    for factor in factors:
        both_exact = isinstance(result, Fraction) and isinstance(factor, Fraction)
        result = _fits(result * factor if both_exact else _to_mp(result) * _to_mp(factor))
    return result


def _power(base: Any, exponent: Any) -> Any:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            n = int(exponent)
            if base == 0 and n < 0:
                raise UnsupportedError("division by zero")
            bits = max(base.numerator.bit_length(), base.denominator.bit_length())
            if abs(base) in (0, 1) or abs(n) * bits <= MAX_EXACT_BITS:
                return base ** (n if abs(base) not in (0, 1) else (n % 2 or 2) if n else 0)
        elif base < 0 and exponent.denominator % 2:  # the real root: \sqrt[3]{-8} = -2
            sign = -1 if exponent.numerator % 2 else 1
            return sign * _to_mp(_power(-base, exponent))
    base, exponent = _to_mp(base), _to_mp(exponent)
    if base == 0:
        if mpmath.re(exponent) <= 0:
            raise UnsupportedError("zero to a power that is not positive")
        return Fraction(0)
    if exponent and int(mpmath.mag(exponent)) > _MAX_EXPONENT_BITS // 2:
        raise TooLargeError("the exponent is too large to be evaluated")
    _check_exponent(mpmath.re(exponent * mpmath.log(base)))
    return _fits(mpmath.power(base, exponent))


def _real_power(base: Any, exponent: Any) -> Any:
    """A power among the reals: the real root of a negative number where the exponent has an odd denominator."""
    if isinstance(exponent, Fraction) and exponent.denominator % 2 and exponent.denominator > 1 and base < 0:
        return (-1 if exponent.numerator % 2 else 1) * _to_mp(_power(-base, exponent))
    return _power(base, exponent)


def _check_exponent(logarithm: Any) -> None:
    if logarithm and int(mpmath.mag(logarithm)) > _MAX_EXPONENT_BITS:
        raise TooLargeError("the value is too large to be evaluated")


def _factorial(n: Any) -> Any:
    if isinstance(n, Fraction) and n.denominator == 1:
        if n < 0:
            raise UnsupportedError("factorial of a negative integer")
        if n <= _MAX_EXACT_FACTORIAL:
            return Fraction(math.factorial(int(n)))
    n = _to_mp(n)
    if int(mpmath.mag(n)) > _MAX_EXPONENT_BITS // 2:
        raise TooLargeError("the factorial is too large to be evaluated")
    return _fits(mpmath.factorial(n))


def _binomial(n: Any, k: Any) -> Any:
    integers = all(isinstance(value, Fraction) and value.denominator == 1 for value in (n, k))
    if integers and 0 <= k <= n <= _MAX_EXACT_FACTORIAL:
        return Fraction(math.comb(int(n), int(k)))
    n, k = _to_mp(n), _to_mp(k)
    if max(int(mpmath.mag(n)), int(mpmath.mag(k))) > _MAX_EXPONENT_BITS // 4:
        raise TooLargeError("the binomial is too large to be evaluated")
    return _fits(mpmath.binomial(n, k))


def _exponential(x: Any) -> Any:
    x = _to_mp(x)
    _check_exponent(mpmath.re(x))
    return Fraction(1) if x == 0 else _fits(mpmath.exp(x))


def _logarithm(x: Any, base: Any = None) -> Any:
    if x == 0:
        raise UnsupportedError("logarithm of zero")
    logarithm = mpmath.log(_to_mp(x))
    return logarithm if base is None else logarithm / mpmath.log(_to_mp(base))


def _stepwise(name: str) -> Callable[[Any], Any]:
    def step(x: Any) -> Any:
        if not isinstance(x, Fraction):
            raise UnsupportedError(f"{name} of a number that is not rational")
        return Fraction(math.floor(x) if name == "floor" else math.ceil(x))

    return step


def _extreme(choose_one: Callable[..., Any]) -> Callable[..., Any]:
    def extreme(*values: Any) -> Any:
        if not all(isinstance(value, Fraction) for value in values):
            raise UnsupportedError("an extreme of numbers that are not rational")
        return choose_one(values)

    return extreme


def _function(name: str) -> Callable[[Any], Any]:
    def apply(x: Any) -> Any:
        x = _to_mp(x)
        if x and int(mpmath.mag(x)) > _MAX_EXPONENT_BITS // 2:
            raise TooLargeError(f"the argument of {name} is too large")
        return _fits(getattr(mpmath, name)(x))

    return apply


_MPMATH_FUNCTIONS = (
    *("sin", "cos", "tan", "cot", "sec", "csc", "asin", "acos", "atan"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "gamma", "re", "im"),
)
_RULES: Mapping[str, Callable[..., Any]] = {
    "Add": add,
    "Mul": multiply,
    "Pow": _power,
    "factorial": _factorial,
    "binomial": _binomial,
    "exp": _exponential,
    "log": _logarithm,
    "Abs": abs,
    "floor": _stepwise("floor"),
    "ceiling": _stepwise("ceiling"),
    "Max": _extreme(max),
    "Min": _extreme(min),
    "UnevaluatedExpr": lambda x: x,
    "ImaginaryUnit": lambda: mpmath.mpc(0, 1),
    "Pi": lambda: +mpmath.pi,
    "Exp1": lambda: +mpmath.e,
    **{name: _function(name) for name in _MPMATH_FUNCTIONS},
    "conjugate": _function("conj"),
}
