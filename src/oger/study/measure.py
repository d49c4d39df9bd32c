"""What is measured on one policy and one split: every sample's outcome, variety of solutions, distance to teachers.

Distances are those of one encoder for the whole study (the recipe's own, whatever encoder a method trains with), so
that methods can be compared.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from oger.encoders.base import Encoder
from oger.evaluation.grading import rewarded
from oger.evaluation.job import OutcomeReward, Result
from oger.evaluation.statistics.diversity import distinct_solutions
from oger.evaluation.summary import UNNAMED, Graded, StrategyRule, by_problem, summarize_responses
from oger.method.divergence import teacher_divergence
from oger.verification.formats import extract_answer

CORRECT, WRONG, UNDECIDED = "1", "0", "?"
"""One character per sample, in a text per problem."""

_BOX, _SAID = "last_boxed", "boxed_or_said"
_MARKS = {"correct": CORRECT, "wrong": WRONG, "undecided": UNDECIDED}
_PROBLEMS_AT_ONCE = 64
"""Whose texts are encoded in one call."""


def rules_without_box(rules: Sequence[str]) -> tuple[str, ...] | None:
    """Answer rules that find an answer without its box, too; None where these ask for no box.

    >>> rules_without_box(("after_think", "last_boxed"))
    ('after_think', 'boxed_or_said')
    """
    return tuple(_SAID if rule == _BOX else rule for rule in rules) if _BOX in rules else None


def format_blind(result: Result, rules: Sequence[str], reward: OutcomeReward) -> list[Graded]:
    """The responses, those that are wrong for want of a complete box graded again by what they say.

    Args:
        rules: by which they were graded.
        reward: grades with `rules_without_box`.
    """
    missing = [r for r in result.responses if r.status == "wrong" and extract_answer(r.text, rules) is None]
    again = {(r.problem, r.sample): r for r in rewarded(reward, result.job.problems, missing)} if missing else {}
    return [again.get((response.problem, response.sample), response) for response in result.responses]


def problem_outcomes(
    result: Result, *, blind: Sequence[Graded] | None = None, strategy_of: StrategyRule | None = None
) -> list[dict[str, Any]]:
    """The outcomes as stored, of each row of the split.

    Args:
        blind: see `format_blind`; None where no box is asked for.
        strategy_of: see `oger.evaluation.summary.StrategyRule`.

    Returns:
        "problem", "family"; "outcomes" and "blind": texts with a character per sample; "distinct": number of different
        correct solutions; "strategies": number of correct samples by strategy, as JSON. None where not measured.
    """
    samples_P = by_problem(result.responses).values()
    blind_P = by_problem(blind).values() if blind is not None else [None] * len(samples_P)
    rows = []
    for index, (problem, samples, seen) in enumerate(zip(result.job.problems, samples_P, blind_P, strict=True)):
        correct = [response.text for response in samples if response.status == "correct"]
        strategies = None
        if strategy_of is not None:
            named = Counter(strategy_of(problem.row, text) or UNNAMED for text in correct)
            strategies = json.dumps(named, sort_keys=True)
        rows.append(
            {
                "problem": index,
                "family": problem.groups["family"],
                "outcomes": _marked(samples),
                "blind": None if seen is None else _marked(seen),
                "distinct": distinct_solutions(correct),
                "strategies": strategies,
            }
        )
    return rows


def _marked(samples: Sequence[Graded]) -> str:
    return "".join(_MARKS[response.status] for response in samples)


def summarize_policy(
    responses: Sequence[Graded], rows: Sequence[Mapping[str, Any]], encoder: Encoder
) -> dict[str, Any]:
    """The numbers of one policy on one split.

    Args:
        responses: of the policy to `rows`, in their order.
        rows: the problems; where a row has "teachers", distances to them are measured.
        encoder: of the distances.

    Returns:
        "problems", "samples" (per problem); "accuracy" (pass@1); "pass_at": k -> pass@k for k = 1, 2, 4, ...;
        "undecided", "truncated": shares of the samples; "length": mean tokens;
        "solutions", "correct_solutions": mean number of distinct (correct) solutions per problem;
        "solution_distance": mean 1 - cosine over pairs of correct samples of a problem, None where no problem has two;
        "teacher_divergence": mean D of all samples (mean over the teachers of the problem), None without teachers.
    """
    numbers = summarize_responses(responses)
    samples_P = list(by_problem(responses).values())
    distance, divergence = _distances(samples_P, [_teacher_texts(row) for row in rows], encoder)
    curve = {int(k): value for k, value in numbers["pass@k"].items()}
    return {
        "problems": numbers["problems"],
        "samples": numbers["samples"],
        "accuracy": curve[1],
        "pass_at": curve,
        "undecided": numbers["undecided"],
        "truncated": numbers["truncated_share"],
        "length": numbers["length"],
        "solutions": numbers["distinct_solutions"],
        "correct_solutions": numbers["distinct_correct_solutions"],
        "solution_distance": distance,
        "teacher_divergence": divergence,
    }


def mean_pairwise_distance(vector_NE: torch.Tensor) -> float:
    """Mean 1 - cosine over the pairs of unit rows, by the sum of the rows: no matrix of pairs is made.

        mean_{i<j} u_i·u_j = (|sum_i u_i|^2 - sum_i |u_i|^2) / (N (N - 1))

    >>> mean_pairwise_distance(torch.eye(3))
    1.0
    """
    count = len(vector_NE)
    if count < 2:
        raise ValueError(f"a pair needs two rows, got {count}")
    vector_NE = vector_NE.double()
    pairs = vector_NE.sum(dim=0).square().sum() - vector_NE.square().sum()
    return float(1.0 - pairs / (count * (count - 1)))


def _distances(
    samples_P: Sequence[Sequence[Graded]], teachers_P: Sequence[Sequence[str]], encoder: Encoder
) -> tuple[float | None, float | None]:
    """(mean distance between correct samples, mean divergence from the teachers), means over problems and samples."""
    distances: list[float] = []
    divergences: list[float] = []
    for start in range(0, len(samples_P), _PROBLEMS_AT_ONCE):
        part = slice(start, start + _PROBLEMS_AT_ONCE)
        groups = [
            [*(response.text for response in samples), *teachers]
            for samples, teachers in zip(samples_P[part], teachers_P[part], strict=True)
        ]
        vectors = torch.split(encoder.encode([text for group in groups for text in group]), [len(g) for g in groups])
        for vector_NE, samples in zip(vectors, samples_P[part], strict=True):
            online_SE, teacher_ME = vector_NE[: len(samples)], vector_NE[len(samples) :]
            correct_CE = online_SE[torch.tensor([response.status == "correct" for response in samples])]
            if len(correct_CE) > 1:
                distances.append(mean_pairwise_distance(correct_CE))
            if len(teacher_ME):
                divergences.extend(teacher_divergence(online_SE, teacher_ME).tolist())
    return (
        float(np.mean(distances)) if distances else None,
        float(np.mean(divergences)) if divergences else None,
    )


def _teacher_texts(row: Mapping[str, Any]) -> list[str]:
    teachers = row.get("teachers") or []
    return [teacher if isinstance(teacher, str) else str(teacher["text"]) for teacher in teachers]
