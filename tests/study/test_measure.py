"""What is measured on a policy: counts, distinct solutions, distances, by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from oger.encoders.registry import create_encoder
from oger.evaluation.backends.base import SamplingSettings
from oger.evaluation.job import Result, own_job
from oger.evaluation.summary import Graded
from oger.study.measure import (
    format_blind,
    mean_pairwise_distance,
    problem_outcomes,
    rules_without_box,
    summarize_policy,
)
from oger.verification.rewards import accuracy_with

TEXTS = [["3 + 4 = 7, so 7.", "3+4=7, So 7.", "Count up from 4: 5, 6, 7.", "9"], ["1", "2", "3", "4"]]
STATUS = {"1": "correct", "0": "wrong", "?": "undecided"}
OUTCOMES = ["1110", "0?00"]
ROWS = [{"teachers": [{"text": "3 + 4 = 7, so 7."}]}, {"teachers": []}]


@pytest.fixture
def responses() -> list[Graded]:
    return [
        Graded(str(problem), sample, text, len(text), "length" if text == "9" else "stop", None, STATUS[mark])
        for problem, (texts, marks) in enumerate(zip(TEXTS, OUTCOMES, strict=True))
        for sample, (text, mark) in enumerate(zip(texts, marks, strict=True))
    ]


def test_outcomes_are_one_character_per_sample(responses: list[Graded]) -> None:
    rows = [{"prompt": "a", "family": "sum"}, {"prompt": "b"}]
    sampling = SamplingSettings(1.0, 1.0, 8, seed=0)
    job = own_job("id", rows, None, None, reward=lambda **_: [], num_samples=4, sampling=sampling)
    found = problem_outcomes(Result(job, tuple(responses)))
    assert [tuple(entry.values())[:3] for entry in found] == [(0, "sum", "1110"), (1, "", "0?00")]
    assert list(found[0]) == ["problem", "family", "outcomes", "blind", "distinct", "strategies"]
    assert [entry["distinct"] for entry in found] == [2, 0]
    assert {entry["blind"] for entry in found} == {entry["strategies"] for entry in found} == {None}


def test_correct_samples_are_counted_by_the_worlds_rule(responses: list[Graded]) -> None:
    rows = [{"prompt": "a", "mark": "Count"}, {"prompt": "b", "mark": "?"}]
    sampling = SamplingSettings(1.0, 1.0, 8, seed=0)
    job = own_job("id", rows, None, None, reward=lambda **_: [], num_samples=4, sampling=sampling)
    result = Result(job, tuple(responses))
    found = problem_outcomes(result, strategy_of=lambda row, text: "counts" if row["mark"] in text else None)
    assert [json.loads(entry["strategies"]) for entry in found] == [{"counts": 1, "-": 2}, {}]


def test_answers_without_a_box_are_graded_by_what_they_say() -> None:
    texts = [r"6*7=42 \boxed{42}", r"6*7=42 \boxed{41}", "6*7=42", r"6*7=42 \boxed{4"]
    graded = [
        Graded("00000000", sample, text, 9, "stop", None, "correct" if sample == 0 else "wrong")
        for sample, text in enumerate(texts)
    ]
    rules = ("last_boxed",)
    said = rules_without_box(rules)
    assert said is not None
    sampling = SamplingSettings(1.0, 1.0, 8, seed=0)
    rows = [{"prompt": "6*7", "answer": "42"}]
    job = own_job("id", rows, None, None, reward=accuracy_with(rules), num_samples=4, sampling=sampling)
    result = Result(job, tuple(graded))
    blind = format_blind(result, rules, accuracy_with(said))
    [found] = problem_outcomes(result, blind=blind)
    assert (found["outcomes"], found["blind"]) == ("1000", "1010")  # a box with another answer stays wrong
    assert rules_without_box(("hash_answer",)) is None


def test_summary_by_hand(responses: list[Graded]) -> None:
    found = summarize_policy(responses, ROWS, create_encoder("ngram"))
    assert found["accuracy"] == pytest.approx(3 / 8)
    assert found["pass_at"] == pytest.approx({1: 3 / 8, 2: 1 / 2, 4: 1 / 2})
    assert (found["undecided"], found["truncated"]) == (1 / 8, 1 / 8)
    assert found["correct_solutions"] == (2 + 0) / 2
    assert found["solutions"] == (3 + 4) / 2
    assert found["length"] == pytest.approx(np.mean([len(text) for texts in TEXTS for text in texts]))


def test_distances_are_those_of_every_pair(responses: list[Graded]) -> None:
    encoder = create_encoder("ngram")
    vectors = encoder.encode(TEXTS[0]).double()
    pairs = [1.0 - float(vectors[i] @ vectors[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    found = summarize_policy(responses, ROWS, encoder)
    assert found["solution_distance"] == pytest.approx(np.mean(pairs), abs=1e-6)  # the wrong sample is not in it
    to_teacher = [1.0 - float(vector @ vectors[0]) for vector in vectors]
    assert found["teacher_divergence"] == pytest.approx(np.mean(to_teacher), abs=1e-6)


def test_distances_of_nothing_are_none(responses: list[Graded]) -> None:
    found = summarize_policy(responses, [{}, {}], create_encoder("ngram"))
    assert found["teacher_divergence"] is None
    assert summarize_policy(responses[4:], ROWS[1:], create_encoder("ngram"))["solution_distance"] is None


def test_pairwise_distance_equals_the_naive_mean() -> None:
    rows = torch.nn.functional.normalize(torch.randn(7, 5, generator=torch.manual_seed(0)), dim=1)
    naive = np.mean([1.0 - float(rows[i] @ rows[j]) for i in range(7) for j in range(i)])
    assert mean_pairwise_distance(rows) == pytest.approx(naive, abs=1e-6)
    with pytest.raises(ValueError, match="two rows"):
        mean_pairwise_distance(rows[:1])
