"""Gold answers as data sets hold them, texts or numbers, as the text that a grader reads: one reading everywhere."""

from __future__ import annotations

import numbers
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

ANSWER = "answer"
_MOST_DIGITS = 400  # of a number written out; more than a float can have
_SHOWN = 60


class AnswerError(ValueError):
    """A gold answer that is no text and no number; the message says what it is."""


def answer_text(value: Any) -> str:
    """A gold answer as text: texts stay as they are, and several answers are one with commas.

    Args:
        value: a text, a number (int, float, bool, Decimal, Fraction, NumPy's) or a list of these.

    Raises:
        AnswerError: nothing, a number that is not finite, or anything else.

    >>> [answer_text(value) for value in ("x + 1", 72, 142.0, 1e-05, True, Decimal("2.50"), ["3", 4])]
    ['x + 1', '72', '142', '0.00001', 'True', '2.5', '3, 4']
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or _is_numpy_bool(value):
        return str(bool(value))
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, numbers.Real | Decimal):
        return _number(value)
    if isinstance(value, list | tuple) and value:
        return ", ".join(answer_text(entry) for entry in value)
    what = "is missing" if value is None else f"is {type(value).__name__} ({str(value)[:_SHOWN]!r}), no text or number"
    raise AnswerError(f"the answer {what}")


def answer_texts(values: Iterable[Any], source: str) -> list[str]:
    """`answer_text` of a whole column.

    Raises:
        AnswerError: names the source and the row, which counts from 0.
    """
    texts = []
    for index, value in enumerate(values):
        try:
            texts.append(answer_text(value))
        except AnswerError as error:
            raise AnswerError(f"{source}, row {index}: {error}") from None
    return texts


def readable_rows(rows: Sequence[Mapping[str, Any]], columns: Collection[str], source: str) -> list[dict[str, Any]]:
    """The rows, all of which hold something in these columns; gold answers, where they are one of them, as text.

    Raises:
        ValueError: a row lacks a column, or holds nothing or no answer in it; names source, row and the likely column.
    """
    for index, row in enumerate(rows):
        for column in sorted(columns):
            if row.get(column) is not None:
                continue
            if column in row:
                raise ValueError(f"{source}, row {index}: {column!r} is empty")
            names = sorted(map(str, row))
            near = get_close_matches(column, names, n=1, cutoff=0.6)
            hint = f"rename {near[0]!r} to {column!r}" if near else f"it has {', '.join(names)}"
            raise ValueError(f"{source}, row {index} has no column {column!r}; {hint}")
    if ANSWER not in columns:
        return [dict(row) for row in rows]
    texts = answer_texts((row[ANSWER] for row in rows), source)
    return [{**row, ANSWER: text} for row, text in zip(rows, texts, strict=True)]


def _is_numpy_bool(value: Any) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ in ("bool", "bool_")


def _number(value: Any) -> str:
    """Digits without an exponent, and without zeros behind the point; NumPy's own digits, which are its float's."""
    found = Decimal(str(value))
    if not found.is_finite() or abs(found.adjusted()) > _MOST_DIGITS:
        raise AnswerError(f"the answer is the number {value}, which cannot be verified")
    text = format(found, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
