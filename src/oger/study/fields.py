"""Values of a study file, each checked with one line that says what it must be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from oger.words import choose

_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


class StudyError(ValueError):
    """A study that cannot be used; the message is one line that says what to do."""


def mapping(
    value: Any, where: str, *, required: Sequence[str] = (), optional: Sequence[str] = (), free: bool = False
) -> Mapping[str, Any]:
    """A mapping with the required keys and, unless `free` or no key is named at all, no others than the optional."""
    if not isinstance(value, dict):
        raise StudyError(f"{where} must hold lines of the form key: value")
    known = dict.fromkeys([*required, *optional])
    if known and not free:
        for key in value:
            one_of(known, key, f"key of {where}")
    missing = [key for key in required if key not in value]
    if missing:
        raise StudyError(f"{where} lacks {' and '.join(missing)}")
    return value


def named(value: Any, where: str) -> Mapping[str, Any]:
    """A mapping from names to entries, not empty."""
    entries = mapping(value, where)
    if not entries:
        raise StudyError(f"{where} is empty")
    return {name(key, where): entry for key, entry in entries.items()}


def name(value: Any, where: str) -> str:
    """A name that can be a folder."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise StudyError(f"{where}: {value!r} is no name; write letters, digits and . _ + - (it names a folder)")
    return value


def text(value: Any, where: str) -> str:
    """A text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise StudyError(f"{where} must be a text, got {value!r}")
    return value


def whole(value: Any, where: str) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise StudyError(f"{where} must be a whole number of at least 1, got {value!r}")
    return value


def optional_whole(value: Any, where: str) -> int | None:
    """The same, or None."""
    return None if value is None else whole(value, where)


def seeds(value: Any, where: str) -> tuple[int, ...]:
    """A list of different whole numbers, 0 included."""
    seeds = value if isinstance(value, list) else []
    if not seeds or any(type(seed) is not int or seed < 0 for seed in seeds) or len(set(seeds)) < len(seeds):
        raise StudyError(f"{where} must be a list of different whole numbers, got {value!r}")
    return tuple(seeds)


def one_of(table: Mapping[str, Any], name: Any, where: str) -> str:
    """A key of `table`; the error names the nearest."""
    try:
        choose(table, name, where)
    except ValueError as error:
        raise StudyError(str(error)) from error
    return str(name)


def some_of(table: Mapping[str, Any], names: Any, where: str) -> tuple[str, ...]:
    """Keys of `table`, or "all" of them."""
    if names == "all":
        return tuple(table)
    if not isinstance(names, list) or not names or len(set(map(str, names))) < len(names):
        raise StudyError(f"{where} must be all or a list of different names, got {names!r}")
    return tuple(one_of(table, name, where) for name in names)
