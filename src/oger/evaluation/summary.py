"""Every number of one policy on one benchmark, from its graded responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oger.evaluation.backends.base import Generated
from oger.evaluation.statistics.accuracy import outcome_matrix, pass_curve, powers_of_two, summarize
from oger.evaluation.statistics.diversity import distinct_solutions
from oger.evaluation.statistics.intervals import bootstrap_interval
from oger.evaluation.statistics.majority import calibration, distinct_answers, majority_at_k, vote

StrategyRule = Callable[[Mapping[str, Any], str], str | None]
"""A world's `strategy_of`: the name of the way in which a correct text solves a row, None where no rule tells."""

UNNAMED = "-"
"""Strategy of correct samples that a world's rule gives no name."""


@dataclass(frozen=True, slots=True)
class Graded(Generated):
    """One response with its verdict."""

    extracted: str | None
    status: str
    """"correct", "wrong", "undecided", or "unfinished": wrong, since it did not end by itself; its text is right."""

    @property
    def outcome(self) -> float | None:
        """1.0 correct, 0.0 wrong, None undecided."""
        return {"correct": 1.0, "wrong": 0.0, "unfinished": 0.0}.get(self.status)


def by_problem(responses: Sequence[Graded]) -> dict[str, list[Graded]]:
    """Problem -> its responses in the order of their sample numbers; problems in order of appearance.

    Raises:
        ValueError: no responses, or not the same number of each problem.
    """
    problems: dict[str, list[Graded]] = {}
    for response in responses:
        problems.setdefault(response.problem, []).append(response)
    if not problems:
        raise ValueError("there are no responses to summarise")
    for samples in problems.values():
        samples.sort(key=lambda response: response.sample)
    sizes = sorted({len(samples) for samples in problems.values()})
    if len(sizes) > 1:
        raise ValueError(f"problems have different numbers of samples, from {sizes[0]} to {sizes[-1]}")
    return problems


def outcomes_by_problem(responses: Sequence[Graded]) -> NDArray[np.float64]:
    """(problems, samples) of 1 correct, 0 wrong, NaN undecided."""
    return outcome_matrix([[response.outcome for response in samples] for samples in by_problem(responses).values()])


def accuracy_by_problem(responses: Sequence[Graded]) -> dict[str, float]:
    """Problem -> share of its samples that are correct."""
    return {
        problem: sum(response.status == "correct" for response in samples) / len(samples)
        for problem, samples in by_problem(responses).items()
    }


def summarize_responses(responses: Sequence[Graded]) -> dict[str, Any]:
    """The numbers of one benchmark, JSON-ready; shares lie in [0, 1] and an undecided sample counts as wrong.

    Returns:
        "problems", "samples" (n, per problem);
        "avg@n" (named with its n) with "ci95": mean share of correct samples, bootstrap interval over problems;
        "pass@k", "maj@k": by k = 1, 2, 4, ..., n; unbiased and exact;
        "format_rate": share of samples with an answer; "truncated_share": those that did not end by themselves;
        "unfinished_responses": these by finish reason; "unfinished_right": of these, whose text is right; "undecided";
        "length": mean tokens, None unless every response was counted;
        "distinct_answers", "distinct_solutions", "distinct_correct_solutions": mean number per problem;
        "calibration": see `majority.calibration`.

    Raises:
        ValueError: see `by_problem`.
    """
    problems = by_problem(responses)
    samples_P = list(problems.values())
    num_samples = len(samples_P[0])
    outcomes = [[response.outcome for response in samples] for samples in samples_P]
    votes_P = [[vote(response.outcome, response.extracted) for response in samples] for samples in samples_P]
    share_P = list(accuracy_by_problem(responses).values())
    lengths = [response.num_tokens for response in responses if response.num_tokens is not None]
    unfinished = [response for response in responses if response.truncated]
    return {
        "problems": len(samples_P),
        "samples": num_samples,
        f"avg@{num_samples}": float(np.mean(share_P)),
        "ci95": list(bootstrap_interval(share_P)),
        "pass@k": {str(k): value for k, value in pass_curve(outcomes).items()},
        "maj@k": {
            str(k): float(np.mean([majority_at_k(votes, k) for votes in votes_P])) for k in powers_of_two(num_samples)
        },
        "format_rate": _share([response.extracted is not None for response in responses]),
        "truncated_share": _share([response.truncated for response in responses]),
        "unfinished_responses": dict(Counter(response.finish_reason for response in unfinished).most_common()),
        "unfinished_right": sum(response.status in ("correct", "unfinished") for response in unfinished),
        "undecided": _share([response.status == "undecided" for response in responses]),
        "length": float(np.mean(lengths)) if len(lengths) == len(responses) else None,
        "distinct_answers": float(np.mean([distinct_answers(votes) for votes in votes_P])),
        "distinct_solutions": _mean_solutions(samples_P),
        "distinct_correct_solutions": _mean_solutions(
            [[response for response in samples if response.status == "correct"] for samples in samples_P]
        ),
        "calibration": calibration(votes_P),
    }


