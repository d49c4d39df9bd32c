"""The summary of graded responses, by hand."""

import numpy as np
import pytest

from oger.evaluation.summary import (
    Graded,
    accuracy_by_problem,
    accuracy_matrix,
    summarize_accuracy,
    summarize_groups,
    summarize_responses,
    summarize_solutions,
)


def graded(problem: str, sample: int, answer: str | None, status: str, **other) -> Graded:
    defaults = {"text": f"so {answer}", "num_tokens": 10, "finish_reason": "stop"}
    return Graded(problem, sample, extracted=answer, status=status, **{**defaults, **other})


RESPONSES = [
    graded("p", 0, "1", "correct"),
    graded("p", 1, "2", "wrong", num_tokens=30),
    graded("p", 2, None, "wrong", finish_reason="length", num_tokens=100),
    graded("p", 3, "1", "correct"),
    graded("q", 0, "5", "wrong"),
    graded("q", 1, "5", "undecided"),
    graded("q", 2, "6", "wrong"),
    graded("q", 3, "8", "correct"),
]


def test_every_number_by_hand() -> None:
    numbers = summarize_responses(RESPONSES)
    assert (numbers["problems"], numbers["samples"]) == (2, 4)
    assert numbers["avg@4"] == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert numbers["ci95"] == [0.25, 0.5]  # of two problems, every quantile is one of their means
    assert numbers["pass@k"] == pytest.approx({"1": 0.375, "2": (5 / 6 + 3 / 6) / 2, "4": 1.0})
    assert numbers["maj@k"]["4"] == pytest.approx((1 + 0) / 2)
    assert numbers["maj@k"]["1"] == pytest.approx(numbers["avg@4"])
    assert (numbers["format_rate"], numbers["truncated_share"], numbers["undecided"]) == (7 / 8, 1 / 8, 1 / 8)
    assert numbers["length"] == pytest.approx((10 + 30 + 100 + 10 + 40) / 8)
    assert numbers["distinct_answers"] == (2 + 3) / 2
    assert numbers["distinct_solutions"] == (3 + 3) / 2
    assert numbers["distinct_correct_solutions"] == 1.0
    assert [entry["problems"] for entry in numbers["calibration"]["bins"]] == [2]


def test_the_order_of_arrival_does_not_matter() -> None:
    assert summarize_responses(RESPONSES[::-1])["pass@k"] == summarize_responses(RESPONSES)["pass@k"]


def test_the_length_is_unknown_when_one_response_was_not_counted() -> None:
    assert summarize_responses([*RESPONSES[:7], graded("q", 3, "8", "correct", num_tokens=None)])["length"] is None


def test_missing_samples_are_an_error_and_not_a_smaller_denominator() -> None:
    with pytest.raises(ValueError, match="different numbers of samples, from 3 to 4"):
        summarize_responses(RESPONSES[:7])
    with pytest.raises(ValueError, match="no responses"):
        summarize_responses([])


def test_accuracies_of_two_seeds_are_aligned_by_problem() -> None:
    first = accuracy_by_problem(RESPONSES)
    second = dict(reversed(first.items()))
    np.testing.assert_array_equal(accuracy_matrix([first, second]), [[0.5, 0.25]] * 2)
    with pytest.raises(ValueError, match="not the same problems"):
        accuracy_matrix([first, {"p": 1.0}])


def test_groups_are_summarised_apart_and_a_problem_without_the_column_is_in_none() -> None:
    numbers = summarize_groups(RESPONSES, {"p": {"level": "1", "topic": "a"}, "q": {"level": "2"}})
    assert {value: entry["avg@4"] for value, entry in numbers["level"].items()} == {"1": 0.5, "2": 0.25}
    assert list(numbers["topic"]) == ["a"]
    assert numbers["topic"]["a"] == summarize_responses(RESPONSES[:4])


def test_different_correct_solutions_and_their_ways_by_hand() -> None:
    """Of 2 x 4 samples 3 are correct: two different ones of p, in two ways; one of q, which no rule names."""
    texts = {
        "p": [("3 * 7 = 21 + 5 = 26", "correct"), ("9 - 4 = 5 * 4 = 20", "correct"), ("1", "wrong"), ("2", "wrong")],
        "q": [("5 + 5 = 10 - 1 = 9", "correct"), ("0", "wrong"), ("0", "wrong"), ("0", "undecided")],
    }
    responses = [
        graded(problem, sample, None, status, text=text)
        for problem, samples in texts.items()
        for sample, (text, status) in enumerate(samples)
    ]
    rows = [{"plus": "+"}, {"plus": "?"}]
    numbers = summarize_solutions(responses, rows, lambda row, text: "sum" if row["plus"] in text else WAYS.get(text))
    assert numbers["distinct_correct"] == 1.5
    assert numbers["strategies"]["sum"]["share"] == numbers["strategies"]["-"]["share"] == 1 / 8
    assert numbers["strategies"]["take"]["share"] == 1 / 8
    assert sum(entry["share"] for entry in numbers["strategies"].values()) == summarize_accuracy(responses)["pass@1"]
    low, high = numbers["strategies"]["sum"]["ci95"]
    assert (low, high) == (0.0, 0.25), "either problem alone, drawn twice"
    assert "strategies" not in summarize_solutions(responses, rows, None)


WAYS = {"9 - 4 = 5 * 4 = 20": "take"}
