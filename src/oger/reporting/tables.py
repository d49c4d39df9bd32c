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

from oger.evaluation.summary import UNNAMED
from oger.recipes.methods import Method
from oger.reporting.prompts import readable_prompt
from oger.runs.card import SET_TITLES
from oger.terminal.console import plain_table
from oger.terminal.numbers import shown, with_interval
from oger.terminal.plain import ends

Summary = Mapping[str, Any]
"""One entry of summary.json: "pass@1", "ci95", "pass@8" and, where known, "undecided"."""

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
    """Before and after side by side, some rows for each test set; names as in summary.json ("id", "ood", ...).

    Bold marks a change whose 95 % intervals do not overlap.
    """
    table = plain_table("Problems solved, % [95 % bootstrap interval over problems]", "", "before", "after")
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name, {}), after.get(name, {})
        if table.row_count:
            table.add_section()
        table.add_row(Text(SET_TITLES.get(name, name), style="cyan"))
        ways = dict.fromkeys((*old.get("strategies", ()), *new.get("strategies", ())))
        rows = [
            ("pass@1", "pass@1", "ci95", 100.0),
            *((f"pass@{k}", f"pass@{k}", f"pass@{k}_ci95", 100.0) for k in (8, 32)),
            ("different correct solutions", "distinct_correct", "distinct_correct_ci95", 1.0),
        ]
        for title, key, interval, scale in rows:
            if old.get(key) is not None or new.get(key) is not None:
                _add_change(table, title, [(s.get(key), s.get(interval)) for s in (old, new)], scale)
        for way in ways:
            found = [s.get("strategies", {}).get(way, {}) for s in (old, new)]
            title = "  pass@1 in no named way" if way == UNNAMED else f"  pass@1 in the way {way}"
            _add_change(table, title, [(entry.get("share"), entry.get("ci95")) for entry in found], 100.0)
    return table


def _add_change(table: Table, title: str, found: Sequence[tuple[Any, Any]], factor: float) -> None:
    """A row of two numbers, each with its interval."""
    old, new = (interval for _, interval in found)
    apart = bool(old and new and (old[1] < new[0] or new[1] < old[0]))
    before, after = (with_interval(*number, factor=factor) for number in found)
    table.add_row(Text(title), before, Text(after, style="bold" if apart else ""))


def summary_table(summaries: Mapping[str, Summary], *, title: str) -> Table:
    """One evaluation, one row per test set or family."""
    columns = ("set", "pass@1", "pass@8", "problems\nx tries", "unde-\ncided", "cut", "mean\nlength")
    table = plain_table(f"{title}: problems solved, % [95 % bootstrap interval over problems]", *columns)
    for name, numbers in summaries.items():
        table.add_row(
            Text(SET_TITLES.get(name, name)),
            Text(with_interval(numbers.get("pass@1"), numbers.get("ci95"))),
            shown(numbers.get("pass@8"), factor=100),
            f"{numbers.get('problems', '-')} x {numbers.get('samples', '-')}",
            shown(numbers.get("undecided"), factor=100),
            shown(numbers.get("truncated_share"), factor=100),
            shown(numbers.get("length")),
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
        numbers = (shown(row.get(name), ".2f") for _, name in _PREVIEW_COLUMNS)
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


def sample_panel(problem: str, *, teacher: str | None, before: str, after: Sequence[str]) -> Panel:
    """One problem and its solutions: a teacher's (None = the problem has no teacher), before, and one or more after."""
    parts = [Text(problem.strip(), style="bold")]
    title = "after" if len(after) == 1 else f"after: {len(after)} different correct solutions"
    for head, texts in (("teacher", [teacher]), ("before", [before]), (title, after)):
        parts.append(Text(f"\n{head}", style="cyan"))
        parts += [Text("(none)" if text is None else text.strip() or "(empty)") for text in texts]
    return Panel(Group(*parts), title="One problem, solved", title_align="left")
