"""Values that pydantic checks are refused in one line: the place, what must stand there, what stands there."""

from __future__ import annotations

from typing import Any

import pytest

from oger.io.models import PLACE, Count, Entry, Text, Whole, checked


class Part(Entry):
    samples: Whole
    names: tuple[Text, ...] = ()
    plain: int = 0


class Top(Entry):
    title: Text
    part: Part
    number: Count = 0


VALID: dict[str, Any] = {"title": "t", "part": {"samples": 3}}


class FileError(ValueError):
    pass


def refused(at: str = "", **changes: Any) -> str:
    document = {key: value for key, value in {**VALID, **changes}.items() if value is not ...}
    with pytest.raises(FileError) as caught:
        checked(lambda: Top.model_validate(document), FileError, "the file", at)
    return str(caught.value)


def test_what_is_valid_is_made() -> None:
    made = checked(lambda: Top.model_validate(VALID), FileError, "the file")
    assert (made.title, made.part.samples, made.part.names, made.number) == ("t", 3, (), 0)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"title": " "}, "title must be a text, got ' '"),
        ({"number": True}, "number must be a whole number of at least 0, got True"),
        ({"number": "3"}, "number must be a whole number of at least 0, got '3'"),
        ({"part": {"samples": 0}}, "part.samples must be a whole number of at least 1, got 0"),
        ({"part": {"samples": 1.0}}, "part.samples must be a whole number of at least 1, got 1.0"),
        ({"part": {"samples": 1, "names": ["a", 3]}}, "part.names must be a text, got 3"),
        ({"part": 3}, "part must hold lines of the form key: value"),
        ({"part": {}}, "part lacks samples"),
        ({"title": ..., "part": ...}, "the file lacks title and part"),
        ({"titel": "t"}, "unknown key of the file 'titel'; did you mean 'title'? Valid: title, part, number"),
        (
            {"part": {"samples": 1, "plan": 3}},
            "unknown key of part 'plan'; did you mean 'plain'? Valid: samples, names, plain",
        ),
    ],
)
def test_the_first_wrong_value_is_said_in_one_line(changes: dict[str, Any], line: str) -> None:
    assert refused(**changes) == line


def test_a_type_without_a_sentence_of_its_own_says_what_pydantic_found() -> None:
    assert refused(part={"samples": 1, "plain": "many"}).startswith("part.plain has the wrong type: ")
    assert refused(part={"samples": 1, "plain": "many"}).endswith(", got 'many'")


def test_where_an_entry_stands_comes_before_its_names() -> None:
    assert refused("runs.a.", number=-1) == "runs.a.number must be a whole number of at least 0, got -1"


def test_a_value_that_looks_like_a_place_stays_as_it_is() -> None:
    assert refused(number=PLACE) == f"number must be a whole number of at least 0, got {PLACE!r}"
