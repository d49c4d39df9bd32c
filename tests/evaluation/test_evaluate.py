"""Evaluation of a tiny policy with a verifier written here."""

import math

import numpy as np
import pytest

from oger.evaluation.evaluate import evaluate_policy
from oger.verification.rewards import accuracy_reward
from tests.support.tiny import tiny_policy, tiny_tokenizer

ROWS = [
    {"prompt": "1+2=?", "answer": "3", "family": "sum"},
    {"prompt": "4+4=?", "answer": "8", "family": "sum"},
    {"prompt": "gcd 9", "answer": "9", "family": "gcd"},
]
OPTIONS = {"num_samples": 4, "max_new_tokens": 10, "seed": 0}


def evaluate(reward, rows=ROWS):
    return evaluate_policy(tiny_policy(), tiny_tokenizer(), rows, outcome_reward=reward, **OPTIONS)


def test_each_sample_is_judged_against_the_answer_of_its_own_problem() -> None:
    seen: list[tuple[str, str]] = []

    def reward(prompts, completions, answer, **columns):
        assert all(isinstance(completion, str) for completion in completions)
        seen.extend(zip(prompts, answer, strict=True))
        return [1.0 if gold == "8" else 0.0 for gold in answer]

    evaluation = evaluate(reward)
    assert seen == [(row["prompt"], row["answer"]) for row in ROWS for _ in range(4)]
    assert evaluation.outcomes.tolist() == [[0.0] * 4, [1.0] * 4, [0.0] * 4]
    assert [len(row) for row in evaluation.responses] == [4, 4, 4]


def test_partial_credit_is_wrong_and_none_or_nan_is_undecided() -> None:
    verdicts = [1.0, 0.5, None, math.nan] * 3
    evaluation = evaluate(lambda **_: verdicts)
    np.testing.assert_array_equal(evaluation.outcomes, [[1.0, 0.0, np.nan, np.nan]] * 3)
    summary = evaluation.summary()
    assert (summary["pass@1"], summary["undecided"]) == (0.25, 0.5)


def test_families_are_summarised_apart() -> None:
    evaluation = evaluate(lambda answer, **_: [float(gold == "9") for gold in answer])
    by_family = evaluation.summary_by_family()
    assert {name: numbers["pass@1"] for name, numbers in by_family.items()} == {"gcd": 1.0, "sum": 0.0}
    assert [by_family[name]["problems"] for name in ("gcd", "sum")] == [1, 2]
    with pytest.raises(ValueError, match="families"):
        evaluation.of_family("products")


def test_the_summary_reports_length_and_truncation() -> None:
    evaluation = evaluate(lambda answer, **_: [0.0] * len(answer))
    responses = [response for row in evaluation.responses for response in row]
    summary = evaluation.summary()
    assert summary["length"] == pytest.approx(sum(r.num_tokens for r in responses) / 12)
    assert summary["truncated_share"] == pytest.approx(sum(r.truncated for r in responses) / 12)


def test_a_chat_prompt_gets_a_chat_completion() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    rows = [{"prompt": [{"role": "user", "content": "1+1=?"}], "answer": "2"}]

    def reward(completions, **_):
        assert all(completion[0]["role"] == "assistant" for completion in completions)
        return [1.0] * len(completions)

    evaluation = evaluate_policy(tiny_policy(), tokenizer, rows, outcome_reward=reward, **OPTIONS)
    assert evaluation.families == ("",)
    assert evaluation.outcomes.all()


def test_the_default_verifier_is_the_accuracy_reward() -> None:
    evaluation = evaluate_policy(tiny_policy(), tiny_tokenizer(), [{**ROWS[0], "kind": "math"}], **OPTIONS)
    assert evaluation.outcomes.shape == (1, 4)


def test_rows_without_what_is_needed_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        evaluate(lambda **_: [], rows=[])
    with pytest.raises(ValueError, match="row 0 has no answer; its columns: anwser, prompt"):
        evaluate(accuracy_reward, rows=[{"prompt": "1+1=?", "anwser": "2"}])
