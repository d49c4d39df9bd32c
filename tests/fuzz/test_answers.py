"""Whatever a model writes: an answer or none is found, and a verdict comes, never an exception and never late."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

from oger.verification import ANSWER_RULES, KINDS, VerifierPool, extract_answer
from oger.verification.gym_grader import is_formula
from oger.verification.math.answer_text import clean
from oger.verification.math.grader import instant_math
from tests.support.fuzz_parts import examples, holds, refused_in_one_line, texts, values

_PIECES = [
    r"\boxed{",
    r"\fbox{",
    "}",
    "{",
    "\\",
    "$",
    "####",
    "\n",
    "</think>",
    "<answer>",
    "</answer>",
    "the answer is ",
    ":",
]
_PIECES += [
    r"\frac",
    r"\sqrt",
    "^",
    "_",
    "1",
    "2.5",
    "x",
    "(",
    ")",
    "[",
    "]",
    ",",
    "=",
    "<",
    "±",
    "∞",
    "!",
    "%",
    "A",
    r"\text",
]
_PIECES += [
    r"\begin{pmatrix}",
    r"\end{pmatrix}",
    "&",
    r"\\",
    r"\infty",
    r"\cup",
    "|",
    "i",
    "e",
    "-",
    "+",
    "*",
    "/",
    "½",
    "²",
]
answers = st.one_of(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join), texts)
responses = st.one_of(
    answers, answers.map(lambda text: f"so \\boxed{{{text}}}"), answers.map(lambda text: f"#### {text}")
)
DEADLINE_S = 1.0


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=1) as pool:
        pool.warm_up("math", "choice", "exact")
        yield pool


@examples(300, 10_000)
def test_every_rule_finds_a_text_or_nothing(number: int) -> None:
    def check(text: str) -> None:
        for rule in ANSWER_RULES:
            found = extract_answer(text, [rule])
            assert found is None or (isinstance(found, str) and len(found) <= len(text))

    holds(number, st.one_of(responses, st.lists(responses, max_size=4).map("".join)), check)


@examples(300, 10_000)
def test_an_answer_is_cleaned_and_compared_at_once_or_left_to_a_worker(number: int) -> None:
    def check(pair: tuple[str, str]) -> None:
        assert isinstance(clean(pair[0]), str)
        assert instant_math(*pair, None) in (True, False, None)
        assert is_formula(pair[0]) in (True, False)

    holds(number, st.tuples(answers, answers), check)


@examples(25, 300)
def test_every_response_gets_a_verdict_in_time(number: int, pool: VerifierPool) -> None:
    def check(case: tuple[list[tuple[str, str]], str]) -> None:
        pairs, kind = case
        started = time.monotonic()
        verdicts = pool.verify_many(
            [gold for gold, _ in pairs], [text for _, text in pairs], kind=kind, timeout_s=DEADLINE_S
        )
        assert [verdict.status in ("correct", "wrong", "undecided") for verdict in verdicts] == [True] * len(pairs)
        assert time.monotonic() - started < len(pairs) * (DEADLINE_S + 10)  # a killed worker takes a while to replace

    pairs = st.lists(st.tuples(answers, responses), min_size=1, max_size=4)
    holds(number, st.tuples(pairs, st.sampled_from(["math", "choice", "exact"])), check)


@examples(15, 150)
def test_any_metadata_gets_a_verdict(number: int, pool: VerifierPool) -> None:
    def check(case: tuple[str, Any, str]) -> None:
        answer, metadata, kind = case
        message = refused_in_one_line(
            lambda: pool.verify_many(
                ["1"], [f"\\boxed{{{answer}}}"], kind=kind, metadata=[metadata], timeout_s=DEADLINE_S
            )
        )
        assert message is None or "\n" not in message

    entry = st.builds(
        lambda name, more: {"metadata": {"source_dataset": name, **more}},
        st.sampled_from(["countdown", "x"]),
        st.dictionaries(texts, values, max_size=2),
    )
    holds(number, st.tuples(answers, st.one_of(values, entry), st.sampled_from(sorted(KINDS))), check)
