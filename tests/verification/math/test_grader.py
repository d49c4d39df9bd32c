"""Mathematical equality: the instant decision, the rulings, and what is refused. The corpus holds the many cases."""

import random
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oger.verification.math.answer_text import clean
from oger.verification.math.expressions import parse_expression
from oger.verification.math.grader import grade_math, instant_math
from oger.verification.math.literals import read_quantity
from oger.verification.math.naming import as_tuple, bindings
from oger.verification.math.notation import protect, unread
from oger.verification.math.structure import read_structure
from oger.verification.math.units import read_unit


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("12", " +12 ", True),
        ("1,234", "1234", True),
        ("$12$", "012", True),
        ("-0", "0", True),
        ("12", "-12", False),
        ("12", "13", False),
        ("12", "12.0", None),
        ("12", "12,34", None),
        ("12", "1 2", None),
        ("x", "12", None),
        ("12", "١٢", None),
    ],
)
def test_plain_integers_are_decided_at_once(gold: str, answer: str, expected: bool | None) -> None:
    assert instant_math(gold, answer) is expected


def test_the_instant_decision_agrees_with_the_graders() -> None:
    random.seed(5)
    dresses = ["{}", "${}$", " {}", "+{}", "0{}", "{:,}"]
    decided = 0
    for _ in range(300):
        gold = random.randint(-2000, 2000)
        answer = gold if random.random() < 0.5 else gold + random.choice([-1, 1, 10, -2 * gold])
        texts = [random.choice(dresses if value >= 0 else dresses[:3]).format(value) for value in (gold, answer)]
        instant = instant_math(*texts)
        if instant is not None:
            decided += 1
            assert instant is grade_math(*texts).correct is (gold == answer), texts
    assert decided > 250


@given(st.fractions(max_denominator=60), st.fractions(max_denominator=60), st.integers(1, 9))
def test_written_fractions_are_compared_exactly(left: Fraction, right: Fraction, factor: int) -> None:
    gold = rf"\frac{{{left.numerator}}}{{{left.denominator}}}"
    answer = f"{right.numerator * factor}/{right.denominator * factor}"
    assert grade_math(gold, answer).correct is (left == right)
    assert grade_math(gold, rf"{left.numerator * factor}/{left.denominator * factor}").correct


def test_a_comparison_that_math_verify_gets_wrong_is_overruled() -> None:
    accepted = grade_math(r"10^{-31}\pi", r"10^{-30}\pi")
    assert (accepted.correct, accepted.overruled) == (False, True)
    rejected = grade_math("-1", r"e^{i\pi}")
    assert (rejected.correct, rejected.overruled) == (True, True)
    assert not grade_math(r"2\sqrt{3}", r"\sqrt{12}").overruled


@pytest.mark.parametrize(
    ("gold", "answer", "message"),
    [
        ("", "4", "empty"),
        (r"\frac{1}{", "4", "nothing can be read"),
        ("12", "1" * 2001, "2000 characters"),
        ("12", "(" * 60 + "1" + ")" * 60, "nested"),
        ("12", "-" * 40 + "12", "run of twenty"),
        ("12", "9^{9^{9^{9}}}", "too large"),
        ("12", ",".join("12345678" for _ in range(150)) + ",x", None),
    ],
)
def test_what_cannot_be_decided_raises(gold: str, answer: str, message: str | None) -> None:
    if message is None:  # too many parts, but not as many as the gold answer: plainly wrong
        assert not grade_math(gold, answer).correct
        return
    with pytest.raises(ValueError, match=message):
        grade_math(gold, answer)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("12!", r"\log_2 5"),
        ("3^{2023}", r"\frac{1}{\log_3 2}"),
        (r"\frac{1}{2006!}", r"\sin(2x)"),
        ("2^{-2000}", r"2\cos x\sin x"),
    ],
)
def test_the_first_grader_is_not_asked_what_would_take_it_minutes(gold: str, answer: str) -> None:
    started = time.process_time()
    assert not grade_math(gold, answer).correct
    assert time.process_time() - started < 5


@pytest.mark.parametrize("gold", ["€40", r"7\text{ a.m.}", r"\text{isosceles triangle}", r"12.5\%"])
@pytest.mark.parametrize("answer", [r"\frac{x}{2}", "(1,2)", r"\mathbb{R}", "x>3", r"2\sqrt{3}"])
def test_an_answer_of_another_sort_is_wrong_not_undecided(gold: str, answer: str) -> None:
    assert not grade_math(gold, answer).correct


