"""Extraction rules find the answer, the whole answer, nothing where there is none, in linear time."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oger.verification.formats import ANSWER_RULES, extract_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \boxed{4}", "4"),
        (r"\boxed{1} no, \boxed{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed {7}", "7"),
        (r"\boxed{}", ""),
        (r"first \boxed{3}, then cut off \boxed{4", None),
        (r"I get \boxed{5}. Wait, no: \boxed{", None),
        (r"\boxed{3}, as I put it in \boxed notation", "3"),
        (r"use \boxed for it", None),
        (r"\boxed \frac12", r"\frac12"),
        (r"\boxed\frac{1}{2}.", r"\frac{1}{2}"),
        (r"$\boxed x$", "x"),
        (r"\boxed 5.", "5"),
        (r"\framebox[3cm]{5}", "5"),
        (r"\boxed\boxed{3}", "3"),
        (r"a brace {, never closed, \boxed{3}", "3"),
        (r"} } \boxed{3}", "3"),
        (r"\boxed{4", None),
        (r"\boxed{4 \boxed{5}", "5"),
        (r"\fbox{6}", "6"),
        (r"\boxed{1} \fbox{2}", "2"),
        (r"\boxed 5 is it", "5"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\boxed{ \fbox{\boxed{3}} }", "3"),
        (r"\boxed{x=\boxed{3}}", r"x=\boxed{3}"),
        (r"\boxed{\boxed{3}+1}", r"\boxed{3}+1"),
        (r"\\boxed{3}", "3"),
        (r"a \\ \boxed{3}", "3"),
        (r"\boxedly{3}", None),
        ("the answer is 4", None),
        ("", None),
    ],
)
def test_last_boxed_takes_the_last_complete_box(text: str, expected: str | None) -> None:
    assert extract_answer(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"6*7=42 \boxed{41}", "41"),
        (r"6*7=42 \boxed{42", "42"),
        ("6*7=42.", "42"),
        ("The answer is 7. Check: 3+4=8", "7"),
        (r"so we get $\frac{1}{2}$", r"\frac{1}{2}"),
        ("12 apples are left", "12"),
        ("no number", None),
        ("", None),
    ],
)
def test_boxed_or_said_takes_what_was_meant_without_a_box(text: str, expected: str | None) -> None:
    assert extract_answer(text, ("boxed_or_said",)) == expected


def _naive_last_boxed(text: str) -> str | None:
    """Count braces to the end of each box; of those in no other box take the last, opened while it is one box."""
    found: list[tuple[int, int, int]] = []  # begin of the command, begin and end of the content; -1 = never closed
    for match in re.finditer(r"\\(?:boxed|fbox)\s*\{", text):
        depth, position = 1, match.end()
        while position < len(text) and depth:
            if text[position] == "\\":
                position += 1
            else:
                depth += {"{": 1, "}": -1}.get(text[position], 0)
            position += 1
        found.append((match.start(), match.end(), position - 1 if depth == 0 else -1))
    top = [box for box in found if not any(start < box[0] < end for start, _, end in found)]
    if not top or top[-1][2] < 0:
        return None
    start, end = top[-1][1:]
    content = text[start:end]
    if re.match(r"\s*\\(?:boxed|fbox)\s*\{", content) and content.rstrip().endswith("}"):
        inner = content.strip()
        first = next(box for box in found if text.startswith(inner, box[0]) and start <= box[0])
        if first[2] == start + len(content.rstrip()) - 1:
            return _naive_last_boxed(inner)
    return content


@given(
    st.lists(st.sampled_from([r"\boxed{", r"\fbox {", "{", "}", "}", "}", r"\{", r"\}", "1", "x ", " "]), max_size=14)
)
def test_last_boxed_equals_a_naive_search(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert extract_answer(text) == _naive_last_boxed(text)


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


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ("hash_answer", "a\n#### 12\nb\n####  1,000 \n", "1,000"),
        ("hash_answer", "#### 12\n####\n####   ", "12"),
        ("hash_answer", "no marker ####", None),
        ("answer_phrase", "The final answer is: **12**.", "12"),
        ("answer_phrase", "Answer: B) Paris\nI am sure.", "B) Paris"),
        ("answer_phrase", "the answer is 3.5 cm. Or is the answer is 4.5? Yes.", "4.5"),
        ("answer_phrase", "Answer:\n\n 7", "7"),
        ("answer_phrase", "answers vary", None),
        ("answer_phrase", "the answer is", None),
        ("answer_phrase", "**Answer**: A", "A"),
        ("answer_phrase", "### Final Answer\n\n**61**", "61"),
        ("answer_phrase", "Answer \n\nA", "A"),
        ("answer_phrase", "## Answer\n- 17", "17"),
        ("answer_phrase", "**Answer:**\n\n- -3", "-3"),
        ("answer_phrase", "The answer is:\n• x = 5", "x = 5"),
        ("answer_phrase", "## Answer\n-17", "-17"),
        ("answer_phrase", "The answer is 4.\n- 17 was wrong", "4"),
        ("answer_phrase", "The answer is C because I computed the integral.", "C"),
        ("answer_phrase", "Answer: D, not B", "D"),
        ("answer_phrase", "The answer is 12, not 13.", "12"),
        ("answer_phrase", "The correct option is (A).", "(A)"),
        ("answer_phrase", "the answer is does not exist", "does not exist"),
        ("after_think_or_whole", "<think>3</think> 4", " 4"),
        ("after_think_or_whole", "no thought, 4", "no thought, 4"),
        ("answer_tag", "<answer>3</answer> then <answer> 4 </answer> and <answer>5", "4"),
        ("answer_tag", "<ANSWER>3</Answer>", "3"),
        ("answer_tag", "3</answer>", None),
        ("whole", "  12\n", "12"),
        ("whole", " \n", None),
    ],
)
def test_a_rule_finds_its_answer_or_nothing(rule: str, text: str, expected: str | None) -> None:
    assert extract_answer(text, (rule,)) == expected


_HOSTILE = {
    "boxes": r"\boxed{",
    "spaced boxes": r"\boxed   ",
    "braces": "{",
    "closing braces": "}",
    "backslashes": "\\",
    "hashes and blanks": "####     ",
    "lines of hashes": "####\n",
    "blanks": " ",
    "tags": "<answer>",
    "phrases": "the answer is ",
    "headings": "answer\n",
    "afterthoughts": "answer: x, not ",
    "bare boxes": "\\boxed \\frac{1}",
    "sized boxes": "\\framebox[3]",
    "stars": "*",
    "thoughts": "</think>",
}


@pytest.mark.parametrize("rule", ANSWER_RULES)
@pytest.mark.parametrize("unit", _HOSTILE.values(), ids=_HOSTILE.keys())
def test_a_rule_takes_time_linear_in_the_text(rule: str, unit: str) -> None:
    def seconds(size: int) -> float:
        text = "#### " + unit * (size // len(unit)) + " " * 2000
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            ANSWER_RULES[rule](text)
            best = min(best, time.process_time() - started)
        return best

    # Ten times the text: a quadratic rule needs a hundred times as long. 10 ms are noise.
    assert seconds(200_000) < 30 * seconds(20_000) + 0.01


def test_nested_boxes_are_opened_in_linear_time() -> None:
    text = r"\boxed{" * 50_000 + "3" + "}" * 50_000
    started = time.process_time()
    assert extract_answer(text) == "3"
    assert time.process_time() - started < 2


def test_unknown_rule_names_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'last_boxed'"):
        extract_answer("x", ("last_box",))
