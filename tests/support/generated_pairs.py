r"""Pairs of gold answer and answer that are equal, or unequal, by construction: made by sympy from rewriting rules.

`equal` writes one thing in two ways; `unequal` changes one of the two ways so that it cannot be the same: another
coefficient, another sign, a polynomial that vanishes at a few whole numbers, an absolute value, a root of a square, an
inverse function, an equation that is not solved.
"""

import random
from collections.abc import Callable
from typing import Any

Pair = tuple[str, str]


def equal(generator: random.Random) -> Pair:
    """Two ways of writing one thing."""
    left, right = generator.choice(_REWRITINGS)(generator)
    return (_text(left), _text(right)) if generator.random() < 0.5 else (_text(right), _text(left))


def unequal(generator: random.Random) -> Pair:
    """Two things that look alike."""
    return generator.choice((*_LOOKALIKES, *[_changed] * len(_LOOKALIKES)))(generator)


def _text(value: Any) -> str:
    from sympy import latex

    return value if isinstance(value, str) else latex(value)


def _letter(generator: random.Random) -> Any:
    from sympy import Symbol

    return Symbol(generator.choice("xyzabnt"), real=True)


def _number(generator: random.Random, low: int = 2, high: int = 12) -> int:
    return generator.randint(low, high)


def _polynomial(generator: random.Random) -> tuple[Any, Any]:
    from sympy import expand, prod

    x = _letter(generator)
    product = prod((_number(generator, 1, 4) * x + generator.choice((-1, 1)) * _number(generator)) for _ in range(2))
    product = product + generator.choice((0, _number(generator)))
    return product, expand(product)


def _fraction(generator: random.Random) -> tuple[Any, Any]:
    from sympy import together

    x = _letter(generator)
    a, b = generator.sample(range(1, 15), 2)
    sum_ = _number(generator) / (x + a) + _number(generator) / (x - b)
    return sum_, together(sum_)


def _trigonometric(generator: random.Random) -> tuple[Any, Any]:
    from sympy import cos, sin, tan

    t = _number(generator, 1, 5) * _letter(generator)
    k = _number(generator)
    return generator.choice(
        (
            (k * sin(2 * t), 2 * k * sin(t) * cos(t)),
            (k * cos(2 * t), k - 2 * k * sin(t) ** 2),
            (k + tan(t) ** 2, k - 1 + 1 / cos(t) ** 2),
            (cos(t) ** 4 - sin(t) ** 4 + k, cos(2 * t) + k),
            (sin(t) ** 2 + k, (1 - cos(2 * t)) / 2 + k),
        )
    )


def _root(generator: random.Random) -> tuple[str, str]:
    a, b = generator.sample("abkmnrx", 2)
    k = _number(generator)
    return generator.choice(
        (
            (rf"{k}\sqrt{{\frac{{{a}}}{{{b}}}}}", rf"\frac{{{k}\sqrt{{{a}}}}}{{\sqrt{{{b}}}}}"),
            (rf"\sqrt{{\frac{{{a}}}{{{b}}}}}", rf"\frac{{\sqrt{{{a}{b}}}}}{{{b}}}"),
            (rf"\sqrt{{{k * k}{a}}}", rf"{k}\sqrt{{{a}}}"),
            (rf"{a}\sqrt{{{b}}}", rf"\sqrt{{{a}^2{b}}}"),
            (rf"{a}^{{3/2}}+{k}", rf"{a}\sqrt{{{a}}}+{k}"),
            (rf"\sqrt{{{a}-{k}}}\sqrt{{{a}+{k}}}", rf"\sqrt{{{a}^2-{k * k}}}"),
            (rf"\frac{{1}}{{\sqrt{{{a}}}+{k}}}", rf"\frac{{\sqrt{{{a}}}-{k}}}{{{a}-{k * k}}}"),
            (rf"|{a}-{k}|", rf"\sqrt{{({k}-{a})^2}}"),
        )
    )


def _logarithm(generator: random.Random) -> tuple[str, str]:
    a, b = generator.sample("abkmnrx", 2)
    k = _number(generator)
    return generator.choice(
        (
            (rf"\ln({a}{b})+{k}", rf"\ln {a}+\ln {b}+{k}"),
            (rf"\ln\frac{{{a}}}{{{b}}}", rf"\ln {a}-\ln {b}"),
            (rf"\ln({a}^{{{k}}}{b})", rf"{k}\ln {a}+\ln {b}"),
            (rf"\log_{{{k}}} {a}", rf"\frac{{\ln {a}}}{{\ln {k}}}"),
            (rf"e^{{{k}\ln {a}}}", rf"{a}^{{{k}}}"),
        )
    )


