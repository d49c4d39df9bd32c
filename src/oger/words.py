"""Options are words in tables: look one up, or say which word was meant."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

Option = TypeVar("Option")

_NEAR = 0.65
"""Of difflib's ratio: a letter or two changed, left out or swapped; one of three, but not two of five."""


def choose(table: Mapping[str, Option], name: str, kind: str) -> Option:
    """Look an option up by its name.

    Args:
        table: The valid options by name, not empty.
        name: The option asked for.
        kind: What is being chosen, for the error message ("divergence scale").

    Returns:
        `table[name]`.

    Raises:
        ValueError: `name` is not in the table; the message lists the valid ones, and names one that is near.

    >>> choose({"mean": 1, "max": 2}, "max", "aggregation")
    2
    >>> choose({"mean": 1, "max": 2}, "maen", "aggregation")
    Traceback (most recent call last):
    ValueError: unknown aggregation 'maen'; did you mean 'mean'? Valid: mean, max
    """
    if isinstance(name, str) and name in table:
        return table[name]
    raise ValueError(f"unknown {kind} {name!r}{did_you_mean(str(name), table) or '.'} Valid: {', '.join(table)}")


def one_of(words: Iterable[str], word: str, kind: str) -> str:
    """`word`, where it is one of `words`; raises what `choose` raises."""
    return choose({each: each for each in words}, word, kind)


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """A hint at the valid word that looks most like another, for the end of a sentence; "" where none is near.

    >>> did_you_mean("MAEN", ["mean", "max"])
    "; did you mean 'mean'?"
    >>> did_you_mean("xyz", ["mean", "max"])
    ''
    """
    spelled = {each.casefold(): each for each in valid}
    found = get_close_matches(word.casefold(), spelled, n=1, cutoff=_NEAR)
    return f"; did you mean {spelled[found[0]]!r}?" if found else ""
