"""Schedules of the exploration weight: how much of it is left at a given part of the training.

    constant  1        linear  1 - (1 - e) p        cosine  e + (1 - e) (1 + cos(pi p)) / 2

p in [0, 1] is the part of the training that is done, e the part of the weight that remains at its end. The paper's
weight is constant; the others are this project's options.
"""

import math
from collections.abc import Callable

from oger.words import choose

SCHEDULES: dict[str, Callable[[float, float], float]] = {  # (progress, end) -> factor
    "constant": lambda progress, end: 1.0,
    "linear": lambda progress, end: 1.0 - (1.0 - end) * progress,
    "cosine": lambda progress, end: end + (1.0 - end) * (1.0 + math.cos(math.pi * progress)) / 2.0,
}


def schedule_factor(progress: float, *, schedule: str = "constant", end: float = 0.0) -> float:
    """Factor on the exploration weight.

    Args:
        progress: Part of the training that is done, 0 to 1; beyond 1 counts as 1.
        schedule: `constant`, `linear` or `cosine`.
        end: Factor at the end of the training, finite and at least 0; unread by `constant`.

    Returns:
        The factor: 1 at the start, `end` at the end (1 under `constant`).

    Raises:
        ValueError: Unknown schedule, a negative or NaN progress, or an end that is negative or not finite.

    >>> tuple(schedule_factor(p, schedule="linear", end=0.5) for p in (0.0, 0.5, 1.0))
    (1.0, 0.75, 0.5)
    >>> tuple(round(schedule_factor(p, schedule="cosine"), 4) for p in (0.0, 0.25, 0.5, 1.0))
    (1.0, 0.8536, 0.5, 0.0)
    """
    factor = choose(SCHEDULES, schedule, "exploration schedule")
    if not progress >= 0:
        raise ValueError(f"progress must be at least 0, got {progress}")
    if not (end >= 0 and math.isfinite(end)):
        raise ValueError(f"end must be finite and at least 0, got {end}")
    return factor(min(progress, 1.0), end)
