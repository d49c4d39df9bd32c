"""Options are words in tables: look one up, or say which word was meant."""

from collections.abc import Mapping
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
    nearest = get_close_matches(str(name), table, n=1, cutoff=0.0)[0]
    raise ValueError(f"unknown {kind} {name!r}; did you mean {nearest!r}? Valid: {', '.join(table)}")
