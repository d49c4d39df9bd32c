"""Systems x benchmarks as text: plain for a terminal, Markdown, or LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oger.evaluation.statistics.intervals import Comparison, Estimate
from oger.words import choose

FORMATS = ("plain", "markdown", "latex")

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
            _marked(interval(comparison.mean(system, members)), form) if best[title] == system else
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


def render(grid: Sequence[Sequence[str]], form: str, *, turned: bool = False) -> str:
    """A grid whose first row and column are headings.

    Args:
        form: one of `FORMATS`.
        turned: rows become columns, which fits a terminal better where there are many columns.

    Raises:
        ValueError: an unknown format.
    """
    rows = [list(row) for row in zip(*grid, strict=True)] if turned else [list(row) for row in grid]
    return choose({"plain": _plain, "markdown": _markdown, "latex": _latex}, form, "format")(rows)


def _plain(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in
                  enumerate(zip(row, widths, strict=True))).rstrip()
        for row in rows
    ]  # fmt: skip
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _markdown(rows: list[list[str]]) -> str:
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _latex(rows: list[list[str]]) -> str:
    lines = [" & ".join(_escaped(cell) for cell in row) + r" \\" for row in rows]
    head = [rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}", r"\toprule", lines[0], r"\midrule"]
    return "\n".join([*head, *lines[1:], r"\bottomrule", r"\end{tabular}"])


_BOLD_LATEX = r"\textbf{"


def _escaped(cell: str) -> str:
    if cell.startswith(_BOLD_LATEX):
        return _BOLD_LATEX + _escaped(cell[len(_BOLD_LATEX) : -1]) + "}"
    cell = cell.replace("\\", r"\textbackslash ")
    for character in "%_&#$":
        cell = cell.replace(character, "\\" + character)
    return "{}" + cell if cell.startswith("[") else cell


def _marked(cell: str, form: str) -> str:
    return {"plain": f"{cell} *", "markdown": f"**{cell}**", "latex": f"{_BOLD_LATEX}{cell}}}"}[form]
