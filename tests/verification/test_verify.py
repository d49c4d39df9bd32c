"""Verdicts: correct, wrong, and undecided only when a grader fails."""

import json
import threading
import time
from dataclasses import FrozenInstanceError

import pytest

from oger.verification import KINDS, verify
from oger.verification.kinds import reasoning_gym_scorer

_ENTRY = {"question": "12 + 7 =", "answer": "19", "metadata": {"source_dataset": "chain_sum", "expression": "12 + 7"}}


@pytest.mark.parametrize(
    ("gold", "response", "status"),
    [
        (r"\frac{1}{2}", r"\boxed{0.5}", "correct"),
        ("3", r"\boxed{3.0}", "correct"),
        ("x^2+2x+1", r"\boxed{(x+1)^2}", "correct"),
        ("4", r"\boxed{5}", "wrong"),
        ("4", r"\boxed{}", "wrong"),
    ],
)
def test_math_compares_values(gold: str, response: str, status: str) -> None:
    assert verify(gold, response, kind="math").status == status


def test_math_grades_the_last_of_several_boxes() -> None:
    assert verify("2", r"\boxed{1} \boxed{2}", kind="math").status == "correct"
    assert verify("1", r"\boxed{1} \boxed{2}", kind="math").status == "wrong"


def test_math_works_off_the_main_thread() -> None:
    statuses: list[str] = []
    worker = threading.Thread(target=lambda: statuses.append(verify("1/2", r"\boxed{0.5}", kind="math").status))
    worker.start()
    worker.join()
    assert statuses == ["correct"]


def test_exact_ignores_surrounding_space_only() -> None:
    assert verify("B", r"\boxed{ B }", kind="exact").status == "correct"
    assert verify("B", r"\boxed{b}", kind="exact").status == "wrong"


@pytest.mark.parametrize("metadata", [_ENTRY, json.dumps(_ENTRY)], ids=["mapping", "json"])
def test_reasoning_gym_uses_its_own_scorer_without_partial_credit(metadata: object) -> None:
    assert verify("19", r"\boxed{+19.0}", kind="reasoning_gym", metadata=metadata).status == "correct"
    partial = "it is 19"
    assert 0 < reasoning_gym_scorer("chain_sum")(partial, _ENTRY) < 1
    assert verify("19", rf"\boxed{{{partial}}}", kind="reasoning_gym", metadata=metadata).status == "wrong"


def test_reasoning_gym_scorers_are_kept() -> None:
    assert reasoning_gym_scorer("gcd") is reasoning_gym_scorer("gcd")


def test_no_answer_is_wrong_and_says_so() -> None:
    verdict = verify("4", "I do not know", kind="math")
    assert (verdict.status, verdict.extracted, verdict.outcome) == ("wrong", None, 0.0)
    assert "no answer found" in verdict.reason


def test_a_failing_grader_leaves_the_response_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(gold: str, extracted: str, metadata: object) -> bool:
        raise RuntimeError("out of order")

    monkeypatch.setitem(KINDS, "broken", broken)  # type: ignore[arg-type]
    verdict = verify("4", r"\boxed{4}", kind="broken")
    assert (verdict.status, verdict.extracted, verdict.outcome) == ("undecided", "4", None)
    assert "RuntimeError: out of order" in verdict.reason


def test_an_unreadable_gold_answer_is_undecided_not_wrong() -> None:
    assert verify("", r"\boxed{4}", kind="math").status == "undecided"


def test_reasoning_gym_without_its_entry_is_undecided() -> None:
    assert verify("4", r"\boxed{4}", kind="reasoning_gym").status == "undecided"


def test_unknown_kind_names_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="did you mean 'reasoning_gym'"):
        verify("4", r"\boxed{4}", kind="reasoning_gim")


def test_a_verdict_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        verify("4", r"\boxed{4}", kind="exact").status = "wrong"  # type: ignore[misc]


@pytest.mark.parametrize(
    "answer", ["9^{9^{9^{9}}}", "9^9^9^9", "10^{10000000}", "(10^{8})!", "99999!", "1" * 3000, "2**(3**9)"]
)
def test_an_answer_that_could_take_forever_is_undecided_at_once(answer: str) -> None:
    started = time.monotonic()
    verdict = verify("12", f"\\boxed{{{answer}}}", kind="math")
    assert verdict.status == "undecided"
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("gold", "answer"), [("1024", "2^{10}"), ("120", "5!"), ("x^2+y^2", "y^2+x^2"), ("1000000", "10^6")]
)
def test_cheap_powers_and_factorials_are_still_graded(gold: str, answer: str) -> None:
    assert verify(gold, f"\\boxed{{{answer}}}", kind="math").status == "correct"
