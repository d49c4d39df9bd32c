"""High-precision values settle what an absolute tolerance gets wrong."""

from fractions import Fraction

import pytest
from sympy import Integer, Symbol, binomial, exp, factorial, log, pi, sin, sqrt

from oger.verification.math.evaluator import TooLargeError, evaluate
from oger.verification.math.expressions import parse_expression
from oger.verification.math.second_check import irrational_value, is_costly, same_up_to_a_factor, same_value


def _same(gold: str, answer: str) -> bool | None:
    return same_value(parse_expression(gold), parse_expression(answer))


@pytest.mark.parametrize(
    ("gold", "answer", "same"),
    [
        (r"\frac{1}{2006!}", r"\frac{1}{2004!}", False),
        (r"\frac{2006!}{2005!}", "2006", True),
        ("10^{-30}", "10^{-31}", False),
        (r"\sqrt{2}\cdot\sqrt{2}-2", "0", True),
        (r"\sqrt{2}\cdot\sqrt{2}-2", "10^{-200}", False),
        (r"\sqrt{2}", "1.41421356237309504880", False),
        (r"(10^8)!", r"(10^8)!\cdot 2", False),
        (r"\pi^{500}", r"\pi^{500}+1", False),
        (r"10^{10^{10}}", r"10^{10^{10}}+1", None),
        ("12", r"10^{10^{10}}", False),
        (r"\sin^2 x+\cos^2 x", "1", True),
        (r"\sqrt{x^2}", "|x|", True),
        (r"\sqrt{x^2}", "x", False),
        (r"x\sqrt{x^2+1}", r"\sqrt{x^4+x^2}", False),
        (r"a\sqrt{b}", r"\sqrt{a^2 b}", True),
        (r"\frac{\sqrt{km}}{m}", r"\sqrt{\frac{k}{m}}", True),
        (r"(x+y)^3", "x^3+3x^2y+3xy^2+y^3", True),
        (r"(x+y)^3", "x^3+3x^2y+3xy^2-y^3", False),
        (r"\sqrt[3]{-8}", "-2", True),
        (r"\sum_{k=1}^{n} k", "n", None),
        (r"\frac{1}{0}", "1", None),
    ],
)
def test_values_are_compared_at_their_own_scale(gold: str, answer: str, same: bool | None) -> None:
    assert _same(gold, answer) is same
    assert _same(answer, gold) is same


def test_a_value_beyond_representation_is_refused() -> None:
    tower = parse_expression("9^{9^{9^{9}}}")
    with pytest.raises(TooLargeError):
        same_value(tower, Integer(12))


def test_rationals_stay_exact() -> None:
    x = Symbol("x", real=True)
    assert evaluate((x + 1) ** 2 / 3, {"x": Fraction(1, 2)}, 50) == Fraction(3, 4)
    assert evaluate(binomial(10, 3, evaluate=False), {}, 50) == 120


@pytest.mark.parametrize("expression", [sqrt(2) + pi, exp(2) * sin(1), log(7, 3), factorial(Integer(5)) ** sqrt(3)])
def test_the_evaluator_agrees_with_sympy(expression: object) -> None:
    value = evaluate(expression, {}, 60)
    assert abs(value - expression.evalf(60)) < 1e-50  # type: ignore[attr-defined]


def test_an_equation_may_be_multiplied_by_a_number() -> None:
    x, y = Symbol("x"), Symbol("y")
    assert same_up_to_a_factor(2 * x + y - 3, 3 - y - 2 * x) is True
    assert same_up_to_a_factor(2 * x + y - 3, 2 * x - y - 3) is False
    assert same_up_to_a_factor(x, x**2) is False


def test_costly_constants_are_recognised() -> None:
    assert is_costly(parse_expression("(10^8)!"))
    assert is_costly(parse_expression(r"\frac{(10^8)!}{(10^8-1)!}"))
    assert not is_costly(parse_expression("2^{100}+x"))


def test_irrational_values_are_told_from_rational_ones() -> None:
    value = irrational_value(parse_expression(r"\sqrt{2}"))
    assert value is not None
    assert abs(value**2 - 2) < Fraction(1, 10**90)
    assert irrational_value(parse_expression(r"\frac{1}{3}")) is None
