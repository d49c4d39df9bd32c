"""Look-up of a word in a table of options, with an error that helps a person who misspelt it."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


def look_up(table: Mapping[str, T], name: str, *, what: str) -> T:
    """`table[name]`; an unknown name is a ValueError that says the nearest valid one and lists all."""
    if name in table:
        return table[name]
    nearest = get_close_matches(str(name), table, n=1, cutoff=0.0)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(f"unknown {what} {name!r}{hint} (valid: {', '.join(sorted(table))})")