def summarize_accuracy(responses: Sequence[Graded]) -> dict[str, Any]:
    """`accuracy.summarize` of all problems, with the mean length in tokens and the share of truncated samples."""
    return {
        **summarize(outcomes_by_problem(responses)),
        "length": float(np.mean([response.num_tokens for response in responses])),
        "truncated_share": _share([response.truncated for response in responses]),
    }


def summarize_solutions(
    responses: Sequence[Graded], rows: Sequence[Mapping[str, Any]], strategy_of: StrategyRule | None
) -> dict[str, Any]:
    """How many different correct solutions a problem has, and in which ways they are written.

    Args:
        rows: the problems, in the order of their first responses.
        strategy_of: see `StrategyRule`.

    Returns:
        "distinct_correct" with "distinct_correct_ci95": mean number per problem; "strategies", where there is a rule:
        name -> "share" with "ci95" of all samples that are correct in that way; these shares add up to pass@1.
    """
    correct_P = [
        [response.text for response in samples if response.status == "correct"]
        for samples in by_problem(responses).values()
    ]
    distinct_P = [distinct_solutions(texts) for texts in correct_P]
    numbers: dict[str, Any] = {
        "distinct_correct": float(np.mean(distinct_P)),
        "distinct_correct_ci95": list(bootstrap_interval(distinct_P)),
    }
    if strategy_of is not None:
        num_samples = len(responses) // len(correct_P)
        named_P = [
            Counter(strategy_of(row, text) or UNNAMED for text in texts)
            for row, texts in zip(rows, correct_P, strict=True)
        ]
        shares = {
            name: [named[name] / num_samples for named in named_P] for name in sorted({n for c in named_P for n in c})
        }
        numbers["strategies"] = {
            name: {"share": float(np.mean(share_P)), "ci95": list(bootstrap_interval(share_P))}
            for name, share_P in shares.items()
        }
    return numbers


def summarize_groups(
    responses: Sequence[Graded],
    groups: Mapping[str, Mapping[str, str]],
    summarize_members: Callable[[Sequence[Graded]], dict[str, Any]] = summarize_responses,
) -> dict[str, dict[str, dict[str, Any]]]:
    """The numbers of the problems of each value of each column: column -> value -> numbers.

    Args:
        groups: problem -> column -> value; a problem without a column belongs to none of its values.
    """
    return {
        column: {
            value: summarize_members([response for response in responses if response.problem in members])
            for value, members in values.items()
        }
        for column, values in members_by_group(groups).items()
    }


def members_by_group(groups: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, set[str]]]:
    """Column -> value -> its problems, values in alphabetical order.

    >>> members_by_group({"p": {"level": "2"}, "q": {"level": "1"}, "r": {}})
    {'level': {'1': {'q'}, '2': {'p'}}}
    """
    found: dict[str, dict[str, set[str]]] = {}
    for problem, values in groups.items():
        for column, value in values.items():
            found.setdefault(column, {}).setdefault(value, set()).add(problem)
    return {column: dict(sorted(values.items())) for column, values in found.items()}


def accuracy_matrix(runs: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """(seeds, problems): accuracies of several policies on the same problems, in the order of the first.

    Raises:
        ValueError: the policies were asked different problems.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.keys() != first.keys():
            raise ValueError(f"not the same problems: {len(first)} and {len(run)}, {len(first.keys() & run)} in both")
    return np.array([[run[problem] for problem in first] for run in runs])


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags)


def _mean_solutions(samples_P: Sequence[Sequence[Graded]]) -> float:
    return float(np.mean([distinct_solutions([response.text for response in samples]) for samples in samples_P]))
