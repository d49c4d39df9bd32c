"""Values of a study file, each with the line that says what it must be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from oger import words
from oger.io.models import PLACE, Must, Whole

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


class StudyError(ValueError):
    """A study that cannot be used; the message is one line that says what to do."""


def one_of(table: Iterable[str], name: Any, where: str = PLACE) -> str:
    """A word of `table`; the error names the nearest."""
    try:
        return words.one_of(table, name, where)
    except ValueError as error:
        raise StudyError(str(error)) from None


def some_of(table: Iterable[str], names: tuple[Any, ...], where: str = PLACE) -> tuple[str, ...]:
    """Words of `table`; none stand for all of them."""
    return tuple(one_of(table, name, where) for name in names or table)


def _name(value: Any) -> Any:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise StudyError(f"{PLACE}: {value!r} is no name; write letters, digits and . _ + - (it names a folder)")
    return value


def _lines(value: Any) -> Any:
    if not isinstance(value or {}, dict):
        raise StudyError(f"{PLACE} must hold lines of the form key: value")
    return value or {}


def _entries(value: Any) -> Any:
    for name in _lines(value):
        _name(name)
    if not value:
        raise StudyError(f"{PLACE} is empty")
    return value


def _names(value: Any) -> Any:
    if value == "all":
        return ()
    if not isinstance(value, list) or not value or len(set(map(str, value))) < len(value):
        raise StudyError(f"{PLACE} must be all or a list of different names, got {value!r}")
    return value


def _two(value: int | None) -> int | None:
    if value == 1:
        raise StudyError(f"{PLACE} must be at least 2: intervals need two problems")
    return value


Name = Annotated[str, BeforeValidator(_name)]
Keys = Annotated[dict[Any, Any], BeforeValidator(_lines)]
"""Recipe keys."""
Named = BeforeValidator(_entries)
"""A mapping from names to entries, not empty."""
Names = Annotated[tuple[Any, ...], BeforeValidator(_names)]
"""Different names; none = all."""
Problems = Annotated[Whole | None, AfterValidator(_two)]
Seeds = Annotated[
    tuple[Annotated[int, Field(strict=True, ge=0)], ...],
    Must("be a list of different whole numbers,", lambda seeds: 0 < len(set(seeds)) == len(seeds), parts=False),
]
Amount = Annotated[float, Field(strict=True, ge=1, allow_inf_nan=False), Must("be a number of at least 1,")]
WholeAmount = Annotated[
    float, Field(strict=True, ge=1, allow_inf_nan=False), Must("be a whole number of at least 1,", float.is_integer)
]
Accuracy = Annotated[float, Field(strict=True, gt=0, le=1), Must("be an accuracy in (0, 1],")]
Different = Must("list at least two different values,", lambda values: 1 < len(set(map(repr, values))) == len(values))
