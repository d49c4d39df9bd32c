"""New verdicts on stored responses, without drawing any, and what changed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oger.evaluation.grading import settled, verdicts
from oger.evaluation.job import UNFINISHED
from oger.evaluation.store import (
    SETTINGS,
    SUMMARY,
    TABLE,
    ResponseStore,
    StoreError,
    graded_row,
    read_json,
    read_table,
)
from oger.evaluation.summary import summarize_groups, summarize_responses
from oger.io.whole import write_json
from oger.verification.formats import extract_answer
from oger.verification.kinds import check_kinds_of_rows
from oger.words import choose

_HEAD = ("policy", "rules", "unfinished", "settings")


@dataclass(frozen=True)
class Regraded:
    """One folder of responses before and after new verdicts: rows of responses.parquet."""

    before: Sequence[Mapping[str, Any]]
    after: Sequence[Mapping[str, Any]]

    @property
    def changes(self) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """Before and after of each response whose status changed."""
        pairs = zip(self.before, self.after, strict=True)
        return [(old, new) for old, new in pairs if old["status"] != new["status"]]


def folders_of(out: Path) -> list[Path]:
    """The folders below `out` (or `out` itself) that hold graded responses.

    Raises:
        StoreError: there is none.
    """
    folders = sorted(path.parent for path in out.rglob(TABLE)) if out.is_dir() else []
    if not folders:
        raise StoreError(f"{out} holds no graded responses ({TABLE}): finish the evaluation first")
    return folders


def regrade(
    folder: Path, rules: Sequence[str] | None = None, kinds: Collection[str] = (), unfinished: str | None = None
) -> Regraded:
    """Verify every graded response of a folder again and store the new verdicts.

    Args:
        rules: where the answer stands; None = as each response was graded before.
        kinds: kinds of the user's own that the stored responses may name.
        unfinished: one of `job.UNFINISHED`; None = as before.

    Raises:
        StoreError: the folder is in use or damaged. ValueError: an unknown rule or kind.
    """
    if rules is not None:
        extract_answer("", rules)
    if unfinished is not None:
        choose(UNFINISHED, unfinished, "word for --unfinished")
    settings = read_json(folder / SETTINGS)
    if settings is None:
        raise StoreError(f"{folder} has no {SETTINGS}: it is no folder of responses")
    with ResponseStore(folder, settings) as store:
        old = [dict(response.graded or {}) for response in read_table(folder)]
        check_kinds_of_rows({row["kind"] for row in old}, kinds)
        renamed = [{**row, "rules": ",".join(rules)} if rules is not None else row for row in old]
        summary = read_json(folder / SUMMARY) or {}
        ending = unfinished or summary.get("unfinished", "wrong")
        new = [settled({**row, **verdict}, ending) for row, verdict in zip(renamed, verdicts(renamed), strict=True)]
        store.close_table(new)
    _renew_summary(folder, summary, new, rules, ending)
    return Regraded(old, new)


def _renew_summary(
    folder: Path,
    before: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    rules: Sequence[str] | None,
    unfinished: str,
) -> None:
    """The numbers again, over all stored problems and as many samples as each of them has."""
    samples = min(Counter(row["problem"] for row in rows).values())
    kept = [graded_row(row, unfinished) for row in rows if row["sample"] < samples]
    groups = {row["problem"]: json.loads(row["groups"]) for row in rows}
    said = {"unfinished": unfinished} if rules is None else {"unfinished": unfinished, "rules": list(rules)}
    head = {name: value for name, value in {**before, **said}.items() if name in _HEAD}
    write_json(folder / SUMMARY, {**head, **summarize_responses(kept), "by": summarize_groups(kept, groups)})
