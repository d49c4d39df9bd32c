"""What the reward functions say of the online rows, before any is replaced."""

from __future__ import annotations

import math

import torch

from oger.training.batch import Verdicts
from oger.training.loop.nonfinite import RowFaults
from oger.training.step import StepContext

UNDECIDED = math.nan


def verdicts_of(
    context: StepContext,
    reward_AF: torch.Tensor,
    faults: RowFaults,
    *,
    weight_F: torch.Tensor,
    outcome_index: int,
    may_be_none_F: torch.Tensor,
) -> Verdicts:
    """This rank's outcomes, and the weighted sum of the reward functions.

    Args:
        reward_AF: what every reward function gave to the A rows of all ranks; NaN for None, see `tell_none_from_nan`.
        faults: takes the rows on which a number is not finite.
        may_be_none_F: True where a function may leave a row open; a reward model may not.
    """
    num_rows = len(faults.code_N)
    per_function_NF = reward_AF[context.rank * num_rows : (context.rank + 1) * num_rows]
    is_none_NF = per_function_NF.isnan() & may_be_none_F
    per_function_NF = faults.take_out("reward", per_function_NF, inside=~is_none_NF, fill=UNDECIDED)
    base_N = (per_function_NF * weight_F.to(per_function_NF.device)).nansum(dim=1)
    base_N[per_function_NF.isnan().all(dim=1)] = UNDECIDED
    return Verdicts(
        outcome_N=outcome_of(per_function_NF[:, outcome_index]), base_reward_N=base_N, per_function_NF=per_function_NF
    )


def outcome_of(reward: torch.Tensor) -> torch.Tensor:
    """1 where the reward is at least 1, 0 below, NaN (undecided) where it is NaN."""
    return torch.where(reward.isnan(), reward, (reward >= 1).to(reward))
