"""Extraction rules find the answer, the whole answer, and nothing where there is none."""

import pytest

from oger.verification.formats import extract_answer, last_boxed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \boxed{4}", "4"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed {7}", "7"),
        (r"\boxed{}", ""),
        (r"first \boxed{3}, then cut off \boxed{4", "3"),
        (r"\boxed{4", None),
        ("the answer is 4", None),
        ("", None),
    ],
)
def test_last_boxed_takes_the_last_complete_box(text: str, expected: str | None) -> None:
    assert last_boxed(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"<think>\boxed{1}</think> it is \boxed{2}", "2"),
        (r"<think>\boxed{1}</think> it is two", None),
        (r"<think>never closed \boxed{1}", None),
        (r"</think>\boxed{1}</think>\boxed{2}", "2"),
    ],
)
def test_after_think_composes_with_last_boxed(text: str, expected: str | None) -> None:
    assert extract_answer(text, ("after_think", "last_boxed")) == expected


def test_hash_answer_takes_the_rest_of_the_last_marked_line() -> None:
    assert extract_answer("a\n#### 12\nb\n####  1,000 \n", ("hash_answer",)) == "1,000"
    assert extract_answer("no marker ####", ("hash_answer",)) is None


def test_unknown_rule_names_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'last_boxed'"):
        extract_answer("x", ("last_box",))
