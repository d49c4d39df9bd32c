"""reasoning-gym's scorers judge as they are, and run nothing of what they are given."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oger.verification.gym_grader import evaluate, grade_reasoning_gym, is_formula, reasoning_gym_scorer

# The scorers that read Python: with reasoning-gym's own eval and parse_expr, each of them runs a payload below.
EVALUATE = ("binary_matrix", "bitwise_arithmetic", "n_queens", "number_sorting", "spiral_matrix", "string_insertion")
PARSE = ("countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration")


def entries(dataset: str, size: int) -> list[dict[str, Any]]:
    from reasoning_gym import create_dataset

    return [dict(entry) for entry in create_dataset(dataset, size=size, seed=7)]


def payloads(marker: Path) -> Iterator[str]:
    call = f"__import__('os').system('touch {marker}')"
    yield from (
        call,
        f"[{call}]",
        f"[[{call}]]",
        f"{call} + C",
        f"1 + int({call})",
        f"(lambda: open('{marker}', 'w'))()",
    )


def planted(value: Any, payload: str) -> Any:
    """The value with every text in it replaced, but for the name of the task."""
    if isinstance(value, dict):
        return {key: old if key == "source_dataset" else planted(old, payload) for key, old in value.items()}
    if isinstance(value, list | tuple):
        return [planted(entry, payload) for entry in value]
    return payload if isinstance(value, str) else value


def attack(dataset: str, marker: Path) -> None:
    [entry] = entries(dataset, 1)
    for payload in payloads(marker):
        for given, answer in (
            (entry, payload),
            ({**entry, "answer": payload}, str(entry["answer"])),
            ({**entry, "metadata": planted(entry["metadata"], payload)}, str(entry["answer"])),
        ):
            with contextlib.suppress(Exception):  # a grader lets everything out, and the pool makes it undecided
                grade_reasoning_gym(str(entry["answer"]), answer, given)
            assert not marker.exists(), (dataset, payload)


@pytest.mark.parametrize("dataset", [*EVALUATE, *PARSE])
def test_nothing_in_an_answer_a_gold_or_metadata_is_run(dataset: str, tmp_path: Path) -> None:
    attack(dataset, tmp_path / "executed")


@pytest.mark.soak
def test_no_scorer_of_reasoning_gym_runs_what_it_is_given(tmp_path: Path) -> None:
    from reasoning_gym.factory import DATASETS

    for dataset in sorted(set(DATASETS) - {"composite"}):  # which is nothing without the others
        attack(dataset, tmp_path / "executed")


@pytest.mark.parametrize("dataset", [*EVALUATE, *PARSE, "basic_arithmetic", "chain_sum"])
def test_right_answers_are_right_and_others_are_not(dataset: str) -> None:
    reasoning_gym_scorer(dataset)  # problems are generated with the guard in place
    for entry in entries(dataset, 5):
        gold = entry["answer"] or entry["metadata"]["valid_answers"][0]
        if "Integral" in gold:  # what sympy cannot solve; as an answer it would repeat the question
            continue
        assert grade_reasoning_gym(gold, gold, json.dumps(entry, default=str))
        assert not grade_reasoning_gym(gold, "no such answer 7919", entry)


def test_formulas_are_read_and_nothing_else_is() -> None:
    for text in (
        "(3 + 4)*5 - 2/7",
        "2*x**2 + 3.5*X^3",
        "-exp(2*x)*asin(x) + log(x)*sqrt(3) + atan(x)/pi + C",
        "Abs(x)",
    ):
        assert is_formula(text), text
    for text in (
        "x.diff(x)",
        "x._a",
        "print(3)",
        "'x'",
        "x[0]",
        "x: 1",
        "a=1",
        "open",
        "sinx",
        "lambda",
        "x\\y",
        "",
        None,
    ):
        assert is_formula(text) == (text == ""), text


@pytest.mark.parametrize(("text", "value"), [("0x0f & 7 | 8", 15), (" [1, -2]", [1, -2]), ("{'a': (1,)}", {"a": (1,)})])
def test_literals_and_arithmetic_are_evaluated(text: str, value: Any) -> None:
    assert evaluate(text) == value


@pytest.mark.parametrize(
    "text", ["x", "f(1)", "[x for x in (1,)]", "(1).real", "[1][0]", "lambda: 1", "f'{1}'", "{**{}}"]
)
def test_names_calls_and_everything_else_are_not_evaluated(text: str) -> None:
    with pytest.raises(ValueError, match="neither a literal nor arithmetic"):
        evaluate(text)


@pytest.mark.parametrize(
    ("answer", "right"),
    [("(7-3)+5+2", True), ("7 - 3 + 5 + 2", True), ("3**2+7-5", False), ("3^2+7-5", False), ("3* *2+7-5", False),
     ("sqrt(9)+7-5+2*3", False), ("7+5//2+2", False)],
)  # fmt: skip
def test_the_numbers_game_has_four_operations(answer: str, right: bool) -> None:
    entry = {
        "question": "Reach 11 with 3, 2, 7, 5.",
        "answer": "7-3+5+2",
        "metadata": {"source_dataset": "countdown", "numbers": [3, 2, 7, 5], "target": 11, "expression": "7-3+5+2"},
    }
    assert grade_reasoning_gym("7-3+5+2", answer, entry) is right
