"""Why a trajectory, a row or a prompt is not in the table, and the stage that says so."""

from __future__ import annotations

STAGES = ("parse", "normalise", "verify", "length", "duplicates", "decontaminate", "choose")
"""In the order in which every trajectory passes them."""

REASONS: dict[str, str] = {
    "bad teacher": "parse",
    "no text": "parse",
    "truncated": "parse",
    "no gold": "parse",
    "bad metadata": "parse",
    "unknown kind": "parse",
    "bad prompt": "parse",
    "bad text": "normalise",
    "unreadable gold": "verify",
    "wrong": "verify",
    "undecided": "verify",
    "conflicting gold": "verify",
    "too long": "length",
    "duplicate": "duplicates",
    "near duplicate": "duplicates",
    "contaminated": "decontaminate",
    "surplus": "choose",
}
"""Reason of a dropped trajectory -> stage. A trajectory is dropped once, by the first stage that objects."""

ROW_REASONS = ("broken row", "bad prompt")
"""Of source rows from which no trajectory, or no prompt, could be read."""

PROMPT_REASONS = ("no gold", "bad metadata", "unknown kind", "unreadable gold", "contaminated")
"""Of prompts that are not in the table although they were read."""
