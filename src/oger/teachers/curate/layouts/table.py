"""Our own table, and rows of its form, such as an embedded world's: so that tables can be merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oger.teachers.curate.layouts.layout import Layout, listed, mapping
from oger.teachers.curate.layouts.plain import claimed
from oger.teachers.curate.records import Draft, Entry


class TableLayout(Layout):
    """prompt, answer, kind, metadata and teachers[] {teacher, text, verdict, source}.

    The stored verdicts are claims: they are verified again, unless claims are trusted.
    """

    required = ("prompt", "answer", "kind", "teachers")
    optional = ("metadata",)

    def parse(self, row: Mapping[str, Any]) -> Entry:
        drafts = []
        for value in listed(row["teachers"], "teachers"):
            cell = {"text": value} if isinstance(value, str) else mapping(value, "an entry of teachers")
            source = cell.get("source")
            drafts.append(
                Draft(
                    cell.get("text"),
                    teacher=cell.get("teacher"),
                    claim=claimed(cell.get("verdict")),
                    note=source if isinstance(source, str) else "",
                )
            )
        return Entry(row["prompt"], row["answer"], row["kind"], row["metadata"], tuple(drafts))
