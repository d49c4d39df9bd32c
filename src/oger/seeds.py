"""Seeds that derive from a seed and from what they are for, so that no order of work and no restart changes a draw.

Runs, stored responses and tables depend on these numbers: they must stay as they are.
"""

from __future__ import annotations

import hashlib
from typing import Any


def draw_seed(seed: int, step: int, prompt: Any, occurrence: int = 0) -> int:
    """Seed in [0, 2^63) of the draws of one group, from the run's seed, the rollout step and the prompt.

    `occurrence` tells groups of one prompt in one batch apart.

    >>> draw_seed(0, 1, "2 + 2")
    7505389414132246850
    """
    return _number(f"{seed}\x1f{step}\x1f{occurrence}\x1f{prompt!r}", 8)


def derived_seed(seed: int, *parts: object) -> int:
    """Seed in [0, 2^31) of one response or batch, from the evaluation's seed and what it is for.

    >>> derived_seed(0, "problem", 3)
    1088758466
    """
    return _number(repr((seed, *parts)), 4)


def draw_key(seed: int, *parts: str) -> bytes:
    """Sixteen bytes by which things are put into a random order.

    >>> draw_key(0, "prompt", "teacher", "text").hex()
    'd2d0160ed71594c22284aff6c8cd6b11'
    """
    return _digest("|".join((str(seed), *parts)), 16)


def _number(text: str, size: int) -> int:
    return int.from_bytes(_digest(text, size), "big") >> 1


def _digest(text: str, size: int) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()
