"""Strategies are told by rule, and only right solutions have one."""

import pytest

from oger.worlds.numbers.classify import form_of, strategy_of
from oger.worlds.numbers.terms import read_term

NUMBERS, TARGET = (3, 7, 2, 5), 24


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        (r"3*7=21 24-21=3 5-2=3 \boxed{(3*7)+(5-2)}", "products"),
        (r"7*5=35 35-24=11 no 3*7=21 24-21=3 5-2=3 \boxed{(5-2)+(3*7)}", "products"),
        (r"3*7=21 5-2=3 21+3=24 \boxed{(3*7)+(5-2)}", "own"),
        (r"7*5=35 35-24=11 no 3*7=21 5-2=3 21+3=24 \boxed{(3*7)+(5-2)}", "own"),  # the attempt that counts is the last
        (r"\boxed{(3*7)+(5-2)}", "own"),
        (r"7+5=12 24/12=2 no 3*2=6 24/6=4 no 7+5=12 24/12=2 \boxed{(7+5)*(2*(3-2))}", None),  # 2 twice
        (r"5-2=3 3*7=21 21+3=24 \boxed{((5-2)*7)+3}", "new"),
        (r"24-3=21 21/7=3 5-2=3 \boxed{((5-2)*7)+3}", "new"),  # scaled in the middle, whichever way it is written
        (r"24-5=19 19+2=21 3*7=21 \boxed{((3*7)-2)+5}", "new"),  # a subgoal, but in a form that no teacher has
    ],
)
def test_the_strategy_of_a_text(text: str, sort: str | None) -> None:
    assert strategy_of(text, NUMBERS, TARGET) == sort


@pytest.mark.parametrize(
    "box",
    [
        "",
        "24",
        "3*7+5",  # a number left out
        "3*7+5-2-1",  # a number too many
        "37-2*5-3",  # digits put together
        "3**2+7+5+3",  # an operator of another game
        "(3*7)+(5-2)=24",
        "3*7+5+2",  # 28
        "((3-7)+2)*5",  # below zero on the way
        "(7/2)*3+5",  # not whole on the way
        "True+23",
        "(3*7",
    ],
)
def test_what_breaks_a_rule_is_no_solution(box: str) -> None:
    assert strategy_of(rf"\boxed{{{box}}}", NUMBERS, TARGET) is None


def test_the_last_box_counts_and_none_is_none() -> None:
    assert strategy_of(r"\boxed{3*7} \boxed{(3*7)+(5-2)}", NUMBERS, TARGET) == "own"
    assert strategy_of("3*7=21 21+5=26 26-2=24", NUMBERS, TARGET) is None


@pytest.mark.parametrize(
    ("expression", "form"),
    [
        ("(3*7)+(5-2)", "products"),
        ("((8+9)-2)-(2*5)", "products"),
        ("(5+1)*(8-4)", "pairs"),
        ("(5*6)/(7-4)", "pairs"),
        ("((8+5)-2)*3", "backward"),
        ("36/(5-2)", "backward"),
        ("((5-2)*7)+3", "scaled"),
        ("9+(4*(2+3))", "scaled"),
        ("((9+5)-2)+12", "other"),
        ("((2*3)*4)+5", "scaled"),
    ],
)
def test_the_form_of_an_expression(expression: str, form: str) -> None:
    term = read_term(expression)
    assert term is not None
    assert form_of(term) == form
