"""Rows of one's own: one trajectory per row in the column `text`, or several in a list column `generations`.

The default columns are those that `oger teachers collect` writes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oger.endpoint.reply import ended
from oger.teachers.curate.layouts.layout import Layout, listed
from oger.teachers.curate.records import BadRowError, Draft, Entry

_CLAIMS: Mapping[Any, bool] = {"correct": True, "wrong": False, 1: True, 0: False}


class PlainLayout(Layout):
    """prompt, answer and text; the other columns where a source has them.

    `generations` (texts, or mappings with the fields text, teacher, finish_reason, truncated, correct) takes the place
    of `text`. A finish reason that is no natural end (`oger.endpoint.reply.ended`), or `truncated`, marks a cut answer.
    `correct` is the source's own verdict.
    """

    required = ("prompt", "answer")
    optional = (
        "text",
        "generations",
        "kind",
        "metadata",
        "teacher",
        "finish_reason",
        "truncated",
        "correct",
        "source",
    )
    one_of = ("text", "generations")

    def parse(self, row: Mapping[str, Any]) -> Entry:
        if row["generations"] is None:
            drafts = [self._draft(row, row)]
        else:
            drafts = [
                self._draft(cell if isinstance(cell, Mapping) else {"text": cell}, row)
                for cell in listed(row["generations"], "generations")
            ]
        return Entry(row["prompt"], row["answer"], row["kind"], row["metadata"], tuple(drafts))

    def _draft(self, cell: Mapping[str, Any], row: Mapping[str, Any]) -> Draft:
        source, reason = cell.get("source"), cell.get("finish_reason")
        return Draft(
            cell.get("text"),
            teacher=cell.get("teacher") if cell.get("teacher") is not None else row["teacher"],
            truncated=(isinstance(reason, str) and not ended(reason)) or cell.get("truncated") is True,
            claim=claimed(cell.get("correct")),
            note=source if isinstance(source, str) else "",
        )


def claimed(value: Any) -> bool | None:
    """A source's own verdict as true, false or None (none, or "undecided").

    Raises:
        BadRowError: the value is no verdict.
    """
    if value is None or value == "undecided":
        return None
    try:
        return _CLAIMS[value]
    except (KeyError, TypeError):
        raise BadRowError(f"{value!r} is not a verdict") from None
