"""Guided rollouts: how much of a teacher trajectory a rollout is given, and what the visits of a prompt teach about it.

A guided rollout begins with the first tokens of a verified trajectory y* and is continued by the policy:

    τ = (y*_1 .. y*_k, τ_{k+1} .. τ_T),  τ_t ~ π(. | prompt, τ_<t) for t > k,  k = share x |y*|

Only the policy's own tokens have an importance ratio, an entropy and a length, so the gradient is on-policy.

Source: POPE (arXiv 2601.18779; guidance on hard prompts, no loss on the given tokens), Prefix-RFT (arXiv 2507.01679;
share drawn above a bound that falls, the given tokens are learned), BREAD (arXiv 2506.17211; guidance where all
rollouts failed, the shortest that helps).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from oger.words import choose

MAX_LEVEL = 8
"""Levels of guidance: 0 is none, this is the longest."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What the share that is given to a group may depend on."""

    drawn: float  # uniform in [0, 1)
    progress: float  # part of the training that is done, in [0, 1]
    level: int  # of the prompt, 1..MAX_LEVEL


def _fall(progress: float) -> float:
    """Half a cosine from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


# visit -> place between the shortest (0) and the longest share (1)
LENGTHS: dict[str, Callable[[Visit], float]] = {
    "uniform": lambda visit: visit.drawn,
    "long_to_short": lambda visit: _fall(visit.progress),
    "long_to_any": lambda visit: 1 - (1 - _fall(visit.progress)) * visit.drawn,
    "shortest_that_helps": lambda visit: (visit.level - 1) / (MAX_LEVEL - 1),
}


def given_share(visit: Visit, *, length: str, shortest: float, longest: float) -> float:
    """Part of the trajectory that is given.

    Args:
        visit: of the prompt.
        length: `uniform` over visits, `long_to_short` over the run (half a cosine), `long_to_any` (uniform between that
            and the longest) or `shortest_that_helps` (by level).
        shortest: least share, above 0.
        longest: greatest share, below 1.

    Raises:
        ValueError: Unknown length, or bounds that are not 0 < shortest <= longest < 1.

    >>> visit = Visit(drawn=0.5, progress=1.0, level=8)
    >>> [round(given_share(visit, length=length, shortest=0.1, longest=0.9), 3) for length in LENGTHS]
    [0.5, 0.1, 0.5, 0.9]
    """
    place = choose(LENGTHS, length, "length of guidance")(visit)
    if not 0 < shortest <= longest < 1:
        raise ValueError(f"the share given must have bounds 0 < shortest <= longest < 1, got {shortest}, {longest}")
    return shortest + (longest - shortest) * place


def next_level(level: int, *, solved_alone: bool, solved: bool) -> int:
    """Level of a prompt after a visit: one up where all rollouts failed, one down where guidance helped, 0 without it.

    Args:
        level: before the visit, 0..MAX_LEVEL.
        solved_alone: whether a rollout that was given nothing is correct.
        solved: whether any rollout is.

    >>> [next_level(3, solved_alone=a, solved=b) for a, b in ((False, False), (False, True), (True, True))]
    [4, 2, 0]
    """
    if solved_alone:
        return 0
    return max(level - 1, 0) if solved else min(level + 1, MAX_LEVEL)
