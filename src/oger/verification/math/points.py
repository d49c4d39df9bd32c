r"""Where two expressions are compared: points of several sizes and both signs, and the pieces that roots cut out.

Between the zeros of everything that stands under a root, a logarithm or an absolute value, the expressions read here
are analytic. Two analytic functions that differ somewhere on a piece differ at almost all of its points: so one point
drawn at random in every piece settles an identity. The pieces are found along a line
through the space of the letters: there every argument is a polynomial in one variable, whose real roots are known.
"""

import random
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from itertools import combinations, islice, pairwise, product
from typing import Any

from mpmath.libmp import NoConvergence
from sympy import (
    Add,
    Dummy,
    Poly,
    PolynomialError,
    Pow,
    Rational,
    binomial,
    exp,
    factorial,
    fraction,
    preorder_traversal,
    together,
)
from sympy.polys.polyerrors import DomainError

from oger.verification.math.evaluator import Point, TooLargeError, UnsupportedError, Walk, evaluate

_SIZES = (Fraction(1, 2), Fraction(4), Fraction(50), Fraction(1500), Fraction(10**6))
_COUNTS = (6, 6, 15, 15, 40)
_STEP = 2**20  # denominators are powers of two: at an odd one, (-1)^{7/5} would be taken for a real root
_SAMPLED = 20  # a change of sign is looked for between 2^-20 and 2^20, on either side
_SIGN_DIGITS = 40
_NUM_LINES = 3
_MAX_DEGREE = 24
_ANALYTIC = frozenset(
    {"Add", "Mul", "exp", "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "asinh"}
    | {"factorial", "binomial", "gamma", "UnevaluatedExpr"}
)
_CUT = frozenset({"asin", "acos", "atan", "acosh", "atanh"})


def letters(*expressions: Any) -> list[str]:
    """The names of the free symbols, but for the imaginary unit's."""
    return sorted({symbol.name for side in expressions for symbol in side.free_symbols} - {"i"})


def points(names: Sequence[str], generator: random.Random, sizes: int = len(_SIZES)) -> list[Point]:
    """Points of so many sizes in the positive orthant, then some in the others: in all for up to three letters."""
    if not names:
        return [{}]
    found: list[Point] = [
        {name: _near(_size(size, generator, len(names)), generator) for name in names} for size in _SIZES[:sizes]
    ]
    signs = list(islice(product((-1, 1), repeat=len(names)), 2 ** len(names) - 1)) if len(names) <= 3 else []
    while len(signs) < 4:
        signs.append((-1, *(generator.choice((-1, 1)) for _ in names[1:])))
    for index, row in enumerate(signs):
        size = _SIZES[index % min(sizes, 4)]
        found.append(
            {name: sign * _near(_size(size, generator, 2), generator) for name, sign in zip(names, row, strict=True)}
        )
    return found


def _size(size: Fraction, generator: random.Random, num_names: int) -> Fraction:
    """Several letters differ in size, too."""
    return size if num_names == 1 else generator.choice((size, *_SIZES[:3]))


def _near(size: Fraction, generator: random.Random) -> Fraction:
    return size * Fraction(generator.randrange(_STEP // 2, 2 * _STEP), _STEP)


def integer_letters(*expressions: Any) -> set[str]:
    """Letters that count: those in factorials, binomials and the exponents of negative numbers, (-1)^n."""
    counted = [node for side in expressions for node in side.atoms(factorial, binomial)]
    powers = [power for side in expressions for power in side.atoms(Pow)]
    counted += [power.exp for power in powers if not power.base.free_symbols and power.base.is_negative]
    return {symbol.name for node in counted for symbol in node.free_symbols} - {"i"}


def with_integers(places: Sequence[Point], names: Collection[str], generator: random.Random) -> list[Point]:
    """Every place several times, with random positive integers for the letters that count, in changing order."""
    if not names:
        return list(places)
    found: list[Point] = []
    for place in places if places != [{}] else [{}] * 3:
        for most in _COUNTS:
            values = {name: Fraction(generator.randint(1, most)) for name in sorted(names)}
            found.append({**place, **values})
    return found


def branch_arguments(expression: Any, integers: Collection[str] = ()) -> list[Any] | None:
    """What must not change its sign within a piece on which the expression is analytic; None: there are no such pieces.

    Examples: n of \\sqrt{1/n}, x - 3 of |x - 3|, 1 - x and 1 + x of \\arcsin x.
    """
    found: list[Any] = []
    nodes = preorder_traversal(expression)
    for node in nodes:
        if not node.free_symbols:
            nodes.skip()
            continue
        name = type(node).__name__
        if node.is_Symbol or name in _ANALYTIC:
            continue
        if name == "Pow":
            counts = {symbol.name for symbol in node.exp.free_symbols} <= set(integers)
            if node.exp.free_symbols and counts and not node.base.free_symbols:
                continue  # (-1)^n, n an integer
            positive = _is_positive(node.base) or (node.base.is_positive and not node.base.free_symbols)
            if not node.exp.is_Integer and not positive:
                found.append(node.base)
        elif name in ("log", "Abs"):
            found.extend(a for a in node.args if a.free_symbols and not _is_positive(a))
        elif name in ("Max", "Min"):
            found += [left - right for left, right in combinations(node.args, 2)]
        elif name in _CUT:
            found += [node.args[0] - 1, node.args[0] + 1, fraction(together(node.args[0]))[1]]
        else:
            return None
    return list(dict.fromkeys(found))


def _is_positive(node: Any) -> bool:
    """Is an expression positive by its form alone? e^x, 2^x."""
    return isinstance(node, exp) or bool(node.is_Pow and not node.base.free_symbols and node.base.is_positive)


def points_of_pieces(names: Sequence[str], arguments: Sequence[Any], generator: random.Random) -> list[Point]:
    """Points in every piece that `arguments` cut out of some lines; the pieces are found by samples where one of them
    is no rational function."""
    # The pieces that products of powers of letters cut out are the orthants, where points lie anyway.
    if not any(argument.has(Add) or not argument.is_polynomial() for argument in arguments):
        return []
    lines: list[tuple[Point, Point]] = [({name: Fraction(0) for name in names}, {name: Fraction(1) for name in names})]
    if len(names) > 1:
        lines = [_line(names, generator) for _ in range(_NUM_LINES)]
    found: list[Point] = []
    for start, direction in lines:
        zeros = _zeros(arguments, start, direction)
        if zeros is None:
            zeros = _changes(arguments, start, direction, generator)
        for t in _between(sorted(set(zeros)), generator):
            found.append({name: start[name] + t * direction[name] for name in names})
    return found


def _line(names: Sequence[str], generator: random.Random) -> tuple[Point, Point]:
    start = {name: generator.choice((-1, 1)) * _near(generator.choice(_SIZES[:3]), generator) for name in names}
    return start, {name: generator.choice((-1, 1)) * _near(Fraction(1), generator) for name in names}


def _zeros(arguments: Sequence[Any], start: Point, direction: Point) -> list[float] | None:
    """Where on the line an argument may change its sign: the real zeros of its numerator and its denominator."""
    t = Dummy("t", real=True)
    place = {
        name: Rational(*start[name].as_integer_ratio()) + t * Rational(*direction[name].as_integer_ratio())
        for name in start
    }
    zeros: list[float] = []
    for argument in arguments:
        along = argument.subs({symbol: place[symbol.name] for symbol in argument.free_symbols if symbol.name in place})
        for part in fraction(together(along)):
            if not part.free_symbols:
                continue
            try:
                polynomial = Poly(part, t)
                if polynomial.degree() > _MAX_DEGREE or polynomial.free_symbols_in_domain:
                    return None
                roots = polynomial.sqf_part().nroots(n=15, maxsteps=200)
            except (PolynomialError, DomainError, NoConvergence, ValueError, TypeError, NotImplementedError):
                return None
            zeros += [
                float(root.as_real_imag()[0]) for root in roots if abs(root.as_real_imag()[1]) < 1e-9 * (1 + abs(root))
            ]
    return zeros


def _changes(arguments: Sequence[Any], start: Point, direction: Point, generator: random.Random) -> list[float]:
    """Where on the line an argument changes its sign, or begins or ceases to be real, as samples of all sizes show."""
    sizes = [_near(Fraction(2) ** power, generator) for power in range(-_SAMPLED, _SAMPLED)]
    line = sorted({*sizes, *(-size for size in sizes)})
    seen = [
        tuple(_sign_at(argument, {name: start[name] + t * direction[name] for name in start}) for argument in arguments)
        for t in line
    ]
    return [float(low + high) / 2 for (low, high), (a, b) in zip(pairwise(line), pairwise(seen), strict=True) if a != b]


def _sign_at(argument: Any, point: Point) -> int | None:
    try:
        value = evaluate(argument, point, _SIGN_DIGITS, Walk(point, True))
        return (value > 0) - (value < 0)
    except (UnsupportedError, TooLargeError, TypeError):
        return None


def _between(zeros: Sequence[float], generator: random.Random) -> Iterator[Fraction]:
    """Two random points of every gap between neighbours, and beyond each end."""
    if not zeros:
        yield _near(Fraction(1), generator)
        return
    ends = [zeros[0] - 2 * (1 + abs(zeros[0])), *zeros, zeros[-1] + 2 * (1 + abs(zeros[-1]))]
    for low, high in pairwise(ends):
        if high - low > 1e-6 * (1 + abs(low)):
            for quarter in (1, 2):
                share = Fraction(generator.randrange(quarter * _STEP // 4, (quarter + 1) * _STEP // 4), _STEP)
                yield Fraction(low) + (Fraction(high) - Fraction(low)) * share
