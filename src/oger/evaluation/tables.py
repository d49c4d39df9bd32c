"""What `oger evaluate --benchmarks` prints and writes into comparison.json: systems x benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from oger.endpoint.reply import UNSAID
from oger.evaluation.job import Policy, Result
from oger.evaluation.statistics.intervals import Accuracies, Comparison, Estimate
from oger.evaluation.summary import accuracy_by_problem, accuracy_matrix, members_by_group
from oger.io.whole import write_json
from oger.terminal.grid import bold, render
from oger.terminal.numbers import shown, with_interval
from oger.terminal.plain import say

Results = Mapping[tuple[str, int, str], Result]
"""(system, training seed, benchmark) -> result."""

_DETAILS = (
    ("pass@n", "pass", ".1%"),
    ("maj@n", "maj", ".1%"),
    ("answer found", "format_rate", ".1%"),
    ("cut", "truncated_share", ".1%"),
    ("undecided", "undecided", ".1%"),
    ("tokens", "length", ".0f"),
    ("answers", "distinct_answers", ".2f"),
    ("solutions", "distinct_solutions", ".2f"),
    ("right solutions", "distinct_correct_solutions", ".2f"),
    ("ECE", "ece", ".3f"),
)


def print_tables(
    results: Results,
    systems: Mapping[str, Sequence[Policy]],
    groups: Mapping[str, str],
    notes: list[str],
    out: Path,
    form: str,
    reference: str | None,
) -> None:
    """Means, differences, details, and by group where the problems have groups; also as OUT/comparison.json."""
    matrices = {
        system: {
            name: accuracy_matrix(
                [accuracy_by_problem(results[system, seed, name].responses) for seed in range(len(policies))]
            )
            for name in groups
        }
        for system, policies in systems.items()
    }
    comparison = Comparison(matrices)
    columns = columns_of(groups)
    samples = {name: result.job.num_samples for (_, _, name), result in results.items()}
    turned = form == "plain"
    say(render(main_grid(comparison, columns, samples, form), form, turned=turned))
    differences = difference_grid(comparison, columns, reference or next(iter(systems)))
    if differences is not None:
        say("\n" + render(differences, form, turned=turned))
    numbers = _numbers(comparison, columns, systems)
    by: dict[str, Any] = {}
    for name in groups:
        for column, values in _breakdowns(matrices, results, name).items():
            titles = {f"{value} ({matrix.shape[1]})": [value] for value, matrix in values[next(iter(systems))].items()}
            within = Comparison(values)
            grid = main_grid(within, titles, {}, form)
            grid[0][0] = f"{name} by {column}, % (problems)"
            say("\n" + render(grid, form, turned=turned))
            by.setdefault(name, {})[column] = _numbers(within, {value: [value] for value in within.benchmarks}, systems)
    details = [(_row_name(systems, key), key[2], result.summary) for key, result in results.items()]
    say("\n" + render(detail_grid(details), form))
    seeds = " and training seeds" if any(len(policies) > 1 for policies in systems.values()) else ""
    best = "; the best is marked where its paired difference to every other lies above 0" if len(systems) > 1 else ""
    notes = [f"[low, high]: 95 % bootstrap interval over problems{seeds}{best}", *notes, *_warnings(details)]
    comment = "% " if form == "latex" else ""
    say("\n" + "\n".join(comment + note for note in notes))
    write_json(out / "comparison.json", {**numbers, "by": by, "notes": notes})


def _breakdowns(matrices: Accuracies, results: Results, benchmark: str) -> dict[str, Accuracies]:
    """Column -> system -> value -> accuracies (seeds, problems of this value)."""
    result = next(result for (_, _, name), result in results.items() if name == benchmark)
    order = list(accuracy_by_problem(result.responses))  # as in the matrices
    members = members_by_group({problem.id: problem.groups for problem in result.job.problems})
    return {
        column: {
            system: {value: sets[benchmark][:, [name in own for name in order]] for value, own in values.items()}
            for system, sets in matrices.items()
        }
        for column, values in members.items()
    }


def _numbers(comparison: Comparison, columns: Mapping[str, list[str]], systems: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "mean": {s: {c: asdict(comparison.mean(s, m)) for c, m in columns.items()} for s in systems},
        "difference": {
            s: {r: {c: asdict(comparison.difference(s, r, m)) for c, m in columns.items()} for r in systems if r != s}
            for s in systems
        },
        "best": {column: comparison.best(members) for column, members in columns.items()},
    }


def _row_name(systems: Mapping[str, Sequence[Policy]], key: tuple[str, int, str]) -> str:
    system, seed, _ = key
    return system if len(systems[system]) == 1 else f"{system}: {systems[system][seed].label}"


def _warnings(details: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[str]:
    lines = []
    for system, benchmark, summary in details:
        if summary["unfinished_responses"]:
            lines.append(f"{system}, {benchmark}: {_unfinished_line(summary)}")
        if summary["undecided"] > 0:
            lines.append(f"{system}, {benchmark}: {summary['undecided']:.1%} undecided responses count as wrong")
    return lines


def _unfinished_line(summary: Mapping[str, Any]) -> str:
    """How many responses did not end by themselves, and what that does to the numbers."""
    reasons = {"no finish reason" if name == UNSAID else name: n for name, n in summary["unfinished_responses"].items()}
    of = f"{sum(reasons.values())} of {summary['problems'] * summary['samples']} responses"
    named = ", ".join(f"{name} {count}" for name, count in reasons.items())
    right = summary["unfinished_right"]
    if summary["unfinished"] == "graded":
        return f"{of} did not end by themselves ({named}); {right} of these count as correct by their text"
    hold = f", {right} of these although the text holds the right answer (see --unfinished)" if right else ""
    return f"{of} did not end by themselves ({named}) and count as wrong{hold}"


def columns_of(benchmarks: Mapping[str, str]) -> dict[str, list[str]]:
    """Columns of a table: every benchmark, and after each group of several an average over it.

    Args:
        benchmarks: benchmark -> group, "" for none.

    >>> columns_of({"aime24": "math", "amc": "math", "mine": ""})
    {'aime24': ['aime24'], 'amc': ['amc'], 'math avg': ['aime24', 'amc'], 'mine': ['mine']}
    """
    columns: dict[str, list[str]] = {}
    for group in dict.fromkeys(benchmarks.values()):
        members = [name for name, own in benchmarks.items() if own == group]
        columns |= {name: [name] for name in members}
        if group and len(members) > 1:
            columns[f"{group} avg"] = members
    return columns


def main_grid(
    comparison: Comparison, columns: Mapping[str, Sequence[str]], samples: Mapping[str, int], form: str
) -> list[list[str]]:
    """Rows of cells "31.8 [28.1, 35.4]" in percent; the best of a column is marked where the interval supports it."""
    best = {title: comparison.best(members) for title, members in columns.items()}
    titles = [f"{title} avg@{samples[title]}" if title in samples else title for title in columns]
    grid = [["%", *titles]]
    for system in comparison.systems:
        cells = {title: interval(comparison.mean(system, members)) for title, members in columns.items()}
        grid.append([system, *(bold(cell, form) if best[title] == system else cell for title, cell in cells.items())])
    return grid


def difference_grid(
    comparison: Comparison, columns: Mapping[str, Sequence[str]], reference: str
) -> list[list[str]] | None:
    """Paired differences to one system in points; None where there is no other."""
    others = [system for system in comparison.systems if system != reference]
    if not others:
        return None
    grid = [[f"minus {reference}, points", *columns]]
    for system in others:
        cells = [comparison.difference(system, reference, members) for members in columns.values()]
        grid.append([system, *(interval(cell, "+.1f") for cell in cells)])
    return grid


def detail_grid(details: Sequence[tuple[str, str, Mapping[str, Any]]]) -> list[list[str]]:
    """Rows of (system, benchmark, summary); a system of several seeds has a row per seed."""
    grid = [["", "benchmark", "problems", "n", *(title for title, _, _ in _DETAILS)]]
    for system, benchmark, summary in details:
        n = summary["samples"]
        numbers = {
            **summary,
            "pass": summary["pass@k"][str(n)],
            "maj": summary["maj@k"][str(n)],
            "ece": summary["calibration"]["ece"],
        }
        cells = [shown(numbers[key], form) for _, key, form in _DETAILS]
        grid.append([system, benchmark, str(summary["problems"]), str(n), *cells])
    return grid


def interval(estimate: Estimate | None, form: str = ".1f", factor: float = 100.0) -> str:
    """`with_interval` of an estimate; - where there is none."""
    return "-" if estimate is None else with_interval(estimate.value, (estimate.low, estimate.high), form, factor)
