"""The groups that the page lets one read: a sample of the stored ones, long texts cut in the middle and saying so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from oger.reporting.prompts import question, readable_prompt
from oger.reporting.report.run_folder import RunFolder
from oger.reporting.report.stored import GroupKey, Rows, load_groups, sample_groups

TEXT_BUDGET = 2_000_000
"""Bytes of all texts of a page, so that it stays under 5 MB; the texts of larger groups are cut shorter."""
LONGEST_TEXT = 8_000
"""Bytes of one text."""
SHORTEST_TEXT = 200
_LONGEST_TITLE = 400

_FACTORS = ("outcome", "divergence", "entropy_last", "entropy_mean", "confidence", "bonus", "reward", "advantage")


def browser_groups(run: RunFolder, groups: Sequence[GroupKey], *, count: int, budget: int) -> list[dict[str, Any]]:
    """At most `count` groups whose texts take at most about `budget` bytes together."""
    loaded = list(load_groups(run, sample_groups(groups, count)))
    texts = sum(len(rows) + 1 for _, rows in loaded) or 1
    longest = max(min(budget // texts, LONGEST_TEXT), SHORTEST_TEXT)
    return [_group(key, rows, longest) for key, rows in loaded]


def cut_middle(text: str, longest: int) -> tuple[str, int]:
    """The text, with its middle left out where it takes more than about `longest` bytes in the page.

    Returns:
        The text, and how many characters were left out.

    >>> cut_middle("abcdefghij", 4)
    ('ab … ij', 6)
    """
    size = len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")) - 2
    size += 5 * text.count("<")  # written as an escape of six bytes
    if size <= longest:
        return text, 0
    kept = max(int(len(text) * longest / size), 2)
    head = (kept + 1) // 2
    return f"{text[:head]} … {text[len(text) - (kept - head) :]}", len(text) - kept


def _group(key: GroupKey, rows: Rows, longest: int) -> dict[str, Any]:
    prompt, prompt_cut = cut_middle(readable_prompt(rows[0]["prompt"]), longest)
    return {
        "step": key.step,
        "group": key.group,
        "title": cut_middle(question(rows[0]["prompt"]), _LONGEST_TITLE)[0],
        "prompt": prompt,
        "prompt_cut": prompt_cut,
        "rows": [_row(row, longest) for row in rows],
    }


def _row(row: Mapping[str, Any], longest: int) -> dict[str, Any]:
    text, cut = cut_middle(row["text"], longest)
    return {
        "row": row["row"],
        "origin": row["origin"],
        "teacher": row["teacher"],
        "text": text,
        "cut": cut,
        "tokens": row["num_tokens"],
        "truncated": row["truncated"],
        "shaping": dict(row["shaping"]) if row["shaping"] else None,
        **{name: row[name] for name in _FACTORS},
    }
