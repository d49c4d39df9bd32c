"""Systems x benchmarks as grids of cells, for `oger.terminal.grid`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oger.evaluation.statistics.intervals import Comparison, Estimate
from oger.terminal.grid import bold

_DETAILS = (
    ("pass@n", "pass", "{:.1%}"),
    ("maj@n", "maj", "{:.1%}"),
    ("answer found", "format_rate", "{:.1%}"),
    ("cut", "truncated_share", "{:.1%}"),
    ("undecided", "undecided", "{:.1%}"),
    ("tokens", "length", "{:.0f}"),
    ("answers", "distinct_answers", "{:.2f}"),
    ("solutions", "distinct_solutions", "{:.2f}"),
    ("right solutions", "distinct_correct_solutions", "{:.2f}"),
    ("ECE", "ece", "{:.3f}"),
)


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
        cells = [
            bold(interval(comparison.mean(system, members)), form) if best[title] == system else
            interval(comparison.mean(system, members))
            for title, members in columns.items()
        ]  # fmt: skip
        grid.append([system, *cells])
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
        grid.append([system, *(interval(cell, signed=True) for cell in cells)])
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
        cells = ["-" if numbers[key] is None else form.format(numbers[key]) for _, key, form in _DETAILS]
        grid.append([system, benchmark, str(summary["problems"]), str(n), *cells])
    return grid


def interval(estimate: Estimate, *, signed: bool = False) -> str:
    """A number in percent or points with its interval.

    >>> interval(Estimate(0.318, 0.281, 0.3544)), interval(Estimate(0.021, -0.003, 0.045), signed=True)
    ('31.8 [28.1, 35.4]', '+2.1 [-0.3, +4.5]')
    """
    sign = "+" if signed else ""
    value, low, high = (100 * number for number in (estimate.value, estimate.low, estimate.high))
    return f"{value:{sign}.1f} [{low:{sign}.1f}, {high:{sign}.1f}]"
