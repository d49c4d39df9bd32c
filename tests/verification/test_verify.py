"""Verdicts: correct, wrong, and undecided only when a grader fails."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import FrozenInstanceError

import pytest

from oger.verification import VerifierPool, shared_pool, verify, verify_many
from oger.verification.gym_grader import reasoning_gym_scorer

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
def test_an_answer_that_could_take_forever_is_never_correct_and_takes_no_time(answer: str) -> None:
    started = time.monotonic()
    verdict = verify("12", f"\\boxed{{{answer}}}", kind="math")
    assert verdict.status != "correct"
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("gold", "answer"), [("1024", "2^{10}"), ("120", "5!"), ("x^2+y^2", "y^2+x^2"), ("1000000", "10^6")]
)
def test_cheap_powers_and_factorials_are_still_graded(gold: str, answer: str) -> None:
    assert verify(gold, f"\\boxed{{{answer}}}", kind="math").status == "correct"


def test_many_answers_of_several_kinds_keep_their_order() -> None:
    golds = ["1/2", "B", "19", "7", r"\sqrt{8}"]
    responses = [r"\boxed{0.5}", r"\boxed{C}", r"\boxed{19}", "seven", r"\boxed{2\sqrt{2}}"]
    verdicts = verify_many(
        golds,
        responses,
        kind=["math", "choice", "reasoning_gym", "exact", "math"],
        metadata=[None, None, _ENTRY, None, None],
    )
    assert [verdict.status for verdict in verdicts] == ["correct", "wrong", "correct", "wrong", "correct"]
    assert [verdict.extracted for verdict in verdicts] == ["0.5", "C", "19", None, r"2\sqrt{2}"]


def test_nothing_to_verify_is_no_verdict() -> None:
    assert verify_many([], []) == []


def test_rules_say_where_the_answer_stands() -> None:
    text = r"<think>\boxed{1}</think>\n#### 2"
    assert verify("2", "x\n#### 2", kind="exact", rules=["hash_answer"]).status == "correct"
    assert verify("1", text, kind="exact", rules=["after_think", "last_boxed"]).extracted is None
    assert verify("1", text, kind="exact").status == "correct"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"golds": ["1"]}, "1 gold answers for 2 responses"),
        ({"kind": ["math"]}, "1 kinds for 2 responses"),
        ({"metadata": [1, 2, 3]}, "3 metadata entries for 2 responses"),
        ({"responses": ["a", None]}, "response 1 is NoneType"),
        ({"golds": [12, "1"]}, r"gold answer 0 is int \(12\)"),
        ({"kind": ["math", "chioce"]}, "did you mean 'choice'"),
        ({"rules": ["last_box"]}, "did you mean 'last_boxed'"),
        ({"timeout_s": 0}, "timeout_s must be a positive number"),
        ({"timeout_s": float("inf")}, "timeout_s must be a positive number"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"metadata": [None, lambda: None]}, "metadata entry 1 cannot be sent to a worker"),
    ],
)
def test_bad_input_is_one_clear_error(change: dict, message: str) -> None:
    arguments = {"golds": ["1", r"\frac12"], "responses": [r"\boxed{1}", r"\boxed{0.5}"], "kind": "math", **change}
    with pytest.raises(ValueError, match=message):
        verify_many(**arguments)


def test_a_response_or_answer_beyond_the_length_limit_is_undecided() -> None:
    long_response, long_answer = "x" * 1_000_001 + r"\boxed{1}", f"\\boxed{{{'1+' * 1500}1}}"
    first, second = verify_many(["1", "1"], [long_response, long_answer])
    assert (first.status, first.extracted) == ("undecided", None)
    assert "1000010 characters" in first.reason
    assert second.status == "undecided"
    assert "3001 characters" in second.reason
    text = "word " * 500
    assert verify(text, f"\\boxed{{{text}}}", kind="exact").status == "correct"  # as long as its gold answer


def test_equal_answers_are_graded_once_and_remembered() -> None:
    with VerifierPool(workers=1) as pool:
        golds, responses = [r"\sqrt{2}"] * 6, [r"\boxed{2^{1/2}}"] * 5 + [r"\boxed{2^{1/3}}"]
        first = pool.verify_many(golds, responses)
        again = pool.verify_many(golds, [f"So {response}" for response in responses])
        statistics = pool.statistics
    assert [verdict.status for verdict in first] == ["correct"] * 5 + ["wrong"]
    assert [(v.status, v.extracted, v.reason) for v in again] == [(v.status, v.extracted, v.reason) for v in first]
    assert first[0].seconds > 0
    assert {verdict.seconds for verdict in again} == {0.0}
    assert (statistics.seen, statistics.graded, statistics.cached) == (12, 2, 10)


def test_metadata_is_part_of_what_is_remembered() -> None:
    kind = "tests.support.fault_graders:misbehave"
    with VerifierPool(workers=1) as pool:
        verdicts = [
            pool.verify_many(["x"], [r"\boxed{big 3}"], kind=kind, metadata=[metadata])[0]
            for metadata in ("abc", "abcd", "abc")
        ]
        assert pool.statistics.cached == 1
    assert [verdict.status for verdict in verdicts] == ["correct", "wrong", "correct"]


def test_what_was_undecided_is_asked_again() -> None:
    kind = "tests.support.fault_graders:misbehave"
    with VerifierPool(workers=1) as pool:
        for _ in range(2):
            assert pool.verify_many(["x"], [r"\boxed{slow 0.8}"], kind=kind, timeout_s=0.3)[0].status == "undecided"
        assert pool.verify_many(["x"], [r"\boxed{slow 0.8}"], kind=kind, timeout_s=20)[0].status == "correct"
        statistics = pool.statistics
    assert statistics.undecided == {"deadline": 2}
    assert statistics.undecided_share == pytest.approx(2 / 3)
    assert statistics.restarts == 2


def test_the_memory_of_decided_answers_is_bounded() -> None:
    kind = "tests.support.fault_graders:misbehave"
    with VerifierPool(workers=1, cache_size=2) as pool:
        for answer in ("a", "b", "a", "c", "a", "b"):  # b is the least recently used when c comes
            pool.verify_many(["a"], [f"\\boxed{{{answer}}}"], kind=kind)
        assert (pool.statistics.graded, pool.statistics.cached) == (4, 2)


def test_easy_answers_need_no_worker() -> None:
    with VerifierPool(workers=1) as pool:
        verdicts = pool.verify_many(["12", "B"], [r"\boxed{12}", r"\boxed{B}"], kind=["math", "exact"])
        assert pool.pids == []
        assert pool.statistics.instant == 2
    with VerifierPool(workers=1, instant=False) as pool:
        asked = pool.verify_many(["12", "B"], [r"\boxed{12}", r"\boxed{B}"], kind=["math", "exact"])
        assert pool.statistics.graded == 2
    assert [v.status for v in asked] == [v.status for v in verdicts] == ["correct", "correct"]


def test_overruled_answers_are_counted() -> None:
    kind = "tests.support.fault_graders:misbehave"
    with VerifierPool(workers=1) as pool:
        pool.verify_many(["x"] * 4, [f"\\boxed{{{text}}}" for text in ("judge", "x", "y", "z")], kind=kind)
        assert (pool.statistics.overruled, pool.statistics.graded) == (1, 4)


def test_each_number_of_workers_has_a_pool_that_stays() -> None:
    assert shared_pool(1) is shared_pool(1)
    assert shared_pool(1) is not shared_pool(3)


def test_importing_the_verifier_is_cheap() -> None:
    code = (
        "import sys, oger.verification; print([n for n in ('torch', 'sympy', 'numpy', 'pandas') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
