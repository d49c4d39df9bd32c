"""Which training prompts an evaluation set holds too: word n-grams in common, as Brown et al. 2020 (appendix C) do.

Words are runs without white space, in Unicode's form KC, case folded, without punctuation at their ends (a formula
without spaces stays one word, signs and all). A prompt shorter than n words has no n-gram: it is compared whole.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from oger.io.rows import load_rows
from oger.teachers.curate.clean import clean_prompt
from oger.teachers.curate.records import BadRowError
from oger.teachers.table.schema import Prompt, messages_of

_ENDS = ".,;:?!\"'()[]{}"
_PROMPT_COLUMNS = ("prompt", "problem", "question")


@dataclass
class EvaluationPrompts:
    """An index of the prompts of evaluation sets."""

    ngram: int
    """Words that may not occur in a row in both."""
    _grams: dict[str, str] = field(default_factory=dict)
    _short: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, prompts: Iterable[Prompt]) -> None:
        """Index the prompts of one set."""
        for prompt in prompts:
            words = _words(prompt)
            if len(words) < self.ngram:
                self._short.setdefault(" ".join(words), name)
            for gram in _grams(words, self.ngram):
                self._grams.setdefault(gram, name)

    def holds(self, prompt: Prompt) -> str | None:
        """Name of the set that has the prompt, or part of it; None = no set has."""
        words = _words(prompt)
        if len(words) < self.ngram:
            return self._short.get(" ".join(words))
        return next((self._grams[gram] for gram in _grams(words, self.ngram) if gram in self._grams), None)


def load_evaluation_prompts(sources: Iterable[str], ngram: int) -> EvaluationPrompts:
    """Index evaluation sets, named as recipes name their data; the column is prompt, problem or question.

    Raises:
        ValueError: a set that cannot be read, or without such a column.
    """
    index = EvaluationPrompts(ngram)
    for source in sources:
        rows = load_rows(source)
        index.add(source, [_prompt(row, source, number) for number, row in enumerate(rows)])
    return index


def _prompt(row: Mapping[str, Any], source: str, number: int) -> Prompt:
    column = next((column for column in _PROMPT_COLUMNS if row.get(column)), None)
    if column is None:
        raise ValueError(f"{source}: an evaluation row has none of the columns {', '.join(_PROMPT_COLUMNS)}")
    try:
        return clean_prompt(row[column])
    except BadRowError as error:
        raise ValueError(f"{source}, row {number}, {column!r}: {error}") from error


def _words(prompt: Prompt) -> list[str]:
    text = " ".join(message["content"] for message in messages_of(prompt) if message["role"] == "user")
    words = (word.strip(_ENDS) for word in unicodedata.normalize("NFKC", text).casefold().split())
    return [word for word in words if word]


def _grams(words: list[str], n: int) -> Iterable[str]:
    return (" ".join(words[start : start + n]) for start in range(len(words) - n + 1))
