"""Undecided outcomes: what a row is worth that the verifier could not judge (a hung or crashed grader, an odd answer).

    zero   R^m = 0: the row stays in its group and is pushed away from like a wrong one
    drop   the row leaves its group: no reward, no part in the group's mean, no tokens in the loss

Counting such a row as wrong teaches the policy to avoid what may be right, so `drop` is the default of this project
(the paper does not say).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from oger.method.checks import require_shape
from oger.words import choose

UNDECIDED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # (undecided, base reward) -> base reward
    "zero": lambda undecided_N, reward_N: torch.where(undecided_N & reward_N.isnan(), 0.0, reward_N),
    "drop": lambda undecided_N, reward_N: torch.where(undecided_N, torch.nan, reward_N),
}


def settle_undecided(outcome_N: Tensor, reward_N: Tensor, *, policy: str = "drop") -> Tensor:
    """Rewards of the rows once it is settled what undecided ones are worth.

    Args:
        outcome_N: Verifier's outcome, any shape; NaN where undecided.
        reward_N: Reward before the exploration reward, same shape; it may hold what other reward functions gave to an
            undecided row, and is NaN where none did.
        policy: `zero` (an undecided outcome adds nothing) or `drop` (the whole row is NaN: left out).

    Returns:
        Rewards, same shape; NaN marks rows that are left out of the group and of the loss.

    Raises:
        ValueError: Unknown policy or unequal shapes.

    >>> outcome_N, reward_N = torch.tensor([1.0, torch.nan, torch.nan]), torch.tensor([1.0, torch.nan, 0.5])
    >>> settle_undecided(outcome_N, reward_N, policy="zero")
    tensor([1.0000, 0.0000, 0.5000])
    >>> settle_undecided(outcome_N, reward_N, policy="drop")
    tensor([1., nan, nan])
    """
    settle = choose(UNDECIDED, policy, "undecided policy")
    require_shape("reward_N", reward_N, outcome_N.shape)
    return settle(outcome_N.isnan(), reward_N)
