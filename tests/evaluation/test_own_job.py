"""A tiny policy on rows of its own, graded by a reward written here."""

import math

import numpy as np
import pytest

from oger.evaluation.backends.base import SamplingSettings
from oger.evaluation.job import Result, own_job
from oger.evaluation.runner import run_job
from oger.evaluation.summary import outcomes_by_problem
from oger.verification.rewards import accuracy_reward
from tests.support.tiny import tiny_policy, tiny_tokenizer

ROWS = [
    {"prompt": "1+2=?", "answer": "3", "family": "sum"},
    {"prompt": "4+4=?", "answer": "8", "family": "sum"},
    {"prompt": "gcd 9", "answer": "9", "family": "gcd"},
]
SAMPLING = SamplingSettings(temperature=1.0, top_p=1.0, max_tokens=10, seed=0)


def evaluate(reward, rows=ROWS, *, tokenizer=None, progress=None, **options) -> Result:
    tokenizer = tokenizer or tiny_tokenizer()
    options = {"num_samples": 4, "sampling": SAMPLING, **options}
    return run_job(own_job("mine", rows, tiny_policy(), tokenizer, reward=reward, **options), progress)


def no_rewards(answer, **_):
    return [0.0] * len(answer)


def test_each_sample_is_judged_against_the_answer_of_its_own_problem() -> None:
    seen: list[tuple[str, str]] = []

    def reward(prompts, completions, answer, **columns):
        assert all(isinstance(completion, str) for completion in completions)
        seen.extend(zip(prompts, answer, strict=True))
        return [1.0 if gold == "8" else 0.0 for gold in answer]

    result = evaluate(reward)
    assert seen == [(row["prompt"], row["answer"]) for row in ROWS for _ in range(4)]
    assert outcomes_by_problem(result.responses).tolist() == [[0.0] * 4, [1.0] * 4, [0.0] * 4]


def test_partial_credit_is_wrong_and_none_or_nan_is_undecided() -> None:
    verdicts = [1.0, 0.5, None, math.nan] * 3
    result = evaluate(lambda **_: verdicts)
    np.testing.assert_array_equal(outcomes_by_problem(result.responses), [[1.0, 0.0, np.nan, np.nan]] * 3)
    summary = result.accuracy
    assert (summary["pass@1"], summary["undecided"]) == (0.25, 0.5)


def test_families_are_summarised_apart() -> None:
    by_family = evaluate(lambda answer, **_: [float(gold == "9") for gold in answer]).accuracy_by_family()
    assert {name: numbers["pass@1"] for name, numbers in by_family.items()} == {"gcd": 1.0, "sum": 0.0}
    assert list(by_family) == ["gcd", "sum"]
    assert [by_family[name]["problems"] for name in ("gcd", "sum")] == [1, 2]


def test_the_summary_reports_length_and_truncation() -> None:
    result = evaluate(no_rewards)
    assert result.accuracy["length"] == pytest.approx(sum(r.num_tokens for r in result.responses) / 12)
    assert result.accuracy["truncated_share"] == pytest.approx(sum(r.truncated for r in result.responses) / 12)


def test_a_chat_prompt_gets_a_chat_completion() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    rows = [{"prompt": [{"role": "user", "content": "1+1=?"}], "answer": "2"}]

    def reward(completions, **_):
        assert all(completion[0]["role"] == "assistant" for completion in completions)
        return [1.0] * len(completions)

    result = evaluate(reward, rows, tokenizer=tokenizer)
    assert list(result.accuracy_by_family()) == [""]
    assert result.accuracy["pass@1"] == 1.0


def test_the_verifier_grades_by_the_kind_of_the_row() -> None:
    result = evaluate(accuracy_reward, [{**ROWS[0], "kind": "math"}])
    assert outcomes_by_problem(result.responses).shape == (1, 4)


def test_one_stream_of_random_numbers_runs_through_all_batches() -> None:
    rows = [{**ROWS[0], "prompt": "1+2=?"}] * 2
    texts = [response.text for response in evaluate(no_rewards, rows, batch_size=4).responses]
    assert texts[:4] != texts[4:], "the second batch does not begin the stream anew"
    assert texts == [response.text for response in evaluate(no_rewards, rows, batch_size=4).responses]


def test_progress_counts_responses() -> None:
    seen: list[tuple[int, int]] = []
    evaluate(no_rewards, batch_size=5, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(5, 12), (10, 12), (12, 12)]


def test_rows_without_what_is_needed_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        evaluate(lambda **_: [], rows=[])
    with pytest.raises(ValueError, match="row 0 has no column 'answer'; rename 'anwser'"):
        evaluate(accuracy_reward, rows=[{"prompt": "1+1=?", "anwser": "2"}])