def _surd(generator: random.Random) -> tuple[Any, Any]:
    from sympy import expand, sqrt

    a, b = _number(generator), generator.choice((2, 3, 5, 6, 7, 10))
    power = generator.choice((2, 3))
    exact = expand((a + sqrt(b)) ** power)
    return exact, rf"({a}+\sqrt{{{b}}})^{power}"


def _rational(generator: random.Random) -> tuple[Any, Any]:
    from sympy import Rational

    value = Rational(_number(generator, 1, 60), _number(generator, 2, 30))
    k = _number(generator)
    return value, rf"\frac{{{value.p * k}}}{{{value.q * k}}}"


_REWRITINGS: tuple[Callable[[random.Random], tuple[Any, Any]], ...] = (
    _polynomial,
    _fraction,
    _trigonometric,
    _root,
    _logarithm,
    _surd,
    _rational,
)


def _changed(generator: random.Random) -> Pair:
    """An equal pair with something added to one side, from a millionth to a million."""
    gold, answer = equal(generator)
    amount = generator.choice(("1", "2", r"\frac{1}{1000000}", "10^{-20}", "1000000", r"\sqrt{2}", r"\frac{1}{3}"))
    return gold, f"{answer}{generator.choice('+-')}{amount}"


def _vanishing(generator: random.Random) -> Pair:
    x = _letter(generator).name
    roots = generator.sample(range(-9, 10), 4)
    gold = f"{_number(generator)}{x}+{_number(generator)}"
    return gold, gold + "+" + "".join(f"({x}{-root:+d})" if root else x for root in roots)


def _absolute(generator: random.Random) -> Pair:
    x, k = _letter(generator).name, generator.choice((_number(generator), 10 ** _number(generator)))
    pair = generator.choice(
        (
            (f"|{x}-{k}|", f"{k}-{x}"),
            (f"|{x}-{k}|", f"{x}-{k}"),
            (rf"\sqrt{{({x}-{k})^2}}", f"{k}-{x}"),
            (rf"\sqrt{{({x}-{k})^2}}+\sqrt{{{x}+1}}", rf"{k}-{x}+\sqrt{{{x}+1}}"),
            (f"|{x}+{k}|+|{x}-{k}|", str(2 * k)),
            (rf"\sqrt{{{x}^2}}", x),
            (rf"\sqrt[4]{{{x}^4}}+{k}", f"{x}+{k}"),
            (rf"\frac{{|{x}-{k}|}}{{{x}-{k}}}", "-1"),
        )
    )
    return pair if generator.random() < 0.5 else pair[::-1]


def _inverse(generator: random.Random) -> Pair:
    x, k = _letter(generator).name, _number(generator)
    function, inverse = generator.choice((("tan", "arctan"), ("sin", "arcsin"), ("cos", "arccos")))
    return rf"\{inverse}(\{function} {x})+{k}", f"{x}+{k}"


def _unsolved(generator: random.Random) -> Pair:
    n, k = _number(generator, 3, 40), _number(generator)
    x, y = generator.sample("abmnxyz", 2)
    left = generator.choice(
        (
            f"{k}{x}",
            f"{x}+{k}",
            f"{x}^2",
            f"{x}+{y}",
            f"{x}{y}",
            rf"\sin {x}",
            rf"\sqrt{{{x}}}",
            rf"\frac{{{x}}}{{{k}}}",
            f"|{x}|",
        )
    )
    return generator.choice(
        (
            (str(n), f"{left}={n}"),
            (f"{x}={n}", f"{left}={n}"),
            (str(n), f"{x}={n + k}={n}"),
            (str(n), rf"{x}\ne {n}"),
            (str(n), f"{x}>{n}"),
            (f"({n},{k})", f"{x}+{y}={n}, {x}{y}={k}"),
            (f"{x}={n}, {y}={k}", f"{x}+{y}={n}, {x}-{y}={k}"),
        )
    )


_LOOKALIKES: tuple[Callable[[random.Random], Pair], ...] = (_vanishing, _absolute, _inverse, _unsolved)
