"""The `teachers` column: what may stand in a cell, and what becomes of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from datasets import Dataset

from oger.teachers.table.column import normalise_teachers, only_teachers, parse_cell, parse_verdict, require_column
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


class CountingTokenizer:
    """One token per character; knows how often it was asked."""

    eos_token_id = 0

    def __init__(self) -> None:
        self.asked: list[str] = []

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return ["\0" for _ in ids]

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        self.asked.append(text)
        return {"input_ids": [ord(character) for character in text]}


def table_rows(wrong_at: int | None = None) -> list[dict[str, Any]]:
    """640 prompts with one trajectory each, of 4 to 13 tokens."""
    texts = [f"{number:03}" + "x" * (number % 10) for number in range(640)]
    stated = [len(text) + 1 + (number == wrong_at) for number, text in enumerate(texts)]
    cells = [[{"text": text, "num_tokens": length}] for text, length in zip(texts, stated, strict=True)]
    return [{"prompt": text, "teachers": cell} for text, cell in zip(texts, cells, strict=True)]


def test_lengths_that_the_policys_tokenizer_counted_are_not_counted_again() -> None:
    tokenizer: Any = CountingTokenizer()
    normalised, counts = normalise_teachers(Dataset.from_list(table_rows()), plain_turn(tokenizer), max_tokens=12)
    assert counts.dropped == {"over-long": 64}
    assert len(tokenizer.asked) == 64
    lengths = {teacher["num_tokens"] for row in normalised for teacher in row["teachers"]}
    assert lengths == set(range(4, 13))


def test_lengths_of_another_tokenizer_are_counted_again() -> None:
    tokenizer: Any = CountingTokenizer()
    normalised, counts = normalise_teachers(
        Dataset.from_list(table_rows(wrong_at=320)), plain_turn(tokenizer), max_tokens=13
    )
    assert counts.kept == 640
    assert set(tokenizer.asked) == {row["prompt"] for row in table_rows()}
    assert normalised[320]["teachers"][0]["num_tokens"] == len(table_rows()[320]["prompt"]) + 1


def test_a_text_is_tokenised_once() -> None:
    tokenizer: Any = CountingTokenizer()
    turn = plain_turn(tokenizer)
    assert turn.token_ids("ab") == turn.token_ids("ab") == [97, 98, 0]
    assert tokenizer.asked == ["ab"]


def test_chosen_teachers_keep_the_names_of_their_places_and_are_not_read_yet() -> None:
    rows = [{"prompt": "a", "teachers": [{"text": "1", "teacher": "x"}, "2", {"text": "3", "verdict": "?"}]}]
    assert only_teachers(rows, ["teacher2", "teacher1"]) == [
        {"prompt": "a", "teachers": [{"text": "2", "teacher": "teacher1"},
                                     {"text": "3", "verdict": "?", "teacher": "teacher2"}]}
    ]  # fmt: skip
    with pytest.raises(ValueError, match="must hold a list"):
        only_teachers([{"prompt": "a", "teachers": "1"}], 1)


def test_a_misspelt_column_is_named() -> None:
    with pytest.raises(ValueError, match="rename 'teacher' to 'teachers'"):
        require_column(["prompt", "teacher"])
    with pytest.raises(ValueError, match="add a column 'teachers'"):
        require_column(["prompt", "answer"])
