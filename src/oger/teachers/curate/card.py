"""The card of a table: what it was made from, how, and what became of every trajectory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from oger.teachers.curate.counts import CurateReport, TeacherReport
from oger.teachers.curate.options import CurateOptions
from oger.teachers.curate.reasons import STAGES
from oger.teachers.table.output import TABLE_FILE
from oger.terminal.numbers import shown
from oger.terminal.plain import plain

CARD_JSON, CARD_MARKDOWN = "card.json", "card.md"

_PACKAGES = ("oger-rl", "duckdb", "math-verify", "pyarrow", "rapidfuzz", "reasoning-gym", "transformers")


def write_card(folder: Path, options: CurateOptions, report: CurateReport) -> None:
    """Write card.json and card.md beside the table. No times and no machine: equal tables have equal cards."""
    card = {
        "options": options.stated(),
        "sources": [asdict(source) for source in options.sources],
        "report": as_json(report),
        "table": {"file": TABLE_FILE, "sha256": _sha256(folder / TABLE_FILE)},
        "packages": {name: version(name) for name in _PACKAGES},
    }
    (folder / CARD_JSON).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / CARD_MARKDOWN).write_text(_markdown(card, report), encoding="utf-8")


def as_json(report: CurateReport) -> dict[str, Any]:
    """The report ready for JSON, with the stages of every teacher."""
    plain = asdict(report)
    for name, teacher in report.teachers.items():
        plain["teachers"][name]["stages"] = {
            stage: {"in": before, "out": after} for stage, (before, after) in teacher.stages().items()
        }
    return plain


def teacher_cells(name: str, teacher: TeacherReport) -> tuple[str, ...]:
    """One line of the table of teachers, under TEACHER_COLUMNS."""
    accuracy = "-" if teacher.accuracy is None else f"{100 * teacher.accuracy:.2f} %"
    tokens = (shown(tokens, ",.1f") for tokens in (teacher.mean_tokens_correct, teacher.mean_tokens_kept))
    return (name, f"{teacher.seen:,}", f"{teacher.kept:,}", *tokens, accuracy, counts_line(teacher.dropped))


TEACHER_COLUMNS = ("teacher", "in", "kept", "mean tokens, correct", "mean tokens, kept", "accuracy", "dropped")


def counts_line(counts: Mapping[Any, int]) -> str:
    """ "3 duplicate, 1 wrong"."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def teachers_line(report: CurateReport) -> str:
    """ "2 with 0, 5 with 1 teachers"."""
    return ", ".join(f"{count:,} with {number}" for number, count in report.prompts_by_teachers.items()) or "none"


def _overruled(report: CurateReport) -> str:
    overruled = sum(teacher.verdicts.get("overruled", 0) for teacher in report.teachers.values())
    decided = sum(
        teacher.verdicts.get(status, 0) for teacher in report.teachers.values() for status in ("correct", "wrong")
    )
    share = f" ({100 * overruled / decided:.2f} %)" if decided else ""
    return f"The second check overruled math-verify on {overruled:,} of {decided:,} verdicts{share}."


def _markdown(card: Mapping[str, Any], report: CurateReport) -> str:
    options = "\n".join(f"- {name}: {json.dumps(value, ensure_ascii=False)}" for name, value in card["options"].items())
    sources = [
        (s["name"], s["layout"], s["path"], f"{report.rows.get(s['name'], 0):,}",
         f"{report.rows_without_trajectory.get(s['name'], 0):,}")
        for s in card["sources"]
    ]  # fmt: skip
    flows = [
        (name, *(f"{before:,} -> {after:,}" for before, after in teacher.stages().values()))
        for name, teacher in report.teachers.items()
    ]
    claims = [(name, counts_line(teacher.claims)) for name, teacher in report.teachers.items() if teacher.claims]
    parts = [
        "# Teachers table",
        f"{report.prompts_kept:,} prompts, {sum(t.kept for t in report.teachers.values()):,} verified trajectories. "
        f"Prompts by number of teachers: {teachers_line(report)}.",
        _table(TEACHER_COLUMNS, [teacher_cells(*item) for item in report.teachers.items()]),
        "Accuracy: correct among those that the verifier decided. " + _overruled(report),
        "## Stages",
        _table(("teacher", *STAGES), flows),
        "## Sources",
        _table(("name", "layout", "path", "rows", "rows without trajectory"), sources),
        f"Source rows set aside: {counts_line(report.rejected_rows)}. "
        f"Prompts: {report.prompts_seen:,} seen, dropped: {counts_line(report.rejected_prompts)}.",
        "## Options",
        options,
    ]
    if claims:
        parts[4:4] = ["What the sources claimed, and what was found (claim/verdict):", _table(("teacher", ""), claims)]
    packages = ", ".join(f"{name} {number}" for name, number in card["packages"].items())
    parts.append(f"SHA-256 of {card['table']['file']}: `{card['table']['sha256']}`. Made with {packages}.")
    return "\n\n".join(parts) + "\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    """A text that stays in its cell: names come from the data."""
    return plain(text).replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