def test_a_literal_beside_an_expression_keeps_its_meaning() -> None:
    assert grade_math(r"50\%", r"\sin 30^\circ").correct
    assert grade_math("€40", r"20\sqrt{4}").correct
    assert grade_math(r"3.14\text{ cm}", r"\pi").correct
    assert not grade_math(r"3.14\text{ cm}", r"\pi\text{ m}").correct


def test_cleaning_changes_the_dress_only() -> None:
    assert clean(r"$\dfrac{1}{2}\text{ cm}$.") == r"\frac{1}{2} cm"
    assert clean("−2√3") == r"-2\sqrt{3}"
    assert clean(r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}") == r"\begin{matrix} 1 \\ 2 \end{matrix}"
    assert clean(r"\begin{vmatrix} 1 \\ 2 \end{vmatrix}") == r"\begin{vmatrix} 1 \\ 2 \end{vmatrix}"
    assert clean(r"\textcolor{red}{5}\,\checkmark") == "{5}"
    assert "\ufffd" in clean("1\x002")
    assert clean("The answer is 5.") == "5"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.5", Fraction(2469, 2)),
        (r"-2\frac{1}{2}", Fraction(-5, 2)),
        (r"0.1\overline{6}", Fraction(1, 6)),
        (r"1.2\times 10^{-3}", Fraction(3, 2500)),
        ("3 million", Fraction(3_000_000)),
        ("1/0", None),
        ("2^{10}", None),
        ("12,34", None),
        ("5m", None),
    ],
)
def test_literals_are_read_exactly_or_not_at_all(text: str, value: Fraction | None) -> None:
    quantity = read_quantity(text)
    assert (None if quantity is None else quantity.value) == value


@pytest.mark.parametrize("text", ["3.140", "-0.05", "12.", "1,234.50", "7", "1/3"])
def test_a_literal_written_out_keeps_its_value(text: str) -> None:
    quantity = read_quantity(text)
    assert quantity is not None
    again = read_quantity(quantity.latex())
    assert again is not None
    assert again.value == quantity.value


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("f'(x)", "f(x)"),
        ("x''", "x'"),
        ("A^T", "A"),
        (r"\frac{dy}{dx}", r"\frac{dx}{dy}"),
        (r"\angle ABC", r"\angle ACB"),
        ("I_0", "i"),
        (r"\Gamma", r"\gamma"),
    ],
)
def test_notation_that_the_parser_drops_becomes_symbols_of_their_own(text: str, other: str) -> None:
    parsed = [parse_expression(side) for side in (text, other)]
    assert None not in parsed
    assert parsed[0] != parsed[1]
    assert unread(protect(text)) is None


@pytest.mark.parametrize(
    "text", ["123_5", "{12}_3+1", "n!!", r"1+\ldots+100", r"7\pmod{10}", r"a\lnot b", "90'", "2...3"]
)
def test_notation_that_would_be_dropped_is_not_read_at_all(text: str) -> None:
    assert unread(protect(text)) is not None
    assert parse_expression(text) is None


def test_a_gold_answer_in_unread_notation_is_undecided_unless_repeated() -> None:
    assert grade_math("n!! + 1", "n!!+1").correct
    with pytest.raises(ValueError, match="nothing can be read"):
        grade_math("n!! + 1", "n! + 1")
    assert not grade_math("n! + 1", "n!! + 1").correct


def test_values_are_paired_by_their_names() -> None:
    assert bindings("(x, y) = (1, 2)") == bindings("y = 2, x = 1") == {"x": "1", "y": "2"}
    assert bindings("x = 1, x = 2") is None
    assert bindings("(1, 2)") is None
    assert as_tuple({"y": "2", "x": "1"}) == "(1, 2)"
    assert as_tuple({"q": "2", "p": "1"}) is None


def test_and_or_are_not_the_same() -> None:
    both, either = read_structure("x>1 and x<3"), read_structure("x<1 or x>3")
    assert both == read_structure("1<x<3")
    assert either is not None
    assert (either.form, either.items) == ("union", ("x<1", "x>3"))
    assert read_structure("x>1 and y<3") not in (both, None)


def test_units_convert_exactly() -> None:
    speed, metres = read_unit("km/h"), read_unit("m/s")
    assert speed is not None
    assert metres is not None
    assert speed.ratio_to(metres) == Fraction(5, 18)
    assert read_unit("cubic meters") == read_unit("m^3")
    assert read_unit("bananas") is None
