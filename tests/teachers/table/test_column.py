"""The `teachers` column: what may stand in a cell, and what becomes of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from datasets import Dataset

from oger.teachers.table.column import normalise_teachers, parse_cell, parse_verdict, require_column
from oger.teachers.table.turn import plain_turn
from tests.support.tiny import tiny_tokenizer


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, []),
        ([], []),
        (["a"], [("a", "teacher0", None)]),
        ([{"text": "a", "teacher": "r1", "verdict": "correct"}], [("a", "r1", 1.0)]),
        ([{"text": "a", "teacher": None, "verdict": None}, "b"], [("a", "teacher0", None), ("b", "teacher1", None)]),
        ([{"text": "a", "teacher_id": 3, "source": "x", "num_tokens": 5}], [("a", "teacher0", None)]),
    ],
)
def test_a_cell_is_brought_into_one_form(cell: Any, expected: list[tuple[str, str, float | None]]) -> None:
    assert [(t["text"], t["teacher"], t["verdict"]) for t in parse_cell(cell)] == expected


@pytest.mark.parametrize(
    ("value", "outcome"),
    [("correct", 1.0), ("wrong", 0.0), (True, 1.0), (0, 0.0), (0.99, 0.0), (1.5, 1.0), (None, None), (math.nan, None)],
)
def test_verdicts_are_outcomes(value: Any, outcome: float | None) -> None:
    assert parse_verdict(value) == outcome


def test_undecided_is_neither_missing_nor_wrong() -> None:
    verdict = parse_verdict("undecided")
    assert verdict is not None
    assert math.isnan(verdict)


def test_counts_conserve_every_trajectory() -> None:
    cells = [["ab", "", "abcdefgh" * 3], ["abc"], [], None]
    dataset = Dataset.from_dict({"prompt": list("abcd"), "teachers": cells})
    normalised, counts = normalise_teachers(dataset, plain_turn(tiny_tokenizer()), max_tokens=8)
    assert (counts.seen, counts.kept) == (4, 2)
    assert counts.dropped == {"empty": 1, "over-long": 1}
    assert counts.seen == counts.kept + sum(counts.dropped.values())
    assert (counts.prompts, counts.prompts_without_teacher) == (4, 2)
    assert [[t["text"] for t in row] for row in normalised["teachers"]] == [["ab"], ["abc"], [], []]
    assert "2 of 4 teacher trajectories usable" in counts.describe()


def test_the_length_limit_counts_the_end_of_sequence() -> None:
    tokenizer = tiny_tokenizer()
    assert plain_turn(tokenizer).token_ids("abc")[-1] == tokenizer.eos_token_id
    dataset = Dataset.from_dict({"prompt": ["a"], "teachers": [["abc"]]})
    assert normalise_teachers(dataset, plain_turn(tokenizer), max_tokens=4)[1].kept == 1
    assert normalise_teachers(dataset, plain_turn(tokenizer), max_tokens=3)[1].kept == 0


def test_a_misspelt_column_is_named() -> None:
    with pytest.raises(ValueError, match="rename 'teacher' to 'teachers'"):
        require_column(["prompt", "teacher"])
    with pytest.raises(ValueError, match="add a column 'teachers'"):
        require_column(["prompt", "answer"])
