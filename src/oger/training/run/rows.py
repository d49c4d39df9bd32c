"""The rows of a run as its rewards read them, and what can be said of them: no library is loaded for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oger.io.answers import readable_rows
from oger.io.rows import load_rows
from oger.plugins import load_plugin
from oger.recipes.recipe import Recipe
from oger.teachers.table.schema import TEACHERS
from oger.verification.formats import extract_answer
from oger.verification.rewards import accuracy_with, format_reward
from oger.verification.self_test import gold_line, probe_rows

REWARD_GROUP = "oger.rewards"
"""Entry points of outcome and other TRL reward functions, besides "accuracy" and "format"."""

WARNING = "warning: "
"""Begins a note about what is probably a mistake."""

_TEXTS_LOOKED_AT = 1000  # by the answer rules before a run; twice as many at most

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class RunData:
    """The rows of a run, as they were read."""

    train: Rows
    validation: Rows | None
    """None = no validation."""


def read_data(recipe: Recipe) -> RunData:
    """Raises ValueError as `checked_rows` does."""
    train = checked_rows(recipe, recipe.train)
    if not recipe.validation:
        return RunData(train, None)
    return RunData(train, checked_rows(recipe, recipe.validation, recipe.validation_limit))


def look_at_answers(recipe: Recipe, rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Lines about the gold answers and the teachers' answers, where OGER's own reward reads them.

    Raises:
        ValueError: answers that could not be graded.
    """
    if "accuracy" not in recipe.rewards:
        return ()
    lines = (gold_line(rows), teacher_line(rows, recipe.answer_rules))
    probe_rows(rows, rules=recipe.answer_rules, timeout_s=recipe.verify_timeout, kinds=recipe.kinds)
    return tuple(f"{recipe.train}: {line}" for line in lines if line is not None)


def teacher_line(rows: Sequence[Mapping[str, Any]], rules: Sequence[str]) -> str | None:
    """In how many teacher texts the answer rules find an answer; None where there are no texts.

    Args:
        rows: of a source, whose teachers are not checked yet.
        rules: of the run.
    """
    entries = [entry for row in rows if isinstance(row.get(TEACHERS), list) for entry in row[TEACHERS]]
    every = range(0, len(entries), max(len(entries) // _TEXTS_LOOKED_AT, 1))
    texts = [text for text in (_text(entries[index]) for index in every) if isinstance(text, str)]
    if not texts:
        return None
    passed = sum(extract_answer(text, rules) is not None for text in texts)
    if passed:
        return f"teachers: {passed} of {len(texts)} texts looked at pass the answer rule {' > '.join(rules)}"
    return (
        f"{WARNING}no teacher text passes the answer rule {' > '.join(rules)} ({len(texts)} looked at), so a policy "
        "that writes as they do gets outcome 0: set answer_rules to where the texts state their answers"
    )


def _text(entry: Any) -> Any:
    return entry.get("text") if isinstance(entry, Mapping) else entry


def checked_rows(recipe: Recipe, source: str, limit: int | None = None) -> Rows:
    """Rows of a source that the recipe's rewards can read.

    Raises:
        ValueError: if a row lacks a column, or holds nothing or something unreadable in it; names the row.
    """
    needed = [getattr(function, "needed_columns", ()) for function in reward_functions(recipe)]
    columns = {"prompt", *(column for names in needed for column in names)}
    rows = readable_rows(load_rows(source, limit), columns, source)
    for index, row in enumerate(rows):
        if not isinstance(row["prompt"], str | list):
            raise ValueError(f"{source}, row {index}: prompt must be a text or a list of messages: {row['prompt']!r}")
    return rows


def reward_functions(recipe: Recipe) -> list[Callable[..., Any]]:
    """The recipe's reward functions, in order.

    Raises:
        ValueError: if one is not there.
    """
    shipped: Mapping[str, Callable[..., Any]] = {
        "accuracy": accuracy_with(
            recipe.answer_rules, timeout_s=recipe.verify_timeout, name="accuracy_reward", kinds=recipe.kinds
        ),
        "format": format_reward,
    }
    return [load_plugin(name, table=shipped, group=REWARD_GROUP, what="reward") for name in recipe.rewards]
