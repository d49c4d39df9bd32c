"""Options are words in tables: look one up, or say which word was meant."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

Option = TypeVar("Option")


def choose(table: Mapping[str, Option], name: str, kind: str) -> Option:
    """Look an option up by its name.

    Args:
        table: The valid options by name, not empty.
        name: The option asked for.
        kind: What is being chosen, for the error message ("divergence scale").

    Returns:
        `table[name]`.

    Raises:
        ValueError: `name` is not in the table; the message names the nearest valid option and lists all of them.

    >>> choose({"mean": 1, "max": 2}, "max", "aggregation")
    2
    >>> choose({"mean": 1, "max": 2}, "maen", "aggregation")
    Traceback (most recent call last):
    ValueError: unknown aggregation 'maen'; did you mean 'mean'? Valid: mean, max
    """
    if isinstance(name, str) and name in table:
        return table[name]
    raise ValueError(f"unknown {kind} {name!r}; did you mean {nearest(str(name), table)!r}? Valid: {', '.join(table)}")


def nearest(word: str, valid: Iterable[str]) -> str:
    """The valid word that looks most like another; there must be one.

    >>> nearest("maen", ["mean", "max"])
    'mean'
    """
    return get_close_matches(word, list(valid), n=1, cutoff=0.0)[0]
