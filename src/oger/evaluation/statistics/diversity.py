"""How many different solutions there are among texts.

Two texts are the same solution when at least 60 % of their word 3-grams, taken together, are in both (Jaccard). Words
are compared without case; every sign is a word of its own, so `3+4=7` and `3 + 4 = 7` are equal. Texts are taken in
order, and each joins the first earlier solution whose founder it equals (leader clustering): a count in time linear in
the texts times the solutions, which depends on the order only at the margin.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SAME_SOLUTION = 0.6
"""Least Jaccard similarity of two texts of one solution."""

_NGRAM = 3
_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")

Grams = frozenset[int]
"""Hashes of n-grams: numbers are compared an order of magnitude faster than tuples of words."""


def distinct_solutions(texts: Sequence[str]) -> int:
    """Number of different solutions; an empty text is one like any other."""
    return len(different_solutions(texts))


def different_solutions(texts: Sequence[str]) -> list[str]:
    """The first text of each different solution.

    >>> different_solutions(["3 + 4 = 7, so 7.", "3+4=7, So 7.", "Count up from 4: 5, 6, 7."])
    ['3 + 4 = 7, so 7.', 'Count up from 4: 5, 6, 7.']
    """
    first: list[str] = []
    founders: list[Grams] = []
    seen: set[Grams] = set()
    for text in texts:
        grams = _grams(text)
        if grams in seen:
            continue
        seen.add(grams)
        if not any(similarity(grams, founder) >= SAME_SOLUTION for founder in founders):
            founders.append(grams)
            first.append(text)
    return first


def correct_variety(texts: Sequence[str], divergence_C: torch.Tensor) -> tuple[float, float]:
    """What an exploration reward can tell apart among the correct rollouts of one group, two or more.

    Returns:
        share of different texts; population standard deviation of their D.

    >>> import torch
    >>> correct_variety(["a", "a", "b"], torch.tensor([0.5, 0.5, 0.5]))
    (0.6666666666666666, 0.0)
    """
    return len(set(texts)) / len(texts), float(divergence_C.double().std(correction=0))


def similarity(first: Grams, second: Grams) -> float:
    """Jaccard similarity of two sets; 1 for two empty ones."""
    smaller, larger = sorted((len(first), len(second)))
    if smaller < SAME_SOLUTION * larger:
        return smaller / larger  # the most it can be, and that is too little
    common = len(first & second)
    return common / (len(first) + len(second) - common) if larger else 1.0


def _grams(text: str) -> Grams:
    words = _WORD.findall(text.casefold())
    if len(words) < _NGRAM:
        return frozenset([hash(tuple(words))]) if words else frozenset()
    return frozenset(map(hash, zip(*(words[start:] for start in range(_NGRAM)), strict=False)))
