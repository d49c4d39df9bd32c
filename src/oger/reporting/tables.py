"""What a run shows: one rollout group, accuracy before and after, and one problem solved by teacher, before and after.

All fit a terminal of 80 columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from oger.recipes.methods import Method
from oger.reporting.prompts import readable_prompt
from oger.terminal.console import plain_table
from oger.terminal.plain import ends

Summary = Mapping[str, Any]
"""One entry of summary.json: "pass@1", "ci95", "pass@8" and, where known, "undecided"."""

SET_TITLES = {"id": "in distribution", "ood": "out of distribution"}

_PREVIEW_COLUMNS = (
    ("R", "outcome"),
    ("D", "divergence"),
    ("Hlast", "entropy_last"),
    ("Hmean", "entropy_mean"),
    ("c", "confidence"),
    ("bonus", "bonus"),
    ("reward", "reward"),
    ("adv.", "advantage"),
)
_PREVIEW_LEGEND = (
    "R outcome, D divergence from the teachers, H entropy in nats, c confidence, bonus weighted shaping rewards "
    "(OGER: lambda D c R), reward R + bonus, adv. reward relative to the group, + cut by the length limit."
)
_PREVIEW_CHARACTERS = 240
_ROW_STYLES = {"teacher": "cyan", "replaced": "dim"}


def methods_table(methods: Iterable[Method]) -> Table:
    """One line for each method."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", no_wrap=True)
    table.add_column("what it does", no_wrap=True)
    for method in methods:
        table.add_row(method.name, method.line)
    table.caption = "oger methods NAME: equation, source, deviations, options"
    return table


def comparison_table(before: Mapping[str, Summary], after: Mapping[str, Summary]) -> Table:
    """Before and after side by side, one row per test set; names as in summary.json ("id", "ood", ...).

    Bold marks a change whose 95 % intervals do not overlap.
    """
    columns = ("test set", "pass@1\nbefore", "pass@1\nafter", "pass@8\nbefore", "pass@8\nafter")
    table = plain_table("Problems solved, % [95 % bootstrap interval over problems]", *columns)
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        table.add_row(
            Text(SET_TITLES.get(name, name)),
            Text(accuracy_cell(old)),
            Text(accuracy_cell(new), style="bold" if old and new and _apart(old, new) else ""),
            _percent(old, "pass@8"),
            _percent(new, "pass@8"),
        )
    return table


def summary_table(summaries: Mapping[str, Summary], *, title: str) -> Table:
    """One evaluation, one row per test set or family."""
    columns = ("set", "pass@1", "pass@8", "problems\nx tries", "unde-\ncided", "cut", "mean\nlength")
    table = plain_table(f"{title}: problems solved, % [95 % bootstrap interval over problems]", *columns)
    for name, numbers in summaries.items():
        table.add_row(
            Text(SET_TITLES.get(name, name)),
            Text(accuracy_cell(numbers)),
            _percent(numbers, "pass@8"),
            f"{numbers.get('problems', '-')} x {numbers.get('samples', '-')}",
            _percent(numbers, "undecided"),
            _percent(numbers, "truncated_share"),
            _number(numbers, "length", "{:.1f}"),
        )
    return table


def preview_table(rows: Sequence[Mapping[str, Any]], why_replaced: str) -> RenderableType:
    """One rollout group, as rows of `oger.runs.rollouts.SCHEMA`: its numbers, then its texts.

    A long text is shown by its two ends. `why_replaced` says why a row gave way to a teacher.
    """
    if not rows:
        raise ValueError("a group without rows has nothing to show")
    table = plain_table("")
    table.add_column("row", justify="right", no_wrap=True)
    table.add_column("origin", overflow="fold")
    for title, _ in _PREVIEW_COLUMNS:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    texts = []
    for row in rows:
        origin = f"{row['origin']} {row['teacher']}" if row.get("teacher") else str(row["origin"])
        style = _ROW_STYLES.get(row["origin"], "")
        numbers = (_number(row, name, "{:.2f}") for _, name in _PREVIEW_COLUMNS)
        length = f"{row['num_tokens']}{'+' if row['truncated'] else ''}"
        table.add_row(str(row["row"]), Text(origin), *numbers, length, style=style)
        texts.append(
            Text.assemble((f"{row['row']} {origin}: ", "bold"), ends(row["text"], _PREVIEW_CHARACTERS), style=style)
        )
    for row in rows:
        if row["origin"] == "replaced":
            reason = f"\nRow {row['row']} gave way to a teacher and is not trained on: {why_replaced}."
            texts.append(Text(reason, style=_ROW_STYLES["replaced"]))
    heading = Text.assemble(("One group of  ", "bold"), readable_prompt(rows[0]["prompt"]).strip())
    return Group(heading, table, *texts, Text(f"\n{_PREVIEW_LEGEND}", style="dim"))


def alternatives_table(alternatives: Sequence[Any]) -> RenderableType:
    """Rows of `training/scores/alternatives.py`: OGER's bonus of each row of the group, one line per option."""
    rows = map(str, range(len(alternatives[0].bonus)))
    table = plain_table("D c R of the same group under other options, one changed at a time", "option", *rows)
    for alternative in alternatives:
        cells = ["-" if value is None else f"{value:.2f}" for value in alternative.bonus]
        cells[alternative.most_teacher_like] += "*"
        table.add_row(alternative.option, *cells, style="bold" if alternative is alternatives[0] else "")
    return Group(table, Text("- a teacher row, * the most teacher-like row (smallest D)", style="dim"))


def sample_panel(problem: str, *, teacher: str | None, before: str, after: str) -> Panel:
    """One problem and three solutions: a teacher's (None = the problem has no teacher), before, after."""
    parts = [Text(problem.strip(), style="bold")]
    for title, text in (("teacher", teacher), ("before", before), ("after", after)):
        parts.append(Text(f"\n{title}", style="cyan"))
        parts.append(Text("(none)" if text is None else text.strip() or "(empty)"))
    return Panel(Group(*parts), title="One problem, three solutions", title_align="left")


def accuracy_cell(summary: Summary | None) -> str:
    """ "31.2 [28.1, 34.4]" in percent, or "-" without a summary."""
    if not summary:
        return "-"
    interval = summary.get("ci95")
    bounds = f" [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]" if interval else ""
    return _percent(summary, "pass@1") + bounds


def _percent(summary: Summary | None, name: str) -> str:
    value = summary.get(name) if summary else None
    return "-" if value is None else f"{100 * value:.1f}"


def _number(summary: Summary | None, name: str, form: str) -> str:
    value = summary.get(name) if summary else None
    return "-" if value is None else form.format(value)


def _apart(old: Summary, new: Summary) -> bool:
    """Whether the two 95 % intervals do not overlap."""
    first, second = old.get("ci95"), new.get("ci95")
    return bool(first and second and (first[1] < second[0] or second[1] < first[0]))
